"""The places that a command will write to: tried before the work that is to end there, so that
minutes are not lost, nor what lies there; and one writer at a time.
"""

import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from genie_mini.errors import GenieError

_LOCK = ".genie-mini.lock"


def prepare_folder(folder: Path) -> None:
    """Make a folder, and try whether files can be written into it, before the work that is to end
    there.

    Raises:
        GenieError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"room")
    except OSError as error:
        raise GenieError(f"{folder} is no folder to write into: {error.strerror}") from error


def prepare_file(path: Path, keys: Collection[str]) -> None:
    """Make sure that a JSON object can be written at `path`, before the work that is to end there.

    Args:
        path: of the file; its folder is made.
        keys: some that the object will have. An older file that has them is replaced, and an empty
            one.

    Raises:
        GenieError: the folder cannot be written into, or there lies something else, which would be
            lost.
    """
    prepare_folder(path.parent)
    if not path.exists():
        return
    if not path.is_file():  # replacing /dev/null or a folder would be a surprise
        raise GenieError(f"{path} is no file: give the name of one")
    try:
        content = path.read_bytes()
        replaceable = not content or keys <= json.loads(content).keys()
    except (OSError, ValueError, RecursionError, AttributeError):
        replaceable = False
    if not replaceable:
        raise GenieError(
            f"{path} is there and holds something else (a file with {', '.join(keys)} would be "
            "replaced): give another name"
        )


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Let nobody else who asks write into this folder within this context. A process that dies lets
    go.

    Raises:
        GenieError: somebody is writing already.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GenieError(
            f"another genie-mini is writing into {folder}: wait for it, or give another folder"
        ) from None
    try:
        yield
    finally:
        if os.name == "posix":  # on Windows the lock removes its file itself
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
