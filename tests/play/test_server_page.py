"""The page of `genie-mini play`, played in a browser by the same keys as the book's pages."""

import io
import time
from functools import partial

import driving
import numpy as np
import pytest
import torch
from driving import fetching
from PIL import Image
from tiny import NAMES, tiny_genie

from genie_mini.play.images import to_uint8
from genie_mini.play.widget import level_prompts

# What only these tests ask of the element.
ADDED = """
genie.find(".clock").checked = false;
genie.asked = [];
const ask = genie.engine.ask;
genie.begun = 0;
genie.engine.ask = async function (message, picture) {
  genie.asked.push(message);
  const answer = await ask.call(this, message, picture);
  if (message.type === "begin") genie.begun++;
  return answer;
};
genie.focused = () => {
  const element = genie.shadowRoot.activeElement;
  const label = element?.labels?.[0] ?? element;
  const text = label?.innerText.replace(/\\s+/g, " ").trim();
  return element?.querySelector("img")?.alt ?? text ?? null;
};
null;
"""


wait, press = partial(driving.wait, seconds=30), partial(driving.press, seconds=30)


@pytest.fixture
def page(browser, server):
    """The page with its world begun; time goes on only by keys. Nothing may be complained of."""
    page = browser.new_page()
    page.wrong = wrong = []
    page.set_default_timeout(60_000)
    own = (server.address, "data:", f"blob:{server.address}")
    page.on(
        "request",
        lambda request: None if request.url.startswith(own) else wrong.append(request.url),
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if message.type == "error" else None
    )
    page.goto(server.address)
    wait(page, "document.querySelector('genie-player').shadowRoot")
    page.evaluate(driving.HELPERS + ADDED)
    page.keyboard.press("Enter")  # the button that begins has the focus
    wait(page, "genie.started && /^Ready/.test(genie.status())")
    yield page
    page.close()
    assert wrong == []


def steps(page):
    """What the page has asked of the server's games."""
    return page.evaluate("genie.asked.filter(message => message.type === 'step')")


def actions(page):
    return [message["action"] for message in steps(page)]


def test_number_and_arrow_keys_play(page):
    for key in ("Digit3", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Digit8"):
        press(page, key)
    assert actions(page) == [2, 0, 2, 4, 6, 7]


def test_a_held_key_goes_on_at_ten_frames_a_second_at_most_and_stops(page):
    began = time.monotonic()
    page.keyboard.down("ArrowRight")
    page.wait_for_timeout(700)
    wait(page, "genie.asked.filter(message => message.type === 'step').length >= 2")
    page.keyboard.up("ArrowRight")
    wait(page, "!genie.arrows.size && !genie.running")
    page.wait_for_timeout(150)
    count = len(steps(page))
    assert 2 <= count <= 2 + 10 * (time.monotonic() - began)
    assert "frames a second" in page.evaluate("genie.find('.speed').textContent")
    page.wait_for_timeout(250)
    assert len(steps(page)) == count


def test_everything_is_reached_by_tab_and_pressed_by_enter(page):
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("genie.focused()"))
        if reached[-1] == "6 jump":
            page.keyboard.press("Enter")
            wait(page, "genie.count === 1 && !genie.running")
    assert actions(page) == [5]
    assert reached[:8] == [f"{number} {name}" for number, name in enumerate(NAMES, 1)]
    assert reached[8:10] == ["Pause", "Start again"]
    controls = ["MaskGIT steps", "Temperature", "Cut the tail", "Looks back at", "Slow motion"]
    controls += [
        "Time goes on by itself",
        "As fast as it can",
        *(f"Picture {number}" for number in range(1, 7)),
    ]
    controls += ["a picture of yours", "or draw one"]
    for name, control in zip(reached[10:], controls, strict=False):
        assert name.startswith(control), reached


def test_another_look_back_begins_anew_and_the_strip_shows_what_it_fetched(page):
    remembered = "genie.find('.remembers').textContent"
    assert page.evaluate("genie.find('.lookback').value") == "recent"
    press(page, "Digit1", 2)
    assert page.evaluate(remembered).endswith("up to 15 frames and the one it draws.")
    page.get_by_label("Looks back at").select_option("sparse")
    wait(page, "genie.begun === 2 && genie.count === 0")
    assert page.evaluate("genie.asked.at(-1).lookback") == "sparse"
    page.locator("genie-player .worlds").focus()
    press(page, "Digit1", 4)
    assert "left out" not in page.evaluate(remembered)
    press(page, "Digit2", 20)
    assert page.evaluate(remembered).endswith(
        "A bar stands where frames are left out; the oldest was 24 frames ago."
    )
    strip = "genie.find('.memory').getContext('2d').getImageData({}, 5, 1, 1).data[3]"
    width = page.evaluate("genie.find('.memory').width")
    # a frame is 32 wide, and 2 apart: the last is drawn, and the four before are neighbours
    gaps = [page.evaluate(strip.format(width - 34 * place + 1)) > 0 for place in range(1, 11)]
    assert gaps == [False] * 4 + [True] * 6


def test_start_again_brings_back_the_same_frames(page):
    first = page.evaluate("genie.pixels()")
    press(page, "Digit2")
    second = page.evaluate("genie.pixels()")
    page.get_by_role("button", name="Start again").click()
    wait(page, "genie.begun === 2")
    assert page.evaluate("genie.pixels()") == first
    press(page, "Digit2")
    assert page.evaluate("genie.pixels()") == second


def test_after_a_click_on_a_prompt_the_keys_play_that_world(page):
    first = page.evaluate("genie.pixels()")
    page.get_by_role("button", name="Picture 3").click()
    wait(page, "genie.begun === 2")
    assert page.evaluate("genie.pixels()") != first
    press(page, "ArrowUp")
    assert actions(page) == [4]


def test_sliders_and_pictures_reach_the_game(page):
    file = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 90)).save(file, "PNG")
    picture = {"name": "photo.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.set_input_files("genie-player .file", picture)
    wait(page, "genie.begun === 2")
    prompt = page.evaluate("Array.from(genie.picture.slice(0, 3), value => 255 * value)")
    assert np.allclose(prompt, (200, 30, 90))
    page.locator("genie-player .steps").fill("2")
    page.locator("genie-player .temperature").fill("0.5")
    page.locator("genie-player .min-p").fill("0.1")
    page.locator("genie-player .actions button").nth(7).click()
    wait(page, "genie.count === 1 && !genie.running")
    wish = steps(page)[0]
    assert (wish["action"], wish["maskgitSteps"]) == (7, 2)
    assert (wish["temperature"], wish["minP"]) == (0.5, 0.1)


def test_the_canvas_shows_the_frame_pixel_by_pixel(page):
    press(page, "Digit1")
    shown = np.array(page.evaluate("genie.pixels()"), np.uint8).reshape(32, 32, 4)[..., :3]
    prompt = torch.from_numpy(to_uint8(level_prompts((32, 32))[0])).float() / 255
    session = tiny_genie().play(prompt, seed=0)
    assert np.array_equal(shown, to_uint8(session.step(0)))
    rendering = "getComputedStyle(genie.screens[0]).imageRendering"
    assert page.evaluate(rendering) == "pixelated"


def test_errors_of_the_server_are_shown_and_it_goes_on(page, server):
    problem = page.evaluate("genie.engine.step('other', 0, 8, 1, 0).catch(error => error.message)")
    assert problem == "no world of the name other is being played"
    with fetching(page):
        page.keyboard.press("Digit1")
        wait(page, "/genie-mini seems to have stopped/.test(genie.status())")
    assert len(page.wrong) == 1, page.wrong  # the browser's own words on the first
    page.wrong.clear()
    page.get_by_role("button", name="Start again").click()
    wait(page, "genie.begun === 2 && genie.started")
    press(page, "Digit1")


def test_what_is_no_answer_of_ours_is_said_to_be_none(page):
    """As a tunnel answers whose other end is gone."""
    with fetching(page, "new Response('<html>Bad gateway</html>', { status: 502 })"):
        page.keyboard.press("Digit1")
        wait(page, "/that is not genie-mini/.test(genie.status())")
    page.get_by_role("button", name="Start again").click()
    wait(page, "genie.begun === 2 && genie.started")
    press(page, "Digit1")


def test_two_browsers_play_on_one_server_without_disturbing_each_other(page, browser, server):
    other = browser.new_context().new_page()
    other.goto(server.address)
    wait(other, "document.querySelector('genie-player').shadowRoot")
    other.evaluate(driving.HELPERS + ADDED)
    other.keyboard.press("Enter")
    wait(other, "genie.started && /^Ready/.test(genie.status())")
    for one, another in ((1, 5), (2, 6), (3, 7)):
        press(page, f"Digit{one}")
        press(other, f"Digit{another}")
    prompt = torch.from_numpy(to_uint8(level_prompts((32, 32))[0])).float() / 255
    for played, numbers in ((page, (1, 2, 3)), (other, (5, 6, 7))):
        shown = np.array(played.evaluate("genie.pixels()"), np.uint8).reshape(32, 32, 4)[..., :3]
        session = tiny_genie().play(prompt, seed=0)
        for number in numbers:
            frame = session.step(number - 1)
        assert np.array_equal(shown, to_uint8(frame))
    other.context.close()
