"""A player whose worker, server or kernel is gone says so, and goes on where it can."""

import io
import json

import numpy as np
import pytest
import torch
from driving import press, start, wait
from PIL import Image
from tiny import NAMES, tiny_genie

from genie_mini.play.share import share
from genie_mini.play.widget import MODULE, player_options

# keeps every word of the status line, as a screen reader would say it
LISTEN = """
genie.said = [];
new MutationObserver(() => genie.said.push(genie.status())).observe(
  genie.find(".status"), { childList: true, characterData: true, subtree: true });
null;
"""
GONE = {
    # as when the browser ends it for want of memory: nothing says so to the page
    "terminated": "genie.engine.worker.terminate()",
    # an endless loop
    "hangs": "genie.engine.worker.postMessage({ id: -1, type: 'hang' })",
    # an error that nobody catches
    "throws": "genie.engine.worker.postMessage({ id: -1, type: 'throw' })",
    # the runtime's own, as when its memory is full
    "fails": "genie.engine.worker.postMessage({ id: -1, type: 'step', game: 'no such game' })",
}
# The real worker, with two more requests for it to go wrong by.
PLANTED = """
requests.hang = () => { for (;;); };
requests.throw = () => { setTimeout(() => { throw new Error("planted"); }); return {}; };
"""


@pytest.fixture(scope="module")
def address(serve, tmp_path_factory):
    """A page that plays a tiny Genie, which loads soon. What goes wrong does so with any."""
    page = tmp_path_factory.mktemp("page") / "index.html"
    picture = torch.rand(32, 32, 3, generator=torch.Generator().manual_seed(0))
    share(tiny_genie(), page, [picture], title="A world", action_names=NAMES, variant="fp32")
    return f"{serve(page.parent)}/{page.name}"


@pytest.fixture
def page(open_page, address):
    """A page whose world has been played for one frame; two more ways to go wrong are planted."""
    page = open_page(
        address,
        script="const url = URL.createObjectURL;"
        "URL.createObjectURL = what => what.size < 100_000 && what.type === 'text/javascript'"
        f" ? url(new Blob([what, `{PLANTED}`], {{ type: what.type }})) : url(what);",
    )
    page.set_default_timeout(60_000)
    start(page)
    press(page, "Digit1")
    page.evaluate(LISTEN)
    return page


def wait_for_another(page):
    wait(page, "/Another worker plays/.test(genie.status()) && genie.started")
    assert page.evaluate("genie.count") == 0


@pytest.mark.parametrize("way", GONE)
def test_a_worker_that_is_gone_is_replaced_and_the_page_says_so(page, way):
    assert page.evaluate("genie.find('.status').getAttribute('aria-live')") == "polite"
    first = page.evaluate("genie.engine.worker.number = 1")
    page.evaluate(f"{GONE[way]}; null")
    if way in ("terminated", "hangs"):  # found out when something is asked
        page.keyboard.press("Digit2")
    wait_for_another(page)
    said = page.evaluate("genie.said")
    assert "worker has stopped" in said[0] and "Another one is being started" in said[0], said
    assert "Another worker plays the world, anew from its picture" in said[-1], said
    assert page.locator("genie-player .status").is_visible()
    assert page.evaluate("genie.engine.worker.number") != first
    assert page.locator("genie-player .cover").is_hidden()
    press(page, "Digit1")


def test_the_new_worker_begins_from_the_picture_that_was_played(page):
    file = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 90)).save(file, "PNG")
    picture = {"name": "photo.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.evaluate("genie.old = String(genie.pixels())")
    page.set_input_files("genie-player .file", picture)
    wait(page, "genie.count === 0 && String(genie.pixels()) !== genie.old")
    before = page.evaluate("genie.pixels()")
    page.locator("genie-player .worlds").focus()
    press(page, "Digit1")
    page.evaluate("genie.engine.worker.terminate()")
    page.keyboard.press("Digit2")
    wait_for_another(page)
    assert np.allclose(page.evaluate("genie.picture[0] * 255"), 200, atol=1)
    assert page.evaluate("genie.pixels()") == before


def test_a_worker_that_is_gone_while_nobody_plays_is_replaced_by_start_again(page):
    page.evaluate("genie.engine.worker.terminate()")
    page.get_by_role("button", name="Start again").click()
    wait_for_another(page)
    press(page, "Digit1")


def test_workers_that_all_fail_are_not_started_for_ever(page):
    page.evaluate(
        """() => {
          genie.started_ = 0;
          const Real = Worker;
          window.Worker = function (address) {
            genie.started_++;
            const made = new Real(address);
            made.postMessage = () => setTimeout(() => made.onerror({ message: "planted" }));
            return made;
          };
        }"""
    )
    page.evaluate("genie.engine.worker.onerror({ message: 'planted' })")
    wait(page, "genie.status().includes('(planted)') && !genie.find('.cover').hidden")
    page.wait_for_timeout(300)
    assert page.evaluate("genie.started_") == 1
    page.locator("genie-player .cover").click()  # whoever wants to may try
    wait(page, "genie.started_ === 2 && !genie.find('.cover').hidden")


def test_a_player_that_is_moved_in_its_page_can_be_played_again(page):
    page.evaluate("document.body.append(genie)")
    assert page.locator("genie-player .cover").is_visible()
    assert page.evaluate("genie.engine.worker") is None
    start(page)
    press(page, "Digit1")
    assert not page.problems


def test_a_player_taken_away_while_it_loads_leaves_no_worker(open_page, address):
    page = open_page(address)
    page.evaluate("genie.begin(); genie.remove()")
    page.wait_for_timeout(1500)
    assert page.evaluate("genie.engine.worker ?? null") is None and not page.workers
    assert not page.problems


KERNEL = """
const { default: widget } = await import(
  URL.createObjectURL(new Blob([document.querySelector("#module").textContent],
    { type: "text/javascript" })));
window.heard = new Set();
window.sent = [];
const model = {
  get: () => JSON.parse(document.querySelector("#options").textContent),
  on: (name, react) => heard.add(react),
  off: (name, react) => heard.delete(react),
  send: (message, callbacks, buffers) => sent.push(message),
};
window.answer = () => {
  const frame = new Float32Array(32 * 32 * 3);
  const message = { id: sent.at(-1).id, tokens: Array(16).fill(0), steps: [], attended: [] };
  for (const react of heard) react(message, [new DataView(frame.buffer)]);
};
widget.render({ model, el: document.body });
window.genie = document.querySelector("genie-player");
genie.status = () => genie.find(".status").textContent;
"""


def test_a_kernel_that_does_not_answer_is_spoken_of_and_may_answer_yet(browser):
    page = browser.new_page()
    options = json.dumps(player_options(tiny_genie())).replace("<", "\\u003c")
    page.set_content(
        f'<script type="text/plain" id="module">{MODULE}</script>'
        f'<script type="application/json" id="options">{options}</script>'
    )
    page.add_script_tag(content=KERNEL, type="module")
    page.wait_for_function("window.genie?.shadowRoot")
    page.evaluate("genie.find('.clock').checked = false")
    page.locator("genie-player .cover").click()
    page.wait_for_function("sent.length === 1")
    page.wait_for_function("/kernel has not answered yet/.test(genie.status())")
    page.evaluate("answer()")
    page.wait_for_function("genie.started && genie.status() === ''")
    page.evaluate("document.body.append(genie)")  # moved
    assert page.evaluate("heard.size") == 0
    page.locator("genie-player .cover").click()
    page.wait_for_function("sent.length === 2")
    page.evaluate("answer()")
    page.wait_for_function("genie.started && heard.size === 1")
    page.close()
