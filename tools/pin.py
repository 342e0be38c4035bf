"""Pin what pyproject.toml resolves to on every system, and the files that may be installed.

    pip install uv
    python tools/pin.py                   # keep today's versions where they still fit
    python tools/pin.py --upgrade         # the newest that fit
    python tools/pin.py some/torch.whl    # files that are not on the index, but may be used instead

constraints.txt holds the versions, for people and for conda. requirements.txt holds the same with
the SHA-256 of each file, for `pip --require-hashes`, which run.py calls; requirements-cuda.txt what
PyTorch for Linux with CUDA needs beside them.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA = re.compile(r"nvidia|cuda|triton")
HEADERS = {
    "constraints.txt": (
        "# Everything that `pip install -e .[book,test]` resolves to on Linux, macOS and Windows,\n"
        "# Python 3.11 or newer. Refresh: tools/pin.py, which says how.\n"
    ),
    "requirements.txt": (
        "# The pins of constraints.txt with the files that they may be, written by tools/pin.py:\n"
        "#   pip install --require-hashes --no-deps -r requirements.txt\n"
        "#   pip install --no-deps --no-build-isolation -e .\n"
    ),
    "requirements-cuda.txt": (
        "# What PyTorch for Linux with CUDA needs beside requirements.txt; run.py installs it\n"
        "# where pip found that PyTorch. Written by tools/pin.py.\n"
    ),
}


def resolve(*arguments: str) -> list[str]:
    """Ask uv for a list of pins; returns one text for each, with the lines of its hashes."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    return re.findall(r"^\S.*\n(?:[ ]+--hash.*\n)*", done.stdout, flags=re.MULTILINE)


def with_wheels(pins: list[str], wheels: list[Path]) -> list[str]:
    """Add the hashes of these wheels to the pins of the same name and version."""
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        start = f"{name.replace('_', '-').lower()}=={version.split('+')[0]} "
        if not any(pin.startswith(start) for pin in pins):
            sys.exit(f"{wheel.name}: no pin begins with {start!r}")
        line = f" \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        pins = [pin.rstrip("\n") + line if pin.startswith(start) else pin for pin in pins]
    return pins


def write(name: str, pins: list[str]) -> None:
    (ROOT / name).write_text(HEADERS[name] + "".join(pins), encoding="utf-8", newline="\n")
    print(f"{name}: {len(pins)} packages, {''.join(pins).count('--hash')} files")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheels", nargs="*", type=Path)
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args()

    today = [] if options.upgrade else ["--constraints", "constraints.txt"]
    pins = resolve("pyproject.toml", "--all-extras", *today)
    write("constraints.txt", [pin for pin in pins if not CUDA.match(pin)])
    files = resolve("constraints.txt", "--generate-hashes", "--no-deps")
    write("requirements.txt", with_wheels(files, options.wheels))
    all_files = resolve(
        "pyproject.toml", "--all-extras", "--generate-hashes", "--constraints", "constraints.txt"
    )
    write("requirements-cuda.txt", [pin for pin in all_files if CUDA.match(pin)])


if __name__ == "__main__":
    main()
