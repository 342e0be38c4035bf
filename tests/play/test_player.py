"""The player in the built pages, driven in a real browser: it plays, says what went wrong, and
keeps to itself.

`run.py test` builds the site first. Without a browser these tests skip.
"""

import json

import numpy as np
import pytest
import torch
from driving import FILES, ROOT, press, start

from genie_mini import Genie
from genie_mini.play.prompts import level_picture
from genie_mini.play.widget import PROMPT_LEVELS
from genie_mini.world import HELD_OUT_SEED

SITE = ROOT / "_build" / "html"
PAGES = ["index.html", "dynamics.html", "latent_actions.html", "memory.html"]


def picture(page):
    return np.array(page.evaluate("genie.pixels()"), dtype=float).reshape(64, 64, 4)[..., :3]


def scrolled(before, after, reach=8):
    """By how many pixels the world moved to the left between two frames, as an error of pixels
    says; the player stays in his column.
    """
    errors = {}
    for shift in range(-reach, reach + 1):
        width = 64 - abs(shift)
        left, right = max(0, shift), max(0, -shift)
        errors[shift] = np.square(
            before[:, left : left + width] - after[:, right : right + width]
        ).mean()
    return min(errors, key=errors.get)


def walk(page, key, times):
    pictures = [picture(page)]
    for _ in range(times):
        press(page, key)
        pictures.append(picture(page))
    return sum(scrolled(*pair) for pair in zip(pictures, pictures[1:], strict=False))


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_right_moves_the_player_right_and_left_left_asking_no_other_host(
    open_page, http_address, scheme
):
    base = http_address if scheme == "http" else SITE.as_uri()
    page = open_page(f"{base}/index.html")
    assert not [url for url in page.requests if FILES in url], "loaded before the reader asked"
    start(page)
    # A few steps only: further on there is nothing but meadow, by which no scrolling can be told.
    right = walk(page, "ArrowRight", 6)
    left = walk(page, "ArrowLeft", 6)
    assert right >= 8 and left <= -8, f"the world scrolled by {right} and {left} pixels"
    assert not [url for url in page.requests if not url.startswith((base, "data:", "blob:"))]
    assert not page.problems


def test_at_most_12_megabytes_are_transferred():
    assert sum(path.stat().st_size for path in (SITE / FILES.strip("/")).iterdir()) < 12e6


def test_keys_act_only_while_the_world_has_the_focus_and_escape_leaves_it(open_page, http_address):
    page = open_page(f"{http_address}/index.html")
    start(page)
    press(page, "Digit1")
    page.keyboard.press("Escape")
    assert page.evaluate("genie.shadowRoot.activeElement") is None
    for key in ("Digit1", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.evaluate("genie.count") == 1


def test_it_is_played_by_keyboard_alone(open_page, http_address):
    page = open_page(f"{http_address}/index.html")
    page.evaluate("genie.find('.clock').checked = false")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("!!genie.shadowRoot.activeElement?.matches('.cover')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_function("/^Ready/.test(genie.status()) && genie.started")
    press(page, "Digit5")


def test_time_goes_on_by_itself_only_where_motion_is_welcome(open_page, http_address):
    for wish in ("reduce", "no-preference"):
        page = open_page(f"{http_address}/index.html", reduced_motion=wish)
        assert page.evaluate("genie.find('.clock').checked") == (wish == "no-preference")


def test_a_recorded_game_is_replayed_beside_the_true_one(open_page, http_address):
    page = open_page(f"{http_address}/index.html")
    start(page)
    page.evaluate("genie.find('.fast').checked = true; genie.find('.steps').value = 1")
    page.get_by_role("button", name="Replay").click()
    page.wait_for_function("genie.count >= 5 && !genie.find('.real').hidden")
    assert float(page.evaluate("genie.find('.gap').textContent").split()[1]) > 15
    page.wait_for_function(
        "genie.replaying === null && genie.count === genie.options.trace.actions.length",
        timeout=60_000,
    )


def test_maskgit_steps_are_shown_one_by_one(open_page, http_address):
    page = open_page(f"{http_address}/dynamics.html")
    page.evaluate(
        "() => { genie.masked = []; const draw = genie.drawTokens; genie.drawTokens = "
        "function(tokens, ...rest) {"
        " genie.masked.push([...tokens].filter(token => token === 1024).length); return "
        "draw.call(this, tokens, ...rest); }; }"
    )
    start(page)
    page.evaluate("genie.masked.length = 0")
    press(page, "Digit1")
    masked = page.evaluate("genie.masked.slice(0, 8)")
    assert masked == [49, 36, 25, 16, 9, 4, 1, 0]


def test_one_action_is_played_in_four_worlds(open_page, http_address):
    page = open_page(f"{http_address}/latent_actions.html")
    start(page)
    before = page.evaluate("genie.screens.map(screen => screen.toDataURL())")
    press(page, "ArrowRight")
    after = page.evaluate("genie.screens.map(screen => screen.toDataURL())")
    assert len(set(before)) == len(set(after)) == 4
    assert all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(open_page, http_address, name):
    page = open_page(f"{http_address}/{name}")
    start(page)
    press(page, "Digit1")
    page.add_script_tag(path=ROOT / "node_modules" / "axe-core" / "axe.min.js")
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        violations = page.evaluate("axe.run('genie-player').then(found => found.violations)")
        assert not violations, json.dumps(violations, indent=1)[:3000]


def test_without_scripts_a_strip_of_frames_is_shown(open_page, http_address):
    page = open_page(f"{http_address}/index.html", java_script_enabled=False)
    strip = page.locator("genie-player img")
    assert strip.is_visible() and "platform game" in strip.get_attribute("alt")


# ---- bad input ----


def test_a_browser_without_webassembly_gets_a_message(open_page, http_address):
    page = open_page(f"{http_address}/index.html", script="delete window.WebAssembly")
    page.locator("genie-player .cover").click()
    page.wait_for_function("/no WebAssembly/.test(genie.status())")
    assert page.locator("genie-player .cover").is_visible(), "it can be tried again"


def test_a_missing_or_corrupt_model_file_gets_a_message(open_page, http_address):
    answer = {}

    def fulfill(route):
        route.fulfill(**answer) if answer else route.fallback()

    page = open_page(f"{http_address}/index.html", routes={"**/player/step.js": fulfill})
    for wrong, problem in (
        ({"status": 404}, "step could not be loaded"),
        ({"body": '(window.genieFiles ??= {})["step"] = "H4sIAAAA";'}, "the file step is damaged"),
        ({"body": '(window.genieFiles ??= {})["step"] = btoa("x");'}, "the file step is damaged"),
    ):
        answer |= wrong
        page.evaluate("genie.find('.status').textContent = ''")
        page.locator("genie-player .cover").click()
        page.wait_for_function(f"genie.status().includes({json.dumps(problem)})", timeout=30_000)
        answer.clear()
    start(page)  # once the file is whole again, so is the player


def drop(page, content, name, kind):
    """Drop a file on the world."""
    page.evaluate(
        """([content, name, type]) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(content)], name, { type }));
          genie.find(".worlds").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [list(content), name, kind],
    )


def test_a_file_that_is_no_picture_gets_a_message(open_page, http_address):
    page = open_page(f"{http_address}/index.html")
    start(page)
    drop(page, b"not a picture", "notes.txt", "text/plain")
    page.wait_for_function("/notes.txt is not a picture/.test(genie.status())")
    press(page, "Digit1")


def test_a_picture_of_any_size_can_be_played(open_page, http_address, tmp_path):
    from PIL import Image

    page, path = open_page(f"{http_address}/index.html"), tmp_path / "picture.png"
    start(page)
    for red, size in enumerate([(1, 1), (640, 200), (33, 1000)]):
        Image.new("RGB", size, (red, 160, 220)).save(path)
        press(page, "Digit1")
        drop(page, path.read_bytes(), "picture.png", "image/png")
        page.wait_for_function("genie.count === 0 && genie.started")
        prompt = page.evaluate(
            "[0, 1, 2].map(channel => Math.round(255 * genie.picture[genie.picture.length - 3 + "
            "channel]))"
        )
        assert prompt == [red, 160, 220], size
    press(page, "Digit1")


def test_a_sketch_can_be_painted_by_keyboard_and_played(open_page, http_address):
    page = open_page(f"{http_address}/index.html")
    start(page)
    page.locator("genie-player summary").click()
    canvas = page.locator("genie-player .sketch canvas")
    page.wait_for_function(
        "genie.find('.sketch canvas').getContext('2d').getImageData(0, 0, 1, 1).data[3] === 255"
    )
    page.get_by_role("button", name="red").click()
    canvas.focus()
    for key in ("ArrowLeft", "Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    painted = page.evaluate(
        "[...genie.find('.sketch canvas').getContext('2d').getImageData(28, 34, 1, 1).data]"
    )
    assert painted == [215, 38, 61, 255]
    page.get_by_role("button", name="Play the sketch").click()
    page.wait_for_function("genie.count === 0 && genie.started")
    press(page, "Digit1")


# ---- the same world as PyTorch's ----


def test_frames_of_the_same_seed_are_pytorchs(open_page, exported_page):
    """Past the end of the window. Token for token: a difference of logits near 1e-5 must not tip a
    draw.
    """
    page = open_page(exported_page)
    start(page)
    for min_p, length, lookback in (
        (0, 32, "recent"),
        (0.1, 8, "recent"),
        (0, 32, "sparse"),
        (0, 32, "retrieval"),
    ):
        compare_with_pytorch(page, [step % 8 for step in range(length)], min_p, lookback)


def compare_with_pytorch(page, actions, min_p, lookback):
    """Play in the page and in PyTorch: the same tokens after the same past, nearly the same
    frames.
    """
    theirs = page.evaluate(
        """async ([actions, minP, lookback]) => {
          const picture = await genie.promptPixels(0);
          const frames = [await genie.engine.begin("test", picture, 0, lookback)];
          for (const action of actions)
            frames.push(await genie.engine.step("test", action, 4, 1, minP));
          return frames.map(({ frame, tokens, attended }) => [
            Array.from(frame), Array.from(tokens), attended]);
        }""",
        [actions, min_p, lookback],
    )
    session = (
        Genie.from_pretrained("mini")
        .with_lookback(lookback)
        .play(level_picture(HELD_OUT_SEED + PROMPT_LEVELS[0], (64, 64)), seed=0)
    )
    for index, (frame, tokens, attended) in enumerate(theirs):
        if index:
            session.step(actions[index - 1], maskgit_steps=4, min_p=min_p)
        assert tokens == session.tokens.tolist(), f"frame {index}, {lookback}"
        assert attended == session.attended, f"frame {index}, {lookback}"
        torch.testing.assert_close(
            torch.tensor(frame).view(64, 64, 3), session.frame, atol=1e-4, rtol=0
        )
