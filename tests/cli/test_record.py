"""`genie-mini record` finds out before the filming what would stop it at its end, and mixes no two
recordings.
"""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from genie_mini.cli import main
from genie_mini.data import platformer_files
from genie_mini.outputs import sole_writer

Usage = namedtuple("Usage", "total used free")


def record(folder, *words):
    return main(["record", "--out", str(folder), "--clips", "2", "--size", "32", *words])


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def no_filming(monkeypatch):
    def begun(*_, **__):
        pytest.fail("the filming has begun")

    monkeypatch.setattr(platformer_files, "record", begun)


@pytest.mark.usefixtures("no_filming")
@pytest.mark.parametrize("name", ["clips", "clips/truth", "clips/preview"])
def test_a_file_where_a_folder_must_be_is_told_before(tmp_path, wrong, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    assert f"{path} is no folder" in wrong("record", "--out", tmp_path / "clips", "--gif")
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("no_filming")
def test_a_recording_that_does_not_fit_on_the_disk_is_told_before(tmp_path, wrong, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 0, 10**6))
    line = wrong("record", "--out", tmp_path, "--clips", "1000", "--size", "64")
    assert "1000 clips of 16 frames take 0.197 GB" in line and "room for 0.001 GB" in line


@pytest.mark.usefixtures("no_filming")
def test_clips_that_are_too_long_are_told_before(tmp_path, wrong):
    line = wrong("record", "--out", tmp_path, "--clips", "1", "--frames", "1000000")
    assert f"{platformer_files.LONGEST} frames at most" in line


@pytest.mark.usefixtures("no_filming")
def test_clips_of_somebody_are_not_replaced(tmp_path, wrong):
    np.save(tmp_path / "clips.npy", np.zeros(3))
    before = files(tmp_path)
    assert "holds a clips.npy" in wrong("record", "--out", tmp_path)
    assert files(tmp_path) == before


def test_an_earlier_recording_is_replaced(tmp_path):
    assert record(tmp_path) == 0 and record(tmp_path, "--frames", "3") == 0
    assert np.load(tmp_path / "clips.npy").shape[:2] == (2, 3)


def test_two_recordings_into_one_folder_are_refused(tmp_path, wrong):
    with sole_writer(tmp_path):
        assert "another genie-mini" in wrong("record", "--out", tmp_path, "--clips", "2")


@pytest.mark.parametrize("stops_at", [1, 2])
def test_no_clips_ever_lie_beside_the_truth_of_others(
    tmp_path, monkeypatch, stop_replacing, stops_at
):
    record(tmp_path)
    old = files(tmp_path)
    stop_replacing(stops_at)
    assert record(tmp_path, "--seed", "1") == 130
    assert "truth.npz" not in files(tmp_path)
    assert (files(tmp_path)["clips.npy"] == old["clips.npy"]) == (stops_at == 1)
    monkeypatch.undo()
    assert record(tmp_path, "--seed", "1") == 0 and "truth.npz" in files(tmp_path)


def test_longer_clips_are_filmed_fewer_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(platformer_files, "_BATCH_FRAMES", 4)
    counts, real = [], platformer_files.record
    monkeypatch.setattr(
        platformer_files,
        "record",
        lambda count, *rest, **more: counts.append(count) or real(count, *rest, **more),
    )
    assert record(tmp_path, "--clips", "5", "--frames", "128") == 0
    assert counts == [2, 2, 1]
