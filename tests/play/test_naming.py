"""Buttons named on the page of `genie-mini play`: what the server takes and keeps, and the mode in
which they are named.
"""

import json
from functools import partial

import driving
import pytest
from driving import ROOT, fetching, press
from requests_of_players import BEGIN, PICTURE, ask, begin, connect, head, received, serving
from tiny import NAMES as MEASURED
from tiny import tiny_genie

from genie_mini.evaluation.action_names import NAMES, read_action_names
from genie_mini.play.http_handler import LONGEST_LINE
from genie_mini.play.server import PlayServer

ATTACK = "<img src=x onerror=a()>"
SHIPPED = "these buttons keep their names: the weights ship with the package"

wait = partial(driving.wait, seconds=30)


@pytest.fixture
def weights(tmp_path):
    """The folder of an own Genie, beside nothing else."""
    folder = tmp_path / "weights"
    tiny_genie().save(folder)
    return folder


@pytest.fixture
def server(weights):
    with serving(PlayServer(tiny_genie(), names_folder=weights)) as server:
        yield server


def name(server, action, name, **headers):
    """Give a name; return the status and what was said."""
    body = json.dumps({"action": action, "name": name}).encode()
    status, _, answer = ask(server, "POST", "/names", body, **headers)
    return status, answer if status != 200 else json.loads(answer)


def shown_names(server):
    page = ask(server, "GET", "/")[2].decode()
    options = page.split('<script type="application/json">')[1].split("</script>")[0]
    return json.loads(options)["world"]["actionNames"]


def names_of(**given):
    """Names of eight actions, `a3="hop"` of the one with the number 3."""
    return [given.get(f"a{action}", "") for action in range(8)]


# ---- what the server takes and keeps ----


def test_a_name_is_kept_beside_the_weights_and_shown_from_then_on(server, weights):
    assert name(server, 3, " hop ") == (200, {"names": names_of(a3="hop")})
    assert name(server, 0, ATTACK)[0] == name(server, 7, "跳ぶ")[0] == 200
    named = names_of(a0=ATTACK, a3="hop", a7="跳ぶ")
    assert read_action_names(weights) == shown_names(server) == named
    assert b'"naming":' in ask(server, "GET", "/")[2]
    assert name(server, 3, "") == (200, {"names": names_of(a0=ATTACK, a7="跳ぶ")})
    assert read_action_names(weights)[3] == ""
    assert begin(server)[0] == 200


def test_where_an_evaluation_has_named_them_a_person_may_disagree(weights):
    (weights / "scores.json").write_text(json.dumps({"latent_to_real": MEASURED}))
    with serving(PlayServer(tiny_genie(), MEASURED, names_folder=weights)) as server:
        assert name(server, 0, "duck")[1] == {"names": ["duck", *MEASURED[1:]]}
        assert name(server, 0, "")[1] == {"names": MEASURED}


def test_names_that_come_at_once_are_all_kept(server, weights):
    requests = [json.dumps({"action": action, "name": f"name {action}"}) for action in range(8)]
    connections = [connect(server) for _ in requests]
    for connection, body in zip(connections, requests, strict=True):
        lines = ["POST /names HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close"]
        connection.sendall(head(*lines) + body.encode())
    for connection in connections:
        assert received(connection).startswith(b"HTTP/1.1 200 ")
        connection.close()
    assert read_action_names(weights) == [f"name {action}" for action in range(8)]


def test_without_a_folder_nothing_is_named_or_written(tmp_path, monkeypatch):
    """As with the weights that ship."""
    monkeypatch.chdir(tmp_path)
    with serving(PlayServer(tiny_genie(), MEASURED)) as server:
        status, answer = name(server, 0, "duck")
        assert status == 400 and SHIPPED in answer["error"]
        assert shown_names(server) == MEASURED and b'"naming":' not in ask(server, "GET", "/")[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "message, problem",
    [
        ({"action": 8, "name": "a"}, "from 0 to 7"),
        ({"action": -1, "name": "a"}, "from 0 to 7"),
        ({"action": True, "name": "a"}, "from 0 to 7"),
        ({"action": 2.0, "name": "a"}, "from 0 to 7"),
        ({"action": "2", "name": "a"}, "from 0 to 7"),
        ({"action": 10**400, "name": "a"}, "from 0 to 7"),
        ({"action": 0, "name": None}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": ["a"]}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": "a" * 25}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": "a" * 3000}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": "a\nb"}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": "\ud83d"}, "a line of text of at most 24 characters"),
        ({"action": 0, "name": "\u202ea"}, "a line of text of at most 24 characters"),
        ({"action": 0}, "an action and a name"),
        ({"name": "a"}, "an action and a name"),
        ({"action": 0, "name": "a", "folder": "/"}, "an action and a name"),
        (BEGIN, "an action and a name"),
        ([0, "a"], "an action and a name"),
        ("a", "an action and a name"),
        (None, "an action and a name"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_what_is_no_name_is_one_short_error_and_nothing_is_written(
    server, weights, capfd, message, problem
):
    status, _, answer = ask(server, "POST", "/names", json.dumps(message).encode())
    assert status == 400 and problem in answer["error"] and len(answer["error"]) < 300
    assert not (weights / NAMES).exists() and shown_names(server) == names_of()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 4000, b'{"action": 0, "name": "a"}\n' + b"more"]
)
def test_what_is_no_line_of_json_is_one_clear_error(server, weights, body):
    status, _, answer = ask(server, "POST", "/names", body)
    assert status == 400 and list(answer) == ["error"] and not (weights / NAMES).exists()


def test_other_sites_give_no_names_and_lengths_are_bounded(server, weights):
    for headers in ({"Origin": "http://other.invalid"}, {"Host": "other.invalid"}):
        assert name(server, 0, "theirs", **headers)[0] == 403
    assert name(server, 0, "theirs", Origin="null")[0] == 403
    for length in (str(LONGEST_LINE + 1), str(len(PICTURE.tobytes())), "-1", "many"):
        assert ask(server, "POST", "/names", **{"Content-Length": length})[0] == 413
    assert not (weights / NAMES).exists()
    assert name(server, 0, "ours", Origin=server.address)[0] == 200


def test_a_name_that_cannot_be_written_says_so_and_the_buttons_keep_theirs(server, weights):
    assert name(server, 0, "duck")[0] == 200
    (weights / f"{NAMES}.partial").mkdir()  # which refuses even an administrator
    status, answer = name(server, 0, "hop")
    assert status == 400 and f"{NAMES} cannot be written" in answer["error"]
    assert read_action_names(weights) == shown_names(server) == names_of(a0="duck")


# ---- the mode in which they are named ----


@pytest.fixture
def open_mode(browser, server):
    """Open the page and its mode, the world begun. Nothing may be complained of."""
    contexts, wrong = [], []

    def open_(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.wrong = wrong
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda message: wrong.append(message.text) if message.type == "error" else None,
        )
        page.goto(server.address)
        wait(page, "document.querySelector('genie-player').shadowRoot")
        page.evaluate(driving.HELPERS)
        driving.start(page)
        page.get_by_role("button", name="Name the buttons").click()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def field(page, button):
    return page.get_by_role("textbox", name=f"Name of button {button}")


def labels(page):
    return page.evaluate("genie.buttons.map(button => button.innerText.replace(/\\s+/g, ' '))")


def focused(page):
    return page.evaluate("genie.shadowRoot.activeElement?.ariaLabel")


def test_by_keyboard_alone_a_button_is_named_and_stays_so(open_mode, weights, server):
    page = open_mode()
    page.keyboard.press("Enter")  # nothing was typed
    assert focused(page) == "Name of button 1"
    page.keyboard.type("hop 3")
    assert page.evaluate("genie.count") == 0, "digits of a name play nothing"
    page.keyboard.press("Enter")
    wait(page, "genie.status() === 'Button 1 is called hop 3 now.'")
    page.keyboard.press("Tab")  # the second button, to try it
    page.keyboard.press("Tab")
    assert focused(page) == "Name of button 2"
    page.keyboard.type("跳ぶ")
    page.keyboard.press("Tab")  # to leave a field saves it too
    wait(page, "genie.status() === 'Button 2 is called 跳ぶ now.'")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    assert page.evaluate("genie.shadowRoot.activeElement.textContent") == "Name the buttons"
    assert read_action_names(weights) == names_of(a0="hop 3", a1="跳ぶ")
    page.reload()
    wait(page, "document.querySelector('genie-player').shadowRoot")
    page.evaluate(driving.HELPERS)
    assert labels(page)[:3] == ["1 hop 3", "2 跳ぶ", "3 action 2"]


def test_escape_brings_the_name_back_and_an_empty_one_takes_it_away(open_mode, server, weights):
    name(server, 4, "duck")
    page = open_mode()
    assert field(page, 5).input_value() == "duck"
    field(page, 5).fill("dive")
    page.keyboard.press("Escape")
    assert field(page, 5).input_value() == "duck" and field(page, 5).is_visible()
    assert read_action_names(weights)[4] == "duck"
    field(page, 5).fill("")
    page.keyboard.press("Enter")
    wait(page, "genie.status() === 'Button 5 has no name now.'")
    assert labels(page)[4] == "5 action 4" and read_action_names(weights)[4] == ""
    page.get_by_role("button", name="Done").click()
    assert not field(page, 5).is_visible()


def test_buttons_and_keys_play_while_they_are_named_and_arrows_once_they_are(open_mode):
    page = open_mode()
    page.locator("genie-player .actions button").nth(6).click()
    wait(page, "genie.count === 1 && !genie.running")
    field(page, 4).fill("left")
    page.keyboard.press("Enter")
    wait(page, "genie.options.world.actionNames[3] === 'left'")
    assert "←" in page.locator("genie-player .keys").inner_text()
    page.evaluate(
        "genie.played = []; genie.addEventListener('genie-frame', event => "
        "genie.played.push(event.detail.action))"
    )
    page.locator("genie-player .worlds").focus()
    press(page, "ArrowLeft")
    press(page, "Digit2")
    assert page.evaluate("genie.played") == [3, 1]


def test_a_name_is_text_and_never_markup(open_mode):
    page = open_mode()
    assert field(page, 1).get_attribute("maxlength") == "24"
    field(page, 1).fill(ATTACK)
    page.keyboard.press("Enter")
    wait(page, "/is called/.test(genie.status())")
    page.reload()
    wait(page, "document.querySelector('genie-player').shadowRoot")
    page.evaluate(driving.HELPERS)
    assert labels(page)[0] == f"1 {ATTACK}" and page.locator(".actions img").count() == 0


def test_what_the_server_refuses_is_said_and_stays_in_its_field(open_mode, weights):
    page = open_mode()
    field(page, 1).fill("\u202ehop")
    page.keyboard.press("Enter")
    wait(page, "/a name is a line of text/.test(genie.status())")
    assert field(page, 1).get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Name the buttons").click()
    assert field(page, 1).input_value() == "\u202ehop"
    field(page, 1).fill("hop")
    page.keyboard.press("Enter")
    wait(page, "/is called hop/.test(genie.status())")
    assert field(page, 1).get_attribute("aria-invalid") is None
    with fetching(page):
        field(page, 2).fill("skip")
        page.keyboard.press("Enter")
        wait(page, "/genie-mini seems to have stopped/.test(genie.status())")
    page.keyboard.press("Enter")
    wait(page, "/is called skip/.test(genie.status())")
    assert read_action_names(weights) == names_of(a0="hop", a1="skip")
    assert len(page.wrong) == 1, page.wrong  # the browser's own words
    page.wrong.clear()


def test_enter_that_chooses_characters_saves_nothing(open_mode, weights):
    """As of those who write with an input method."""
    page = open_mode()
    field(page, 1).fill("とぶ")
    page.evaluate(
        "genie.shadowRoot.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
        "{ key: 'Enter', isComposing: true, bubbles: true }))"
    )
    page.wait_for_timeout(200)
    assert not (weights / NAMES).exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_name_is_wider_than_its_button(open_mode, server, scheme):
    name(server, 1, "W" * 24)
    page = open_mode(color_scheme=scheme, bypass_csp=True, viewport={"width": 320, "height": 700})
    field(page, 1).fill("\u202ehop")
    page.keyboard.press("Enter")
    wait(page, "/a name is a line of text/.test(genie.status())")
    page.wrong.clear()  # the browser's own word on it
    page.add_script_tag(path=ROOT / "node_modules" / "axe-core" / "axe.min.js")
    violations = page.evaluate("axe.run().then(found => found.violations)")
    assert not violations, json.dumps(violations, indent=1)[:3000]
    assert page.evaluate("genie.buttons.every(button => button.scrollWidth <= button.clientWidth)")
