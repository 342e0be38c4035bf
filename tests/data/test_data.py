"""Clips to train on: from folders of arrays and videos, the same for the same key, and one clear
error each.
"""

import wave

import av
import numpy as np
import pytest
import torch
from PIL import Image

from genie_mini.data.pictures import read_picture
from genie_mini.data.platformer import PlatformerVideos, returning_actions
from genie_mini.data.video_files import VideoFolder
from genie_mini.world.simulation import DASH_LEFT, DASH_RIGHT, LEFT, NOTHING, RIGHT

GREYS = [12 * index for index in range(20)]


def grey_frames(values=GREYS, height=16, width=16):
    return np.stack([np.full((height, width, 3), value, dtype=np.uint8) for value in values])


def write_mp4(path, frames, rate):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def numbers(recording):
    """Which entry of GREYS each frame of a recording shows."""
    means = recording.reshape(len(recording), -1).mean(axis=1)
    return [int(index) for index in np.abs(means[:, None] - np.array(GREYS)).argmin(axis=1)]


@pytest.mark.parametrize(
    "rate, expected",
    [(10, list(range(20))), (20, list(range(0, 20, 2))), (30, list(range(0, 20, 3)))],
)
def test_videos_are_read_at_ten_frames_a_second(tmp_path, rate, expected):
    write_mp4(tmp_path / "film.mp4", grey_frames(), rate)
    (recording,) = VideoFolder(tmp_path, 16).recordings
    assert recording.shape == (len(expected), 16, 16, 3) and recording.dtype == np.uint8
    assert numbers(recording) == expected


def test_slow_videos_repeat_frames(tmp_path):
    write_mp4(tmp_path / "film.mp4", grey_frames(), 5)
    seen = numbers(VideoFolder(tmp_path, 16).recordings[0])
    assert seen == sorted(seen) and set(seen) == set(range(20))
    assert all(seen.count(index) == 2 for index in range(1, 19))


def test_a_video_that_starts_late_does_not_repeat_its_first_frame(tmp_path):
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 16
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for index, picture in enumerate(grey_frames()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index + 30
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert numbers(VideoFolder(tmp_path, 16).recordings[0]) == list(range(20))


def test_gifs_are_read(tmp_path):
    pictures = [Image.fromarray(frame) for frame in grey_frames()]
    pictures[0].save(tmp_path / "film.gif", save_all=True, append_images=pictures[1:], duration=100)
    assert numbers(VideoFolder(tmp_path / "film.gif", 16).recordings[0]) == list(range(20))


def test_videos_are_cropped_to_their_middle_and_scaled(tmp_path):
    frames = np.zeros((3, 64, 96, 3), dtype=np.uint8)
    frames[:, :, 16:80] = 200  # the middle square is grey, what is cut off is black
    write_mp4(tmp_path / "wide.mp4", frames, 10)
    (recording,) = VideoFolder(tmp_path, 16).recordings
    assert recording.shape == (3, 16, 16, 3)
    assert np.abs(recording.astype(int) - 200).max() < 40


def test_arrays_of_one_and_of_many_clips(tmp_path):
    np.save(tmp_path / "one.npy", grey_frames())
    np.save(tmp_path / "many.npy", np.stack([grey_frames(range(6)), grey_frames(range(100, 106))]))
    (tmp_path / "notes.txt").write_text("not a recording")
    recordings = VideoFolder(tmp_path, 16).recordings
    assert sorted(len(recording) for recording in recordings) == [6, 6, 20]
    batch = VideoFolder(tmp_path, 16).batch(8, 6, [0])
    assert batch.shape == (8, 6, 16, 16, 3) and batch.dtype == torch.float32
    assert 0 <= batch.min() and batch.max() <= 1


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


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        VideoFolder(tmp_path / "nowhere", 16)
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(ValueError, match=r"holds no recordings.*\.mp4"):
        VideoFolder(tmp_path, 16)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 16, 20, 3), dtype=np.uint8),
        np.zeros((5, 32, 32, 3), dtype=np.uint8),
        np.zeros((16, 16, 3), dtype=np.uint8),
        np.zeros((5, 16, 16, 3), dtype=np.float32),
    ],
)
def test_arrays_of_a_wrong_shape_or_type(tmp_path, array):
    np.save(tmp_path / "wrong.npy", array)
    with pytest.raises(ValueError, match=r"wrong\.npy must hold bytes of shape"):
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
            write_mp4(path, grey_frames(height=64, width=64), 10)
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


def test_a_picture_becomes_a_prompt(tmp_path):
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    picture[:, 10:50] = (255, 0, 51)
    Image.fromarray(picture).save(tmp_path / "prompt.png")
    prompt = read_picture(tmp_path / "prompt.png", 16)
    assert prompt.shape == (16, 16, 3) and prompt.dtype == torch.float32
    torch.testing.assert_close(prompt, torch.tensor([1, 0, 0.2]).expand(16, 16, 3))


@pytest.mark.parametrize("content", [None, b"", b"this is not a picture"])
def test_pictures_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / "prompt.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"prompt\.png"):
        read_picture(path, 16)


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
