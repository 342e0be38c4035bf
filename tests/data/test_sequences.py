"""Numbered pictures are one film, in the order of their numbers."""

import os

import numpy as np
import pytest
from PIL import Image
from writing import grey_frames, greys

from genie_mini.data.sources import cached_films
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError


def save_picture(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (grey,) * 3).save(path)


@pytest.mark.parametrize("ending", ["png", "bmp", "TIF", "webp"])
def test_numbered_pictures_are_one_film_in_the_order_of_their_numbers(tmp_path, ending):
    for number in (1, 2, 9, 10, 100):
        options = {"lossless": True} if ending == "webp" else {}
        Image.new("RGB", (20, 20), (number,) * 3).save(
            tmp_path / f"run-{number}.{ending}", **options
        )
    assert greys(tmp_path) == [[1, 2, 9, 10, 100]]


def test_names_folders_and_endings_tell_sequences_apart(tmp_path):
    for name in ("a/0001.png", "a/0002.png", "b/x1.png", "b/x2.png", "b/y1.png", "b/y2.bmp"):
        save_picture(tmp_path / name, 10 * ord(name[0]) % 200 + int(name[-5]))
    np.save(tmp_path / "clip.npy", grey_frames([7, 8]))
    videos = VideoFolder(tmp_path, 16)
    assert [len(recording) for recording in videos.recordings] == [2, 2, 2]
    skipped = {file.name: why for file, why in videos.skipped.items()}
    assert skipped == {"y1.png": "is a still picture", "y2.bmp": "is a still picture"}


def test_of_a_sequence_what_cannot_be_read_is_left_out_and_named(tmp_path, caplog):
    for number in (1, 2, 3):
        save_picture(tmp_path / f"{number}.jpg", 40)
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "4.jpg").write_bytes(b"")
    assert [len(film) for film in greys(tmp_path)] == [2]
    assert "2.jpg cannot be read" in caplog.text and "4.jpg is empty" in caplog.text
    for number in (1, 3):
        (tmp_path / f"{number}.jpg").write_bytes(b"neither")
    with pytest.raises(GenieError, match=r"no recordings that can be read: .*1\.jpg"):
        VideoFolder(tmp_path, 16)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_a_sequence_is_not_waited_for(tmp_path):
    for number in (2, 3):
        save_picture(tmp_path / f"{number}.png", 40)
    os.mkfifo(tmp_path / "1.png")
    assert [len(film) for film in greys(tmp_path)] == [2]


def test_numbered_pictures_that_move_are_films_of_their_own(tmp_path):
    frames = [Image.new("RGB", (16, 16), (grey,) * 3) for grey in (50, 90)]
    for number in (1, 2):
        frames[0].save(
            tmp_path / f"{number}.png", save_all=True, append_images=frames[1:], duration=100
        )
    assert greys(tmp_path) == [[50, 90], [50, 90]]


def test_a_sequence_is_a_film_of_a_cache_and_any_picture_of_it_makes_it_another(tmp_path):
    for number in range(30):
        save_picture(tmp_path / "films" / f"{number}.png", 100)
    folder = cached_films(str(tmp_path / "films"), (16, 16), tmp_path, progress=False)
    assert (folder / "frames.bin").stat().st_size == 30 * 16 * 16 * 3
    save_picture(tmp_path / "films" / "30.png", 100)
    assert cached_films(str(tmp_path / "films"), (16, 16), tmp_path, progress=False) != folder
