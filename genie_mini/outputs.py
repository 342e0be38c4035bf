"""The places that a command will write to: tried before the work that is to end there, so that
minutes are not lost, nor what lies there; one writer at a time; and what is made once and kept in a
person's cache.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
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


def user_cache() -> Path:
    """The folder of this person's caches: the environment variable GENIE_MINI_CACHE, or else
    .cache/genie-mini in the home folder.
    """
    chosen = os.environ.get("GENIE_MINI_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "genie-mini"


def fill_once(folder: Path, is_whole: Callable[[], bool], fill: Callable[[Path], None]) -> None:
    """Fill a folder, whole or not at all, unless that was done before. Of processes that come for
    it together the first fills it, the others wait.

    Args:
        folder: made with those above it; what it holds and is not whole is replaced.
        is_whole: whether nothing is to be done.
        fill: writes into the empty folder that it is given, which then becomes this one.
    """
    if is_whole():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with FileLock(lock):
        try:
            if not is_whole():
                _replace(folder, fill)
        finally:
            with suppress(OSError):  # gone already; or open, which on Windows keeps it
                lock.unlink()


def _replace(folder, fill):
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        partial.mkdir()
        fill(partial)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
