"""Set up and run everything from a fresh clone, with nothing but Python 3.11 or newer and the
package index.

    python3 run.py book    # set up, draw the figures, build the book, serve it on this machine
    python3 run.py test    # set up, build, then run every test and every notebook
    python3 run.py lab     # set up, then open the chapters in JupyterLab; further words go to it

The environment is .venv beside this file; `--here` uses the Python that runs this script instead
(for conda users).
"""

import argparse
import atexit
import http.server
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
if sys.version_info < MINIMUM_PYTHON:
    sys.exit(
        f"run.py: Python {'.'.join(map(str, MINIMUM_PYTHON))} or newer is needed; this is "
        f"{sys.version.split()[0]} ({sys.executable})."
    )

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))
from set_up import (  # noqa: E402
    AT_ONCE,
    ONE_THREAD,
    call,
    environment_for,
    hash_of,
    set_up,
    step,
    venv_python,
)

SITE = ROOT / "_build" / "html"
# All that a page is made of. The set-up's own sources stand for the installed packages.
SITE_SOURCES = "_config.yml book figures genie_mini tools pyproject.toml requirements.txt".split()
SITE_SOURCES += ["package.json", "package-lock.json"]
# An older processor, as far as environment variables can make one: no AVX. Matrix libraries then
# choose other kernels.
OLDER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}
TOOK_EFFECT = (
    "import torch\n"
    "assert torch.backends.cpu.get_cpu_capability() == 'DEFAULT', 'OLDER_PROCESSOR was ignored'"
)
# jupyter_book has no __main__ module.
JUPYTER_BOOK = "-c", "from jupyter_book.cli.main import main; main()"
NBVAL = "-m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg".split()
NBVAL += ["-p", "notebook_numbers", "-p", "no:cacheprovider", "book"]


def missing_pages() -> list[str]:
    """The chapters of the table of contents that have no HTML page."""
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    pages = re.findall(r"^\s*(?:-\s+)?(?:root|file):\s*(\S+)", toc, flags=re.MULTILINE)
    return [page for page in pages if not (SITE / f"{page}.html").exists()]


def build(python: Path) -> None:
    """Draw the figures and build the book with warnings as errors; then check that every chapter
    has become a page. If nothing has changed since the last time, do nothing.
    """
    stamp, shown = ROOT / "_build" / "built.txt", SITE.relative_to(ROOT)
    call(python, "figures/draw.py", problem="a figure could not be drawn.")
    sources = hash_of(*(ROOT / name for name in SITE_SOURCES))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == sources and not missing_pages():
        print(f"Nothing has changed since {shown} was built", flush=True)
        return
    stamp.unlink(missing_ok=True)
    with step(f"Building the book into {shown}"):
        call(
            python,
            *(*JUPYTER_BOOK, "build", "book", "-W", "-n", "--keep-going", "--quiet"),
            problem="the book did not build; the first warning above says why.",
        )
    # Exit code 0 alone proves nothing: a builder that finds no chapters may succeed too.
    if missing := missing_pages():
        sys.exit(f"run.py: the build left no HTML page for {', '.join(missing)}.")
    # The sources of before: what somebody changed while this ran is built the next time.
    stamp.write_text(sources, encoding="utf-8")


class SiteHandler(http.server.SimpleHTTPRequestHandler):
    # Said here because Windows takes these from its registry, where other programs may have changed
    # them.
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".svg": "image/svg+xml",
    }

    def __init__(self, *args):
        super().__init__(*args, directory=str(SITE))

    def log_message(self, *args) -> None:
        pass


def serve(port: int) -> None:
    """Serve the built site on this machine until Ctrl-C."""
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), SiteHandler)
    except OSError:  # the port is taken: let the system choose one
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SiteHandler)
    print(f"The book is at http://127.0.0.1:{server.server_port}/ (Ctrl-C stops)", flush=True)
    server.serve_forever()


class Check:
    """One command whose failure fails `run.py test`; what it prints is kept until it is asked."""

    def __init__(self, what: str, python: Path, *arguments: str, **variables: str):
        self.what, self.output, self.start = what, "", time.monotonic()
        print(f"Running {what} ...", flush=True)
        self._process = subprocess.Popen(
            [str(python), *arguments],
            cwd=ROOT,
            env=environment_for(python, PYTHONPATH=str(ROOT / "tests"), **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        atexit.register(self._process.terminate)  # if the build fails meanwhile
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._reader.is_alive()

    def _read(self) -> None:
        self.output = self._process.communicate()[0]
        print(f"Running {self.what}: done in {time.monotonic() - self.start:.0f} s", flush=True)

    def passed(self) -> bool:
        """Wait for it, print what it printed, and tell how it ended."""
        self._reader.join()
        print(f"\n{self.what}:\n{self.output}", flush=True)
        return self._process.returncode == 0


def test(python: Path) -> None:
    """Build the book and run the tests and every notebook: what it prints and draws must be what is
    committed. In continuous integration, which sets the variable CI to true, every notebook runs a
    second time with the kernels of an older processor. Stop with an error if anything failed.
    """
    half = *NBVAL, "-n", str(max(1, AT_ONCE // 2)), "--dist", "loadfile"
    notebooks, setting = [Check("every notebook", python, *half)], []
    if os.environ.get("CI") == "true":
        older = Check("every notebook, older kernels", python, *half, **OLDER_PROCESSOR)
        notebooks.append(older)
        what = "the setting for an older processor"
        setting.append(Check(what, python, "-c", TOOK_EFFECT, **OLDER_PROCESSOR))
    build(python)
    # Browsers that have to wait long fail, so the tests come when one half of the machine is free.
    while sum(check.running() for check in notebooks) > 1:
        time.sleep(1)
    # A part of them waits for browsers, servers and commands, so one more than there are cores.
    with step("Running the tests"):
        tests = subprocess.run(
            [str(python), "-m", "pytest", "tests", "-n", str(AT_ONCE + 1), "--dist", "worksteal"],
            cwd=ROOT,
            env=environment_for(python),
        )
    failed = [check.what for check in (*setting, *notebooks) if not check.passed()]
    if tests.returncode:
        failed.append("tests")
    if failed:
        sys.exit(f"\nrun.py: failed: {'; '.join(failed)}; the summaries above name what.")


def lab(python: Path, words: list[str]) -> None:
    """Open the chapters in JupyterLab, which gets these further words."""
    if getattr(os, "geteuid", lambda: None)() == 0 and "--allow-root" not in words:
        words = ["--allow-root", *words]  # without it JupyterLab refuses, in a container say
    problem = "JupyterLab stopped with an error."
    call(python, "-m", "jupyterlab", *words, problem=problem, folder=ROOT / "book")


def parse(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; returns the options and, for `lab`, the words that are not ours."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument(
        "--here",
        action="store_true",
        default=argparse.SUPPRESS,  # or else the default after the command undoes one before it
        help="use this Python's environment instead of .venv",
    )
    parser = argparse.ArgumentParser(
        prog="run.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    book = commands.add_parser("book", parents=[shared], allow_abbrev=False)
    book.add_argument("--no-serve", action="store_true", help="only build")
    book.add_argument("--port", type=int, default=8000, help="another, if this is taken")
    commands.add_parser("test", parents=[shared], allow_abbrev=False)
    commands.add_parser("lab", parents=[shared], allow_abbrev=False, add_help=False)
    options, further = parser.parse_known_args(words)
    if further and options.command != "lab":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    return options, further


def main() -> None:
    options, further = parse(sys.argv[1:])
    python = Path(sys.executable) if "here" in options else venv_python()
    set_up(python)
    if options.command == "lab":
        lab(python, further)
        return
    os.environ.update(ONE_THREAD)
    if options.command == "test":
        test(python)
        return
    build(python)
    if not options.no_serve:
        serve(options.port)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
