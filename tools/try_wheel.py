"""Try what a person does with the built wheel: record, train, evaluate, play and export, in a new
environment, an empty folder and an empty home that know nothing of this repository, with the
network shut.

    python -m build
    python tools/try_wheel.py dist/genie_mini-0.1.0-py3-none-any.whl            # newest packages
    python tools/try_wheel.py dist/genie_mini-0.1.0-py3-none-any.whl --oldest   # oldest; needs uv

The Python that runs this makes the environment. What the oldest packages are pyproject.toml says.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Python runs it before anything else: from then on only this machine can be connected to.
NO_NETWORK = """\
import socket

_connect, _resolve = socket.socket.connect, socket.getaddrinfo


def connect(self, address):
    if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"the network is shut: {address}")
    return _connect(self, address)


def resolve(host, *arguments, **more):
    if host not in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"):
        raise OSError(f"the network is shut: {host}")
    return _resolve(host, *arguments, **more)


socket.socket.connect, socket.getaddrinfo = connect, resolve
"""
# Variables that lead to own settings, caches and packages, or to a network beside the guard.
OWN = re.compile("PYTHON|VIRTUAL_ENV|XDG_|GENIE_MINI_|MPL|TORCH|HF_|.+_PROXY", re.IGNORECASE)
WHERE = "import genie_mini; print(genie_mini.__file__)"
CHAPTERS = "from genie_mini.chapters import plots, show, tables; print(tables.RESULTS.is_dir())"
GYMNASIUM = """
import gymnasium, genie_mini
environment = gymnasium.make("genie_mini/Genie-v0")
environment.reset(seed=0)
print(environment.step(0)[0].shape)
"""
TRAIN = "train --preset pocket --data films --steps 2 --out run"
EVALUATE = "evaluate --weights run --data films --clips 64"
SCORES = "evaluate --weights run --clips 64 --out run/scores.json"


class Trial:
    """An environment with the wheel, an empty folder to work in, and an empty home."""

    def __init__(self, folder: Path):
        self.environment, self.folder = folder / "env", folder / "work"
        guard, self.home = folder / "guard", folder / "home"
        for new in (self.folder, guard, self.home):
            new.mkdir()
        (guard / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
        programs = self.environment / ("Scripts" if os.name == "nt" else "bin")
        self.python, self.program = programs / "python", programs / "genie-mini"
        self.open = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        kept = {name: value for name, value in os.environ.items() if not OWN.match(name)}
        homes = {"HOME": str(self.home), "USERPROFILE": str(self.home)}  # the latter on Windows
        self.shut = {**kept, **homes, "PYTHONPATH": str(guard), "PYTHONUTF8": "1"}

    def install(self, requirement: str, *options: str) -> None:
        """Let pip install into the environment, which is made if it is not there, and check it."""
        if not self.environment.exists():
            subprocess.run([sys.executable, "-m", "venv", self.environment], check=True)
        command = [self.python, "-m", "pip", "install", "--quiet", *options, requirement]
        subprocess.run(command, check=True, cwd=self.folder, env=self.open)
        self.run(self.python, "-m", "pip", "check")

    def run(self, *words: object, code: int = 0) -> str:
        """Run a command of the environment without a network; returns what it printed. Stop if it
        ends with another code than this.
        """
        began = time.monotonic()
        command = [str(word) for word in words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.shut, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        shown = " ".join(" ".join(command[1:]).split())[:90]
        print(f"{time.monotonic() - began:6.1f} s  {shown}", flush=True)
        if done.returncode != code:
            sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def genie_mini(self, words: str, code: int = 0) -> str:
        """Run `genie-mini` with these words."""
        return self.run(self.program, *words.split(), code=code)

    def expect(self, what: str, holds: object) -> None:
        """Stop if something does not hold."""
        if not holds:
            sys.exit(f"not so: {what}")


def try_play(trial: Trial, engine: str) -> None:
    """Open the page of `genie-mini play`, begin a world, play a frame through an engine, and stop
    by Ctrl-C.
    """
    # A shell's background job ignores Ctrl-C, and whatever it starts would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [str(trial.program), "play", "--no-browser", "--engine", engine]
    group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {}
    server = subprocess.Popen(
        command, cwd=trial.folder, env=trial.shut, stdout=subprocess.PIPE, text=True, **group
    )
    try:
        line = server.stdout.readline()
        address = re.search(r"http://\S+", line)
        trial.expect(f"play says where it is: {line!r}", address)
        page = urllib.request.urlopen(address[0], timeout=60).read().decode()
        trial.expect("the page holds the player", "genie-player" in page)
        begin = {"type": "begin", "game": "a", "seed": 0}
        step = {"type": "step", "game": "a", "action": 2}
        step |= {"maskgitSteps": 2, "temperature": 1.0, "minP": 0.0}
        size = 64 * 64 * 3 * 4  # bytes of a frame of `mini`, float32
        for message, picture in ((begin, bytes(size)), (step, b"")):
            body = json.dumps(message).encode() + b"\n" + picture
            request = urllib.request.Request(address[0].rstrip("/") + "/game", body)
            answer = urllib.request.urlopen(request, timeout=60).read()
            trial.expect("a frame comes back", len(answer.partition(b"\n")[2]) == size)
        server.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
        code = server.wait(timeout=60)
        trial.expect(f"Ctrl-C ends it, with {code}", code == 0 or os.name == "nt")
    finally:
        server.kill()
    print(f"          play, {engine}", flush=True)


def try_all(trial: Trial, wheel: Path, oldest: bool) -> None:
    """Everything that needs no extra, then what the extra `export` brings, which needs newer
    packages than the rest.
    """
    trial.install(str(wheel), *(oldest_options(trial.folder) if oldest else ()))
    found = Path(trial.run(trial.python, "-c", WHERE).strip())
    trial.expect(f"{found} is the wheel's", found.is_relative_to(trial.environment.resolve()))
    version = wheel.name.split("-")[1]
    told = trial.genie_mini("--version").strip()
    trial.expect(f"{told!r} is the wheel's version", told == f"genie-mini {version}")
    again = trial.run(trial.python, "-m", "genie_mini.cli", "--version").strip()
    trial.expect(f"the module is the command, {again!r}", again == told)
    trial.genie_mini("record --out films --clips 40 --size 32")
    trial.genie_mini(TRAIN)
    trial.genie_mini(EVALUATE)
    trial.genie_mini(SCORES)
    try_play(trial, "auto")
    trial.run(trial.python, "-c", GYMNASIUM)
    trial.run(trial.python, "-c", CHAPTERS)
    told = trial.genie_mini("export --weights run --out onnx", code=2)
    trial.expect(f"what to install is told: {told}", "genie-mini[export]" in told)
    trial.install(f"{wheel}[export]", *(oldest_options(trial.folder, "export") if oldest else ()))
    trial.genie_mini("export --weights run --out onnx")
    trial.expect("an export lies there", (trial.folder / "onnx" / "world.json").is_file())
    try_play(trial, "onnxruntime")
    told = trial.genie_mini("export --weights run --page world.html", code=2)
    trial.expect(f"where onnxruntime-web comes from is told: {told}", "npm install" in told)
    kept = {path.name for path in (trial.home / ".cache").iterdir()}
    trial.expect(f"only ours is kept at home: {kept}", kept <= {"genie-mini", "matplotlib"})


def oldest_options(folder: Path, *extras: str) -> list[str]:
    """Options with which pip takes the lowest versions that pyproject.toml admits."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate"]
    command += ["--no-header", "--resolution", "lowest-direct", "pyproject.toml"]
    command += [word for extra in extras for word in ("--extra", extra)]
    command += ["--python-version", ".".join(map(str, sys.version_info[:2]))]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    file = folder / "oldest.txt"
    file.write_text(done.stdout, encoding="utf-8")
    return ["--constraint", str(file)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--oldest", action="store_true", help="the oldest packages, not the newest")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try_all(Trial(Path(name).resolve()), arguments.wheel.resolve(), arguments.oldest)
    print("the wheel does what it should")


if __name__ == "__main__":
    main()
