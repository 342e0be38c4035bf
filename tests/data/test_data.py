"""Clips to train on: from folders of arrays and videos, the same for the same key, and one clear
error each.
"""

import wave

import numpy as np
import pytest
import torch
from PIL import Image
from writing import grey_frames, write_video

from genie_mini import cli
from genie_mini.data.platformer import PlatformerVideos, returning_actions
from genie_mini.data.platformer_files import record_files
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError
from genie_mini.presets import PRESETS
from genie_mini.training.config import TRAINING_PRESETS
from genie_mini.world import record
from genie_mini.world.simulation import DASH_LEFT, DASH_RIGHT, LEFT, NOTHING, RIGHT


def test_arrays_of_one_and_of_many_clips(tmp_path):
    np.save(tmp_path / "one.npy", grey_frames())
    np.save(tmp_path / "many.npy", np.stack([grey_frames(range(6)), grey_frames(range(100, 106))]))
    (tmp_path / "notes.txt").write_text("not a recording")
    recordings = VideoFolder(tmp_path, 16).recordings
    assert sorted(len(recording) for recording in recordings) == [6, 6, 20]
    batch = VideoFolder(tmp_path, 16).batch(8, 6, [0])
    assert batch.shape == (8, 6, 16, 16, 3) and batch.dtype == torch.float32
    assert 0 <= batch.min() and batch.max() <= 1


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_arrays_of_another_size_are_fitted(tmp_path, fit):
    wide = np.zeros((2, 5, 16, 32, 3), dtype=np.uint8)
    wide[..., 8:24, :] = 200
    np.save(tmp_path / "wide.npy", wide)
    recordings = VideoFolder(tmp_path, 16, fit).recordings
    assert [recording.shape for recording in recordings] == 2 * [(5, 16, 16, 3)]
    share = {"crop": 1, "pad": 1 / 4, "stretch": 1 / 2}[fit]
    assert all((recording == 200).mean() == share for recording in recordings)


def test_frames_need_not_be_square(tmp_path):
    np.save(tmp_path / "clips.npy", np.full((2, 5, 9, 16, 3), 7, np.uint8))
    assert VideoFolder(tmp_path, (9, 16)).batch(3, 5, [0]).shape == (3, 5, 9, 16, 3)
    assert VideoFolder(tmp_path, (18, 30)).batch(3, 5, [0]).shape == (3, 5, 18, 30, 3)


def test_what_record_makes_by_default_every_preset_can_train_on(tmp_path):
    recorded = cli.build_parser().parse_args(["record", "--out", str(tmp_path)])
    size, frames = recorded.size, recorded.frames
    record_files(tmp_path, 4, frames, size=size, seed=0, preview=True)
    assert cli.build_parser().parse_args(["train", "--out", "x"]).preset is None
    for preset, config in TRAINING_PRESETS.items():
        image_size = PRESETS[preset]().tokenizer.image_size
        videos = VideoFolder(tmp_path, image_size)
        assert len(videos.recordings) == 4 and not videos.skipped
        assert videos.batch(2, config.num_frames, [0]).shape[2:4] == image_size
    small, _ = record(4, frames, size=32, seed=[0, 0])
    fitted = np.stack(VideoFolder(tmp_path, 32).recordings)
    assert np.abs(fitted / 255 - small).max() < 0.005, "as if recorded at that size"


def test_the_command_line_fits_data_and_prompts(tmp_path, monkeypatch):
    wide = np.zeros((20, 16, 32, 3), dtype=np.uint8)
    wide[..., 8:24, :] = 200
    np.save(tmp_path / "wide.npy", wide)
    Image.fromarray(wide[0]).save(tmp_path / "wide.png")
    given = []

    def train(genie, videos, *_, **__):
        given.append((videos.batch(1, 1, [0])[0, 0] * 255).numpy())

    class Stopped(Exception):
        pass

    def play(genie, names, prompt, **_):
        given.append((prompt * 255).numpy())
        raise Stopped

    monkeypatch.setattr(cli.train, "train", train)
    monkeypatch.setattr(cli.play, "PlayServer", play)
    data, out = str(tmp_path / "wide.npy"), str(tmp_path / "run")
    for options in ([], ["--fit", "pad"], ["--fit", "stretch"]):
        assert cli.main(["train", "--data", data, "--out", out, *options]) == 0
        with pytest.raises(Stopped):
            words = ["play", "--engine", "torch", "--prompt", str(tmp_path / "wide.png")]
            cli.main([*words, *options])
    assert [frame.shape[0] for frame in given] == 3 * [32, 64], "pocket's and mini's"
    assert [(frame > 0).mean() for frame in given] == [1, 1, 1 / 4, 1 / 4, 1 / 2, 1 / 2]


@pytest.mark.parametrize(
    "words, source", [(["train", "--out", "run"], "--data"), (["play"], "--prompt")]
)
def test_a_fit_for_nothing_is_refused(words, source, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, "--fit", "pad"]) == 2
    assert f"--fit is for {source}, which is not given" in capsys.readouterr().err


# clips


def test_clips_are_cut_whole_from_one_recording_and_from_all_of_it(tmp_path):
    np.save(tmp_path / "up.npy", grey_frames(range(20)))
    np.save(tmp_path / "other.npy", grey_frames(range(100, 105)))
    batch = (VideoFolder(tmp_path, 16).batch(400, 4, [1])[:, :, 0, 0, 0] * 255).round().long()
    assert (batch.diff(dim=1) == 1).all(), "frames follow each other"
    assert set(batch[:, 0].tolist()) == {*range(17), 100, 101}
    share = (batch[:, 0] < 50).float().mean().item()
    assert share == pytest.approx(17 / 19, abs=0.05), "longer recordings are drawn from more often"


@pytest.mark.parametrize("kind", ["platformer", "folder"])
def test_the_same_key_gives_the_same_clips(tmp_path, kind):
    np.save(
        tmp_path / "one.npy",
        np.random.default_rng(0).integers(256, size=(50, 32, 32, 3)).astype(np.uint8),
    )
    videos = PlatformerVideos(32) if kind == "platformer" else VideoFolder(tmp_path, 32)
    first = videos.batch(4, 3, [0, 1, 2])
    assert first.shape == (4, 3, 32, 32, 3) and first.dtype == torch.float32
    videos.batch(4, 3, [5])  # what was asked for in between plays no part
    assert torch.equal(first, videos.batch(4, 3, [0, 1, 2]))
    assert not torch.equal(first, videos.batch(4, 3, [0, 1, 3]))


# errors


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        VideoFolder(tmp_path / "nowhere", 16)
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(ValueError, match=r"holds no recordings.*\.mp4"):
        VideoFolder(tmp_path, 16)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((16, 16, 3), dtype=np.uint8),
        np.zeros((5, 16, 16, 4), dtype=np.uint8),
        np.zeros((2, 2, 5, 16, 16, 3), dtype=np.uint8),
        np.zeros((5, 16, 16, 3), dtype=np.float32),
        np.zeros((5, 16, 16, 3), dtype=np.int8),
    ],
)
def test_arrays_of_a_wrong_shape_or_type(tmp_path, array):
    np.save(tmp_path / "wrong.npy", array)
    with pytest.raises(ValueError, match=r"wrong\.npy must hold bytes of shape"):
        VideoFolder(tmp_path, 16)


@pytest.mark.parametrize(
    "shape", [(0, 16, 16, 3), (0, 4, 16, 16, 3), (4, 0, 16, 16, 3), (4, 0, 16, 3), (4, 0, 0, 3)]
)
def test_arrays_without_frames(tmp_path, shape):
    np.save(tmp_path / "none.npy", np.zeros(shape, np.uint8))
    with pytest.raises(GenieError, match=r"none\.npy holds no frames: its shape is \("):
        VideoFolder(tmp_path, 16)


def test_damaged_headers_of_arrays(tmp_path):
    np.save(tmp_path / "clips.npy", grey_frames())
    content = (tmp_path / "clips.npy").read_bytes()
    shape = b"(20, 16, 16, 3)"
    for other in (
        b"(20, 16, 16, -3", b"(20, 16, 16, 3", b"(9e9, 16, 16, 3", b"(" * 14, b"(None, 1, 1, 3)",
        b"(99999999999999", b"(9999999, 6, 3)", b"\xff" * 15, b"{}[]()lambda:0 ",
    ):  # fmt: skip
        (tmp_path / "clips.npy").write_bytes(content.replace(shape, other.ljust(len(shape))))
        with pytest.raises(GenieError, match=r"clips\.npy cannot be read"):
            VideoFolder(tmp_path / "clips.npy", 16)


def test_arrays_of_too_many_pixels(tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (1, 10_000, 10_000, 3)}
    with open(tmp_path / "large.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(300_000_128)  # takes no room on most disks
    with pytest.raises(GenieError, match=r"large\.npy has 10000x10000 pixels"):
        VideoFolder(tmp_path, 16)


def test_recordings_that_are_too_short(tmp_path):
    np.save(tmp_path / "short.npy", grey_frames(range(5)))
    with pytest.raises(
        ValueError, match="clips of 6 frames are needed, but the longest recording has 5"
    ):
        VideoFolder(tmp_path, 16).batch(2, 6, [0])


def damaged(tmp_path, kind):
    path = tmp_path / f"bad.{kind.split()[-1]}"
    if kind.startswith("truncated"):
        if path.suffix == ".npy":
            np.save(path, grey_frames())
        else:
            write_video(path, grey_frames(height=64, width=64))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind.startswith("empty"):
        path.write_bytes(b"")
    elif kind.startswith("foreign"):
        path.write_bytes(b"this is not a recording" * 20)
    elif kind.startswith("pickled"):
        np.save(path, np.array([{"frames": 1}], dtype=object), allow_pickle=True)
    elif kind.startswith("sound"):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(8000))
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "truncated npy",
        "truncated mp4",
        "empty npy",
        "empty mp4",
        "foreign npy",
        "foreign gif",
        "pickled npy",
        "sound mp4",
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, kind):
    path = damaged(tmp_path, kind)
    with pytest.raises(ValueError, match=path.name.replace(".", r"\.")):
        VideoFolder(tmp_path, 16)


def test_returning_players_walk_their_way_back():
    clips = PlatformerVideos(32, returning=True).batch(4, 48, [0, 3])
    assert clips.shape == (4, 48, 32, 32, 3)
    assert torch.equal(clips, PlatformerVideos(32, returning=True).batch(4, 48, [0, 3]))
    assert not torch.equal(clips, PlatformerVideos(32).batch(4, 48, [0, 3]))
    steps = np.array([0, -4, 4, 0, -4, 4, -8, 8])
    returned = 0
    for seed in range(40):
        excursions = [
            clip
            for clip in returning_actions(np.random.default_rng(seed), 2, 200)
            if (clip == NOTHING).mean() > 0.5
        ]
        for clip in excursions:
            assert set(clip) <= {NOTHING, LEFT, RIGHT, DASH_LEFT, DASH_RIGHT}
            way = np.cumsum(steps[clip])
            returned += np.abs(way).max() > 0 and (way[20:] == 0).any()
    assert returned > 20, "most clips, and each comes back to where it began"
    alone = [
        (returning_actions(np.random.default_rng(seed), 1, 60) == NOTHING).mean() > 0.3
        for seed in range(60)
    ]
    assert 35 < sum(alone) < 55, (
        "a batch of one clip is sometimes of the one kind and sometimes of the other"
    )
