"""A film becomes what a player shows of it, ten frames a second: upright, opaque, of the shape and
the colours that are meant; where its clock jumps, another recording begins.
"""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image, features
from writing import (
    BLUE,
    GREYS,
    QUARTERS,
    RED,
    WHITE,
    enlarged,
    grey_frames,
    numbers,
    write_lossless,
    write_video,
)

from genie_mini.data import films, pictures
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError

ANIMATIONS = ["gif", "png", "apng", "webp"] + (["avif"] if features.check("avif") else [])


def read(path, size=16, fit="crop"):
    return VideoFolder(path, size, fit).recordings


def seen(path):
    """Which entries of GREYS the recordings of a file show."""
    return [numbers(recording) for recording in read(path)]


def write_animation(path, durations, values=GREYS):
    first, *rest = [Image.fromarray(frame) for frame in grey_frames(values[: len(durations)])]
    kind = {"apng": "PNG"}.get(path.suffix[1:], path.suffix[1:].upper())
    lossless = {"lossless": True} if kind == "WEBP" else {}
    first.save(path, kind, save_all=True, append_images=rest, duration=durations, **lossless)


# when a frame is shown


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
    (recording,) = films.at_ten_a_second(iter(frames))
    assert recording[:, 0, 0, 0].tolist() == [0, 2, 3]


@pytest.mark.parametrize("start", [-1e18, 1e18])
def test_no_clock_is_too_far_off(start):
    frame = films.FilmFrame(start, 1e18, lambda: np.zeros((1, 1, 3), np.uint8))
    assert [len(recording) for recording in films.at_ten_a_second(iter([frame]))] == [1]


def test_one_frame_is_a_recording(tmp_path):
    write_video(tmp_path / "film.mp4", grey_frames([48]), 2)
    assert seen(tmp_path / "film.mp4") == [5 * [4]]


# how a frame is shown

# (a, b, c, d): the pixel at (x, y) is shown at (a x + c y, b x + d y).
TURNS = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)]
TURNS += [(0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0)]
writes_matrices = pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_matrix"), reason="this PyAV writes no display matrix"
)


def turned_by(a, b, c, d):
    """What prepares a stream with this display matrix, in fixed point."""
    one = 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    return lambda stream: stream.set_display_matrix(matrix)


@writes_matrices
@pytest.mark.parametrize("turn", TURNS)
def test_phones_videos_are_turned_upright(tmp_path, turn):
    a, b, c, d = turn
    upright = np.empty_like(QUARTERS)
    for row, column in np.ndindex(2, 2):
        x, y = column - 0.5, row - 0.5
        upright[int(b * x + d * y + 0.5), int(a * x + c * y + 0.5)] = QUARTERS[row, column]
    write_video(
        tmp_path / "phone.mp4",
        3 * [enlarged(QUARTERS, 32)],
        codec="libx264",
        prepare=turned_by(*turn),
    )
    (recording,) = read(tmp_path / "phone.mp4", 2)
    assert np.abs(recording.astype(int) - upright).max() < 30


def pixels_of(aspect, then=lambda stream: None):
    """What prepares a stream whose pixels are so many times wider than high."""

    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        then(stream)

    return prepare


def bars(height, width):
    """White, with the outer quarters of the width black."""
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    frame[:, width // 4 : width - width // 4] = WHITE
    return frame


def test_pixels_that_are_not_square(tmp_path):
    file, frames = tmp_path / "wide.mov", 3 * [bars(32, 32)]  # shown 64 wide, 32 high
    write_video(file, frames, codec="qtrle", pixel_format="rgb24", prepare=pixels_of(2))
    assert (read(file)[0] == WHITE).all()
    assert (read(file, fit="stretch")[0] == bars(16, 16)).all()
    assert (read(file, fit="pad")[0][:, 4:12] == bars(8, 16)).all()
    assert not read(file, fit="pad")[0][:, [0, 3, 12, 15]].any()


@writes_matrices
def test_pixels_that_are_not_square_are_turned_too(tmp_path):
    prepare = pixels_of(2, turned_by(0, 1, -1, 0))
    file = tmp_path / "phone.mp4"
    write_video(file, 3 * [bars(32, 32)], codec="libx264", prepare=prepare)
    padded = read(file, fit="pad")[0]  # shown 32 wide, 64 high: half as wide as the frame
    assert padded[:, 5:11, 5:11].min() > 230 and padded[:, :, [0, 3, 12, 15]].max() < 20
    assert padded[:, [0, 3, 12, 15]].max() < 30


def test_videos_are_cropped_to_their_middle_and_scaled(tmp_path):
    frames = np.zeros((3, 64, 96, 3), dtype=np.uint8)
    frames[:, :, 16:80] = 200  # the middle square is grey, what is cut off is black
    write_video(tmp_path / "wide.mp4", frames, 10)
    (recording,) = VideoFolder(tmp_path, 16).recordings
    assert recording.shape == (3, 16, 16, 3)
    assert np.abs(recording.astype(int) - 200).max() < 40


@pytest.mark.parametrize(
    "codec, pixel_format, ending",
    [("qtrle", "argb", "mov"), ("png", "rgba", "mov"), ("ffv1", "bgra", "mkv")],
)
def test_what_is_transparent_in_a_film_shows_a_white_page(tmp_path, codec, pixel_format, ending):
    clear = np.zeros((3, 16, 16, 4), dtype=np.uint8)
    clear[:, :8] = (*RED, 255)
    file = tmp_path / f"sprite.{ending}"
    write_video(file, clear, codec=codec, pixel_format=pixel_format)
    (recording,) = read(file)
    assert (recording[:, :8] == RED).all() and (recording[:, 8:] == WHITE).all()


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_what_is_transparent_in_an_animation_shows_a_white_page(tmp_path, kind):
    pictures = [Image.new("RGBA", (16, 16), (0, 0, 0, 0)) for _ in range(3)]
    for index, picture in enumerate(pictures):
        picture.paste((*BLUE, 255), (0, 0, 16, 4 * (index + 1)))
        picture.paste((*RED, 255), (15, 15, 16, 16))  # or the whole might be cut to what is opaque
    file = tmp_path / f"sprite.{kind}"
    kind = {"apng": "PNG"}.get(kind, kind.upper())
    lossless = {"lossless": True} if kind == "WEBP" else {}
    rest = {"append_images": pictures[1:], "duration": 100, **lossless}
    pictures[0].save(file, kind, save_all=True, **rest)
    (recording,) = read(file)
    assert recording[:, 14, :8].min() > 250, "below, the page"
    blue = np.abs(recording.astype(int) - BLUE).max(axis=(2, 3)) < 60
    assert blue.sum(axis=1).tolist() == [4, 8, 12]


@pytest.mark.parametrize("matrix", [1, 5])  # BT.709, BT.601
@pytest.mark.parametrize("span", [1, 2])  # 16 to 235, 0 to 255
def test_colors_are_those_that_the_film_declares(tmp_path, matrix, span):
    halves = np.concatenate([np.full((8, 16, 3), RED), np.full((8, 16, 3), BLUE)]).astype(np.uint8)
    frames = [
        av.VideoFrame.from_ndarray(halves, format="rgb24").reformat(
            format="yuv444p", dst_colorspace=matrix, dst_color_range=span
        )
        for _ in range(3)
    ]

    def declare(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, span

    file = tmp_path / "film.mkv"
    write_video(file, frames, codec="ffv1", pixel_format="yuv444p", prepare=declare)
    assert np.abs(read(file)[0].astype(int) - halves).max() < 6


@pytest.mark.parametrize(
    "codec, pixel_format, options",
    [
        ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("libx264", "yuv422p10le", {}),
        ("ffv1", "gray", {}),
        ("ffv1", "gray16le", {}),
        ("ffv1", "rgb48le", {}),
        ("mpeg2video", "yuv420p", {"flags": "+ildct+ilme"}),  # interlaced
    ],
)
def test_pixels_of_other_kinds(tmp_path, codec, pixel_format, options):
    file = tmp_path / "film.mkv"

    def prepare(stream):
        stream.options = options

    rate = 25 if codec == "mpeg2video" else 10
    write_video(file, grey_frames(), rate, codec=codec, pixel_format=pixel_format, prepare=prepare)
    assert seen(file) == [[0, 2, 5, 7, 10, 12, 15, 17] if rate == 25 else list(range(20))]


# which files are read

KINDS = {
    "mpeg4": ["mp4", "m4v", "mov", "3gp", "avi", "nut", "MP4"],
    "libx264": ["mkv", "mts", "m2ts", "f4v", "h264", "avi"],
    "libvpx-vp9": ["webm", "ivf"],
    "wmv2": ["wmv", "asf"],
    "flv1": ["flv"],
    "rv20": ["rm"],
    "libx265": ["hevc"],
}


@pytest.mark.parametrize(
    "codec, ending", [(codec, ending) for codec in KINDS for ending in KINDS[codec]]
)
def test_the_endings_of_videos(tmp_path, codec, ending):
    def prepare(stream):
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}

    file = tmp_path / f"film.{ending}"
    write_video(file, grey_frames(), codec=codec, prepare=prepare)
    assert seen(file) == [list(range(20))]


@pytest.mark.parametrize("ending", ["mpg", "mpeg", "vob", "ts", "m2v", "mxf"])
def test_the_endings_of_television(tmp_path, ending):
    file = tmp_path / f"film.{ending}"
    muxer = {"format": "mpeg2video"} if ending == "m2v" else {}
    write_video(file, grey_frames(), 25, codec="mpeg2video", **muxer)
    assert seen(file) == [[0, 2, 5, 7, 10, 12, 15, 17]]


def test_raw_videos(tmp_path):
    write_video(tmp_path / "film.y4m", grey_frames(), codec="wrapped_avframe")
    assert seen(tmp_path / "film.y4m") == [list(range(20))]
    write_video(tmp_path / "film.mjpeg", grey_frames(), 25, codec="mjpeg", pixel_format="yuvj420p")
    assert seen(tmp_path / "film.mjpeg") == [[0, 2, 5, 7, 10, 12, 15, 17]]


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.ts\n",
        "words on a screen, which ffmpeg would show as a film\n" * 20,
    ],
)
def test_a_file_leads_to_no_other(tmp_path, content):
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "other.ts", grey_frames(), 25, codec="mpeg2video")
    (tmp_path / "clips" / "list.mp4").write_text(content)
    with pytest.raises(GenieError, match=r"list\.mp4 cannot be read"):
        read(tmp_path / "clips" / "list.mp4")


def write_sound(path, cover=None):
    """A second of silence, with a picture on the cover."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            picture.height, picture.width = cover.shape[:2]
            picture.pix_fmt, picture.disposition = "yuvj420p", Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
        if cover is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
            container.mux(picture.encode())


@pytest.mark.parametrize("cover", [None, enlarged(QUARTERS)])
def test_a_song_is_no_film(tmp_path, cover):
    write_sound(tmp_path / "song.mp4", cover)
    with pytest.raises(GenieError, match=r"song\.mp4 has no moving pictures"):
        read(tmp_path / "song.mp4")


def test_titles_in_another_encoding(tmp_path):
    file = tmp_path / "film.mp4"
    with av.open(str(file), "w") as container:
        container.metadata["title"] = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"
        stream = container.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 16
        for frame in grey_frames(GREYS[:4]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    content = file.read_bytes()
    assert content.count(b"Caf\xc3\xa9") == 1
    file.write_bytes(content.replace(b"Caf\xc3\xa9", b"Caf\xe9 "))
    assert seen(file) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "pipe:0.mp4", "-.mp4", "%03d.mp4", "a?b#c.mp4", "\udcff\u00e9.mp4"]
)
def test_a_name_is_only_a_name(tmp_path, monkeypatch, name):
    write_video(tmp_path / "film.mp4", grey_frames())
    try:
        (tmp_path / "film.mp4").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    monkeypatch.chdir(tmp_path)
    assert seen(name) == [list(range(20))]


# damage, and too much


def test_of_a_cut_film_the_beginning_is_read(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(20, 64, 64, 3), dtype=np.uint8)
    write_lossless(tmp_path / "film.mkv", noise)
    (whole,) = read(tmp_path / "film.mkv", 64)
    content = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(content[: len(content) // 2])
    (half,) = read(tmp_path / "film.mkv", 64)
    assert 8 <= len(half) <= 10 and (half[:8] == whole[:8]).all()


def test_damaged_packets_are_left_out_and_named(tmp_path, caplog):
    write_video(tmp_path / "film.mov", grey_frames(), codec="png", pixel_format="rgb24")
    content = bytearray((tmp_path / "film.mov").read_bytes())
    starts = [at for at in range(len(content)) if content.startswith(b"\x89PNG", at)]
    for start in starts[5:8]:
        content[start : start + 4] = b"none"
    (tmp_path / "film.mov").write_bytes(content)
    assert seen(tmp_path / "film.mov") == [[*range(5), 4, 4, 4, *range(8, 20)]]
    assert "film.mov is damaged: 3 packets are left out" in caplog.text


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_of_a_cut_animation_nothing_is_made_up(tmp_path, kind, caplog):
    file = tmp_path / f"film.{kind}"
    noise = np.random.default_rng(0).integers(256, size=(8, 32, 32), dtype=np.uint8)
    first, *rest = [Image.fromarray(frame) for frame in noise]
    kind = {"apng": "PNG"}.get(kind, kind.upper())
    first.save(file, kind, save_all=True, append_images=rest, duration=100)
    (whole,) = read(file, 32)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    try:
        (half,) = read(file, 32)
    except GenieError as error:
        assert file.name in str(error)
    else:
        assert 2 <= len(half) <= 4 and (half == whole[: len(half)]).all()
        assert file.name in caplog.text


@pytest.mark.parametrize("ending", ["mkv", "gif"])
def test_the_pixels_of_a_film_are_counted_before_they_are_decoded(tmp_path, monkeypatch, ending):
    file = tmp_path / f"film.{ending}"
    if ending == "gif":
        write_animation(file, [100, 100])
    else:
        write_lossless(file, grey_frames(GREYS[:2]))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 255)
    with pytest.raises(GenieError, match=rf"film\.{ending} has 16x16 pixels; 255 is the most"):
        read(file)


def test_a_film_does_not_grow_beyond_the_most_pixels(tmp_path, monkeypatch, caplog):
    file = tmp_path / "film.ts"
    write_video(file, grey_frames(height=32, width=32), 25, codec="mpeg2video")
    small = file.read_bytes()
    write_video(file, grey_frames(height=256, width=256), 25, codec="mpeg2video")
    file.write_bytes(small + file.read_bytes())
    assert [len(recording) for recording in read(file)] == [8, 8]
    monkeypatch.setattr(films, "MOST_PIXELS", 64 * 64)
    assert [len(recording) for recording in read(file)] == [8]
    assert "film.ts is damaged" in caplog.text
