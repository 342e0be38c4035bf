"""The page of `genie-mini play`, played in a browser."""

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_genie

from genie_mini.play.server import Game, Window
from genie_mini.world import HELD_OUT_SEED

NAMES = ["left", "left", "right", "right", "jump", "jump", "nothing", "nothing"]


@pytest.fixture
def window():
    with Window(Game(tiny_genie(), NAMES)) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield server
        server.shutdown()


@pytest.fixture
def page(browser, window):
    page, wrong = browser.new_page(), []
    page.set_default_timeout(10_000)
    page.on(
        "request",
        lambda request: (
            wrong.append(request.url)
            if not request.url.startswith((window.address, "data:"))
            else None
        ),
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if message.type == "error" else None
    )
    page.goto(window.address)
    page.get_by_text("Started from level").wait_for()
    yield page
    page.close()
    assert wrong == []


def record_steps(page):
    """A list that receives what the page asks of the game."""
    steps = []
    page.on(
        "request",
        lambda request: (
            steps.append(request.post_data_json) if request.url.endswith("/step") else None
        ),
    )
    return steps


def frames_reach(page, number):
    page.locator(f"#frame:text-is('{number}')").wait_for()


def test_number_and_arrow_keys_play(page):
    steps = record_steps(page)
    for count, key in enumerate(
        ["3", "ArrowLeft", "ArrowRight", " ", "ArrowUp", "ArrowDown"], start=1
    ):
        page.keyboard.press(key)
        frames_reach(page, count)
    assert [wish["action"] for wish in steps] == [3, 0, 2, 4, 4, 6]


def test_a_held_key_goes_on_at_ten_frames_a_second_at_most_and_stops(page):
    steps = record_steps(page)
    page.keyboard.down("ArrowRight")
    page.wait_for_timeout(700)
    page.keyboard.up("ArrowRight")
    page.wait_for_timeout(150)
    count = len(steps)
    assert 2 <= count <= 9
    assert "frames a second" in page.inner_text("#speed")
    page.wait_for_timeout(250)
    assert len(steps) == count


def test_everything_is_reached_by_tab_and_pressed_by_enter(page):
    steps = record_steps(page)
    reached = []
    for _ in range(13):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(document.activeElement.ariaLabel || "
                "document.activeElement.labels?.[0]?.innerText || "
                "document.activeElement.innerText).trim()"
            )
        )
        if reached[-1] == "Latent action 5, jump":
            page.keyboard.press("Enter")
            frames_reach(page, 1)
    assert [wish["action"] for wish in steps] == [5]
    assert reached[:8] == [f"Latent action {action}, {name}" for action, name in enumerate(NAMES)]
    assert reached[8:] == [
        "New world",
        "Restart",
        "Start from a picture",
        "MaskGIT steps",
        "Temperature",
    ]


def test_after_a_click_the_keys_belong_to_the_game(page):
    page.click("#new")
    page.get_by_text(f"level {HELD_OUT_SEED + 1}").wait_for()
    steps = record_steps(page)
    page.keyboard.press(" ")
    frames_reach(page, 1)
    assert [wish["action"] for wish in steps] == [4]
    assert str(HELD_OUT_SEED + 1) in page.inner_text("#status"), (
        "Space jumps and does not press the button again"
    )


def test_sliders_and_pictures_reach_the_game(page):
    file = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 90)).save(file, "PNG")
    picture = file.getvalue()
    page.set_input_files(
        "#picture", {"name": "photo.png", "mimeType": "image/png", "buffer": picture}
    )
    page.get_by_text("Started from photo.png").wait_for()
    steps = record_steps(page)
    page.fill("#steps", "2")
    page.fill("#temperature", "0.5")
    page.locator("#actions button").nth(7).click()
    frames_reach(page, 1)
    assert steps[0] == {"action": 7, "maskgit_steps": 2, "temperature": 0.5}


def test_the_canvas_shows_the_frame_pixel_by_pixel(page, window):
    page.keyboard.press("1")
    frames_reach(page, 1)
    shown = page.evaluate(
        "Array.from(document.getElementById('screen').getContext('2d').getImageData(0, 0, 32, "
        "32).data)"
    )
    rgb = np.array(shown, dtype=np.uint8).reshape(-1, 4)[:, :3]
    assert rgb.tobytes() == base64.b64decode(window.game.state()["pixels"])
    assert (
        page.evaluate("getComputedStyle(document.getElementById('screen')).imageRendering")
        == "pixelated"
    )
