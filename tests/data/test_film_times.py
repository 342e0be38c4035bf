"""A film is read at ten frames a second, each shown from its time until the next one's; where the
clock jumps, another recording begins.
"""

import numpy as np
import pytest
from writing import (
    ANIMATIONS,
    GREYS,
    grey_frames,
    numbers,
    seen,
    write_animation,
    write_lossless,
    write_video,
)

from genie_mini.data import films
from genie_mini.data.video_files import VideoFolder


@pytest.mark.parametrize(
    "rate, expected",
    [(10, list(range(20))), (20, list(range(0, 20, 2))), (30, list(range(0, 20, 3)))],
)
def test_videos_are_read_at_ten_frames_a_second(tmp_path, rate, expected):
    write_video(tmp_path / "film.mp4", grey_frames(), rate)
    (recording,) = VideoFolder(tmp_path, 16).recordings
    assert recording.shape == (len(expected), 16, 16, 3) and recording.dtype == np.uint8
    assert numbers(recording) == expected


def test_slow_videos_repeat_frames(tmp_path):
    write_video(tmp_path / "film.mp4", grey_frames(), 5)
    seen = numbers(VideoFolder(tmp_path, 16).recordings[0])
    assert seen == sorted(seen) and set(seen) == set(range(20))
    assert all(seen.count(index) == 2 for index in range(20))


def test_a_video_that_starts_late_does_not_repeat_its_first_frame(tmp_path):
    times = [100 * index + 3000 for index in range(20)]
    write_lossless(tmp_path / "late.mkv", grey_frames(), times=times)
    assert seen(tmp_path / "late.mkv") == [list(range(20))]


def test_a_frame_is_shown_from_its_time_until_the_next_ones(tmp_path):
    write_lossless(
        tmp_path / "pause.mkv", grey_frames(GREYS[:6]), times=[0, 90, 200, 1200, 1250, 1310]
    )
    assert seen(tmp_path / "pause.mkv") == [[0, 1, *10 * [2], 3, 4]]


def test_times_may_be_rounded(tmp_path):
    times = [0, 101, 199, 301, 400, 502]
    write_lossless(tmp_path / "film.mkv", grey_frames(GREYS[:6]), times=times)
    assert seen(tmp_path / "film.mkv") == [list(range(6))]


def test_the_times_of_a_container_that_knows_only_the_order_of_decoding(tmp_path):
    frames = grey_frames(height=64, width=64)  # large enough to be decoded in another order
    write_video(tmp_path / "film.avi", frames, codec="libx264")
    assert seen(tmp_path / "film.avi") == [list(range(20))]


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_every_picture_of_an_animation_lasts_as_long_as_it_says(tmp_path, kind):
    write_animation(tmp_path / f"film.{kind}", [100, 300, 250, 500])
    assert seen(tmp_path / f"film.{kind}") == [[0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]]


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_pictures_without_a_duration_last_a_tenth_of_a_second(tmp_path, kind):
    write_animation(tmp_path / f"film.{kind}", 4 * [0])
    assert seen(tmp_path / f"film.{kind}") == [[0, 1, 2, 3]]


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_long_jump_begins_another_recording(tmp_path, ending):
    file = tmp_path / f"jump.{ending}"
    write = write_lossless if ending == "mkv" else write_video
    write(file, grey_frames(GREYS[:4]), times=[0, 100, 21_600_000, 21_600_100])
    assert seen(file) == [[0, 1], [2, 3]]


def test_a_pause_is_filled_up_to_its_longest(tmp_path):
    pause = round(1000 * films.LONGEST_STILL)
    write_lossless(tmp_path / "film.mkv", grey_frames(GREYS[:2]), times=[0, pause])
    assert seen(tmp_path / "film.mkv") == [pause // 100 * [0] + [1]]
    write_lossless(tmp_path / "film.mkv", grey_frames(GREYS[:2]), times=[0, pause + 100])
    assert seen(tmp_path / "film.mkv") == [[0], [1]]


@pytest.mark.parametrize("ending", ["ts", "mkv", "mpg"])
def test_of_joined_files_nothing_is_lost(tmp_path, ending):
    file = tmp_path / f"film.{ending}"
    write_video(file, grey_frames(), 25, codec="mpeg2video")
    alone = seen(file)
    file.write_bytes(2 * file.read_bytes())
    assert seen(file) == 2 * alone and len(alone[0]) == 8


def test_a_frame_that_is_a_little_late_begins_nothing():
    frames = [
        films.FilmFrame(time, 0.1, lambda value=value: np.full((1, 1, 3), value, np.uint8))
        for value, time in enumerate([0.0, 0.1, 0.09, 0.2])
    ]
    (recording,) = films.at_rate(iter(frames), 10)
    assert recording[:, 0, 0, 0].tolist() == [0, 2, 3]


@pytest.mark.parametrize("start", [-1e18, 1e18])
def test_no_clock_is_too_far_off(start):
    frame = films.FilmFrame(start, 1e18, lambda: np.zeros((1, 1, 3), np.uint8))
    assert [len(recording) for recording in films.at_rate(iter([frame]), 10)] == [1]


def test_one_frame_is_a_recording(tmp_path):
    write_video(tmp_path / "film.mp4", grey_frames([48]), 2)
    assert seen(tmp_path / "film.mp4") == [5 * [4]]
