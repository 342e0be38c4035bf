"""A player on a page, driven in a browser."""

from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = "/_static/player/"

# What the tests ask of the element, by names that they add to it.
HELPERS = """
window.genie = document.querySelector("genie-player");
// On a busy machine a key may come up late, and a key that is held plays on.
genie.letGo = false;
genie.shadowRoot.addEventListener("keydown", event => {
  if (!genie.letGo) return;
  genie.held.delete(event.code);
  genie.arrows.delete(event.key);
});
genie.status = () => genie.find(".status").textContent;
genie.pixels = () => {
  const { width, height } = genie.screens[0];
  return [...genie.screens[0].getContext("2d").getImageData(0, 0, width, height).data];
};
"""


def wait(page, truth, seconds=20):
    """Until an expression is true. Playwright's own way evaluates text, which some pages forbid."""
    for _ in range(40 * seconds):
        if page.evaluate(f"!!({truth})"):
            return
        page.wait_for_timeout(25)
    pytest.fail(f"never so: {truth}; the page says {page.evaluate('genie.status()')!r}")


@contextmanager
def fetching(page, answer="Promise.reject(new TypeError('no connection'))"):
    """While every `fetch` of the page comes to this, an expression; nobody answers, unless told.
    (Chromium says that it intercepts requests a moment before it does, and on a busy machine some
    slipped through.)
    """
    page.evaluate(f"window.trueFetch = fetch; window.fetch = async () => {answer}; null")
    yield
    page.evaluate("window.fetch = trueFetch; null")


def start(page):
    """Press Play and wait for the world; time goes on only by keys from here on."""
    page.evaluate("genie.find('.clock').checked = false")
    page.locator("genie-player .cover").click()
    wait(page, "/^Ready/.test(genie.status()) && genie.started")


def press(page, key, times=1, seconds=20):
    """Press a key so often, each time waiting for the frame that it brings."""
    for _ in range(times):
        before = page.evaluate("genie.count")
        page.evaluate("genie.letGo = true")
        page.keyboard.press(key)
        wait(page, f"genie.count > {before} && !genie.running", seconds)
        assert page.evaluate("genie.count") == before + 1
        page.evaluate("genie.letGo = false")
