"""Places to write to are tried before the work, what lies there is not lost, one writes at a time,
and what is kept is made once.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from genie_mini.errors import GenieError
from genie_mini.outputs import fill_once, prepare_file, prepare_folder, sole_writer, user_cache


def test_folders_are_made_and_left_empty(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_takes_no_files_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "gone")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "nowhere"):
        with pytest.raises(GenieError, match=f"{folder} is no folder to write into"):
            prepare_folder(folder)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_full_disk_is_told_at_once(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def write(self, content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Full())
    with pytest.raises(GenieError, match="No space left on device"):
        prepare_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"rows": [], "command": "x", "seed": 0}'])
def test_a_file_of_the_same_kind_is_replaced(tmp_path, content):
    (tmp_path / "table.json").write_bytes(content)
    prepare_file(tmp_path / "table.json", {"rows", "command"})


@pytest.mark.parametrize(
    "content",
    [b'{"rows": []}', b"[1]", b"null", b"my thesis", b"\xff\xd8\xff", b"[" * 100_000, b"{"],
)
def test_a_file_of_another_kind_is_not_replaced(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(GenieError, match="holds something else"):
        prepare_file(path, {"rows", "command"})
    assert path.read_bytes() == content


def test_what_is_no_file_is_not_replaced(tmp_path):
    with pytest.raises(GenieError, match="is no file"):
        prepare_file(tmp_path, {"rows"})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_devices_are_not_replaced():
    with pytest.raises(GenieError, match="/dev/full is no f"):
        prepare_file(Path("/dev/full"), {"rows"})


def test_a_second_writer_is_refused_and_leaves_the_first_alone(tmp_path):
    with sole_writer(tmp_path):
        for _ in range(2):
            with pytest.raises(GenieError, match="another genie-mini is writing into"):
                with sole_writer(tmp_path):
                    pass
    assert list(tmp_path.iterdir()) == []
    with sole_writer(tmp_path):
        pass


def hold(folder, told):
    """Write into a folder for ever."""
    with sole_writer(folder):
        told.set()
        time.sleep(600)


def test_a_writer_that_was_killed_does_not_block(tmp_path):
    # a fork need not import anything anew
    ways = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    told = ways.Event()
    process = ways.Process(target=hold, args=(tmp_path, told))
    process.start()
    try:
        assert told.wait(60)
        with pytest.raises(GenieError, match="another genie-mini"):
            with sole_writer(tmp_path):
                pass
    finally:
        process.kill()
        process.join()
    with sole_writer(tmp_path):
        pass


def test_the_users_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("GENIE_MINI_CACHE", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.delenv("GENIE_MINI_CACHE")
    assert user_cache() == Path.home() / ".cache" / "genie-mini"


def test_a_folder_that_was_stopped_half_way_is_not_there(tmp_path):
    folder = tmp_path / "cache" / "one"

    def stopped(partial):
        (partial / "a").write_bytes(b"half")
        raise KeyboardInterrupt

    def fill(partial):
        (partial / "a").write_bytes(b"whole")

    def is_whole():
        return (folder / "a").exists() and (folder / "a").read_bytes() == b"whole"

    with pytest.raises(KeyboardInterrupt):
        fill_once(folder, is_whole, stopped)
    assert list(folder.parent.iterdir()) == []
    folder.mkdir()
    (folder / "b").write_bytes(b"of another time")
    fill_once(folder, is_whole, fill)
    assert list(folder.parent.iterdir()) == [folder] and list(folder.iterdir()) == [folder / "a"]
    fill_once(folder, is_whole, stopped)  # nothing is to be done
