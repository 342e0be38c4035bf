"""What of a folder is read: recordings wherever they lie, never the truth; the rest is named."""

import os
import sys

import numpy as np
import pytest
from PIL import Image
from writing import grey_frames

from genie_mini.data.video_files import VideoFolder, find_files
from genie_mini.errors import GenieError


def save_clip(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, grey_frames(range(value, value + 5)))


def first_values(path):
    return [int(recording[0, 0, 0, 0]) for recording in VideoFolder(path, 16).recordings]


def test_sub_folders_are_read_and_the_truth_never(tmp_path):
    for value, name in enumerate(["b.npy", "a/c/z.NPY", "truth/t.npy", "a/Truth/t.npy", "a.npy"]):
        save_clip(tmp_path / name, 10 * value)
    assert first_values(tmp_path) == [40, 10, 0], "in the order of their names"
    (tmp_path / "more").mkdir()
    save_clip(tmp_path / "more" / "preview" / "p.npy", 50)
    assert first_values(tmp_path / "more") == [50], "somebody's own"
    assert not VideoFolder(tmp_path, 16).skipped


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_lead_to_no_loop_and_not_to_the_truth(tmp_path):
    save_clip(tmp_path / "data" / "a.npy")
    save_clip(tmp_path / "data" / "truth" / "t.npy", 10)
    save_clip(tmp_path / "elsewhere" / "e.npy", 20)
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "x").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "y").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "z").symlink_to(tmp_path / "data" / "truth")
    (tmp_path / "data" / "gone.npy").symlink_to(tmp_path / "nowhere.npy")
    assert first_values(tmp_path / "data") == [0, 20]
    skipped = VideoFolder(tmp_path / "data", 16).skipped
    assert list(skipped) == [tmp_path / "data" / "gone.npy"]


def test_hidden_files_are_skipped_without_a_word(tmp_path, caplog):
    save_clip(tmp_path / "a.npy")
    (tmp_path / "._a.npy").write_bytes(b"\0\5\x16\7" + bytes(100))
    (tmp_path / ".DS_Store").write_bytes(b"")
    save_clip(tmp_path / ".trash" / "old.npy", 10)
    assert first_values(tmp_path) == [0]
    assert not VideoFolder(tmp_path, 16).skipped and not caplog.text


def test_what_is_skipped_is_named_and_counted_and_the_others_train(tmp_path, caplog):
    save_clip(tmp_path / "good.npy")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "empty.mp4").write_bytes(b"")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "cover.png")
    for index in range(14):
        (tmp_path / f"notes{index:02}.txt").write_text("no video")
    videos = VideoFolder(tmp_path, 16)
    assert videos.batch(2, 5, [0]).shape == (2, 5, 16, 16, 3)
    assert len(videos.skipped) == 17
    (message,) = caplog.messages
    assert "17 files are skipped" in message and "sub/empty.mp4 is empty" in message
    assert "pickled.npy cannot be read" in message and "cover.png is a still picture" in message
    assert "notes00.txt is of no kind that is read" in message and "notes09.txt" in message
    assert "notes10.txt" not in message and "4 more)" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["pipe.npy", "pipe.mp4", "pipe.gif"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(GenieError, match=name.replace(".", r"\.") + " is empty"):
        VideoFolder(tmp_path, 16)
    with pytest.raises(GenieError, match="is empty"):
        VideoFolder(tmp_path / name, 16)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    save_clip(tmp_path / "open" / "a.npy")
    save_clip(tmp_path / "shut" / "b.npy")
    list_folder = os.scandir

    def scandir(folder):
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    files, skipped = find_files(tmp_path)
    assert files == [tmp_path / "open" / "a.npy"]
    assert skipped == {tmp_path / "shut": "cannot be read: Permission denied"}


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    for name in ("a.npy", "b.mp4", "c.gif"):
        (tmp_path / name).write_bytes(b"something")
        (tmp_path / name).chmod(0)
    with pytest.raises(GenieError, match=r"a\.npy .*; b\.mp4 .*; c\.gif "):
        VideoFolder(tmp_path, 16)


def test_a_folder_called_like_a_video(tmp_path):
    save_clip(tmp_path / "takes.mp4" / "a.npy")
    assert first_values(tmp_path) == [0]
