"""How the player of the built site does in headless Chromium: time to play, frames a second, bytes,
memory. On an idle machine:

    python3 run.py book --no-serve
    python benchmarks/player.py --minutes 10
"""

import argparse
import functools
import shutil
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parents[1] / "_build" / "html"
FLAGS = ["--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc", "--enable-precise-memory-info"]
# Hold a key down for some seconds; returns frames a second.
PLAY = """async ([steps, seconds]) => {
  genie.find(".fast").checked = true;
  genie.find(".steps").value = steps;
  await genie.engine.step(genie.name(0), 0, steps, 1);
  const before = genie.count, began = performance.now();
  genie.setPaused(false);
  genie.press("benchmark", 4);
  await new Promise(done => setTimeout(done, 1000 * seconds));
  const rate = 1000 * (genie.count - before) / (performance.now() - began);
  genie.releaseAll();
  genie.setPaused(true);
  await genie.idle();
  return rate;
}"""


class Handler(SimpleHTTPRequestHandler):
    """Serves without a word."""

    def log_message(self, *args):
        pass


def memory_of(session):
    """Bytes of the page's JavaScript heap after a collection."""
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


def resident(browser_process_name="chrom"):
    """Megabytes that all of the browser's processes hold, where the system says (Linux)."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
        except OSError:  # it has ended
            continue
        if browser_process_name in lines["Name"]:
            total += int(lines.get("VmRSS", "0 kB").split()[0])
    return total / 1024


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="how long to play on while memory is watched"
    )
    minutes = parser.parse_args().minutes
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(args=FLAGS, executable_path=shutil.which("chromium"))
        page = browser.new_page()
        transferred = []
        page.on(
            "response",
            lambda response: transferred.append(int(response.headers.get("content-length", 0))),
        )
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_function(
            "window.genie = document.querySelector('genie-player')?.shadowRoot && "
            "document.querySelector('genie-player')"
        )
        page.evaluate("genie.find('.clock').checked = false")
        before = sum(transferred)
        began = time.perf_counter()
        page.locator("genie-player .cover").click()
        page.wait_for_function("genie.started")
        print(
            f"playable {time.perf_counter() - began:.2f} s after the click, "
            f"{(sum(transferred) - before) / 1e6:.2f} MB for it"
        )
        for _ in range(3):
            print(
                ", ".join(
                    f"{steps} MaskGIT steps: {page.evaluate(PLAY, [steps, 5]):.1f} frames a second"
                    for steps in (1, 4, 8)
                )
            )
        session = page.context.new_cdp_session(page)
        for minute in range(int(minutes) + 1):
            print(
                f"after {minute} minutes: JavaScript {memory_of(session) / 1e6:.1f} MB, processes "
                f"{resident():.0f} MB",
                flush=True,
            )
            if minute < minutes:
                page.set_default_timeout(120_000)
                page.evaluate(PLAY, [4, 60])
        print(f"{page.evaluate('genie.count')} frames")
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
