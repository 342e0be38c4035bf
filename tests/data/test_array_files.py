"""Frames in .npz and HDF5 files are read wherever in them they lie; what else is there is not, nor
what lies in other files.
"""

import sys

import h5py
import numpy as np
import pytest
from writing import grey_frames, greys

from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError


def held_by(file):
    """An error of a file that holds no frames."""
    with pytest.raises(GenieError) as error:
        VideoFolder(file, 16)
    return str(error.value)


def test_frames_in_an_npz_file_are_read_and_what_else_is_in_it_is_not(tmp_path):
    frames = grey_frames(range(5))
    clips = np.stack([grey_frames(range(10, 13)), grey_frames(range(20, 23))])
    np.savez_compressed(tmp_path / "a.npz", frames=frames, clips=clips, actions=np.arange(5))
    assert greys(tmp_path) == [[0, 1, 2, 3, 4], [10, 11, 12], [20, 21, 22]]


@pytest.mark.parametrize("held", [{}, {"actions": np.arange(3)}, {"a": np.array([{}], object)}])
def test_an_npz_file_without_frames_says_what_it_holds(tmp_path, held):
    np.savez(tmp_path / "a.npz", **held)
    with pytest.raises(GenieError, match=r"a\.npz (must hold bytes of shape|cannot be read)"):
        VideoFolder(tmp_path / "a.npz", 16)
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(GenieError, match="cannot be read"):
        VideoFolder(tmp_path / "a.npz", 16)


@pytest.mark.parametrize("ending", ["h5", "HDF5"])
def test_frames_in_an_hdf5_file_are_read_in_whatever_group(tmp_path, ending):
    with h5py.File(tmp_path / f"a.{ending}", "w") as file:
        file["actions"] = np.arange(5)
        file["done"] = True
        file["name"] = "a game"
        file.create_dataset("episode_1/frames", data=grey_frames(range(5)), compression="gzip")
        file["episode_2/clips"] = np.stack([grey_frames([7, 8]), grey_frames([9, 10])])
    assert greys(tmp_path) == [[0, 1, 2, 3, 4], [7, 8], [9, 10]]


def test_an_hdf5_file_leads_to_no_other_file(tmp_path):
    grey_frames(range(5)).tofile(tmp_path / "secret.bin")
    with h5py.File(tmp_path / "elsewhere.h5", "w") as other:
        other["frames"] = grey_frames(range(5))
    layout = h5py.VirtualLayout(shape=grey_frames(range(5)).shape, dtype=np.uint8)
    layout[:] = h5py.VirtualSource(tmp_path / "elsewhere.h5", "frames", layout.shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(tmp_path / "elsewhere.h5", "frames")
        file.create_virtual_dataset("virtual", layout)
        outside = [(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("outside", layout.shape, np.uint8, external=outside)
    assert "got no array" in held_by(tmp_path / "a.h5")


def test_hdf5_files_that_cannot_be_used_say_why(tmp_path, monkeypatch):
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as content:
        content["frames"] = grey_frames(range(5)).astype(np.float32)
    assert "got frames float32 (5, " in held_by(file)
    with h5py.File(file, "w") as content:
        content["frames"] = np.empty((0, 16, 16, 3), np.uint8)
    assert "holds no frames" in held_by(file)
    whole = file.read_bytes()
    for damaged in (b"no such file", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        assert "cannot be read" in held_by(file)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert 'needs the package h5py: pip install "genie-mini[hdf5]"' in held_by(file)
