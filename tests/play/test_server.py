"""The game behind the page and the server in front of it (the page itself: test_window_page.py)."""

import base64
import http.client
import io
import json
import threading
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_genie

from genie_mini.evaluation.action_names import read_action_names
from genie_mini.play.server import Game, Window
from genie_mini.world import HELD_OUT_SEED

NAMES = ["left", "left", "right", "right", "jump", "jump", "nothing", "nothing"]
STEP = {"action": 2, "maskgit_steps": 3, "temperature": 1.0}


@pytest.fixture
def window():
    with Window(Game(tiny_genie(), NAMES)) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield server
        server.shutdown()


def ask(window, method, path, body=b"", **headers):
    """Send one request; return the status, the headers, and the answer (JSON read)."""
    connection = http.client.HTTPConnection("127.0.0.1", window.server_port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = answer.headers["Content-Type"] == "application/json"
    return answer.status, answer.headers, json.loads(content) if is_json else content


def step(window, **changes):
    return ask(window, "POST", "/step", json.dumps(STEP | changes))


def picture(size=(90, 60), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(file, kind)
    return file.getvalue()


def test_the_page_asks_nothing_of_other_hosts(window):
    status, headers, page = ask(window, "GET", "/")
    assert status == 200 and page.startswith(b"<!doctype html>")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert (
        page.count(b"http://") == page.count(b"http://www.w3.org/2000/svg")
        and b"https://" not in page
    )


def test_the_game_describes_itself(window):
    _, _, game = ask(window, "GET", "/game")
    assert (game["width"], game["height"], game["mostSteps"], game["memory"]) == (32, 32, 16, 15)
    assert game["actionNames"] == NAMES
    assert (game["level"], game["frame"]) == (HELD_OUT_SEED, 0)
    assert len(base64.b64decode(game["pixels"])) == 32 * 32 * 3


def test_a_step_brings_the_next_frame(window):
    before = ask(window, "GET", "/game")[2]
    status, _, after = step(window)
    assert status == 200 and after["frame"] == 1
    assert after["pixels"] != before["pixels"]
    shown = np.frombuffer(base64.b64decode(after["pixels"]), np.uint8) / 255
    assert np.abs(shown - window.game._session.frame.numpy().ravel()).max() <= 0.5 / 255 + 1e-6


def test_restart_brings_back_the_same_game(window):
    before = ask(window, "GET", "/game")[2]["pixels"]
    first = step(window)[2]["pixels"]
    assert ask(window, "POST", "/restart")[2]["pixels"] == before
    assert step(window)[2]["pixels"] == first


def test_new_worlds_are_the_held_out_levels_in_turn(window):
    levels = [ask(window, "POST", "/new")[2]["level"] for _ in range(2)]
    assert levels == [HELD_OUT_SEED + 1, HELD_OUT_SEED + 2]
    assert Game(tiny_genie(), level=5).new_world()["level"] == HELD_OUT_SEED


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_any_picture_begins_a_world(window, kind):
    status, _, game = ask(
        window,
        "POST",
        "/picture",
        picture(kind=kind),
        **{"X-File-Name": quote("Strand für zwei.png")},
    )
    assert status == 200
    assert (game["origin"], game["level"], game["frame"]) == ("Strand für zwei.png", None, 0)
    assert step(window)[0] == 200


def test_a_bad_picture_is_one_clear_error_and_the_game_goes_on(window):
    status, _, answer = ask(
        window, "POST", "/picture", b"no picture", **{"X-File-Name": "notes.txt"}
    )
    assert status == 400 and answer == {"error": "notes.txt is not a picture that can be read"}
    assert step(window)[0] == 200


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"action": 8}, "from 0 to 7"),
        ({"action": -1}, "from 0 to 7"),
        ({"action": "up"}, "all numbers"),
        ({"maskgit_steps": 0}, "maskgit_steps must lie in [1, 16]"),
        ({"temperature": -1}, "temperature must be 0 or more"),
    ],
)
def test_a_bad_step_is_one_clear_error(window, changes, message):
    status, _, answer = step(window, **changes)
    assert status == 400 and message in answer["error"]


def test_other_sites_cannot_play(window):
    assert ask(window, "POST", "/new", Origin="http://other.invalid")[0] == 403
    assert ask(window, "GET", "/game", Host="other.invalid")[0] == 403
    assert ask(window, "POST", "/new", Origin=window.address)[0] == 200


def test_unknown_paths_and_huge_bodies_are_refused(window):
    assert ask(window, "GET", "/etc/passwd")[0] == 404
    assert ask(window, "POST", "/nothing")[0] == 404
    assert ask(window, "POST", "/picture", **{"Content-Length": str(2**40)})[0] == 413


def test_a_port_in_use_is_one_clear_error(window):
    with pytest.raises(ValueError, match=f"port {window.server_port} cannot be used"):
        Window(window.game, window.server_port)


def test_names_come_from_the_scores_beside_the_weights(tmp_path):
    assert read_action_names(tmp_path) is None
    (tmp_path / "scores.json").write_text(json.dumps({"latent_to_real": NAMES}))
    assert read_action_names(tmp_path) == NAMES
    with pytest.raises(ValueError, match="8 latent actions, but 3 names"):
        Game(tiny_genie(), NAMES[:3])
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(ValueError, match="latent_to_real"):
        read_action_names(tmp_path)
