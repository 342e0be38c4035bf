"""A film's frames are what a player shows of them: upright, opaque, of the shape and the colours
that are meant.
"""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from writing import (
    ANIMATIONS,
    BLUE,
    QUARTERS,
    RED,
    WHITE,
    enlarged,
    grey_frames,
    read,
    seen,
    write_video,
)

from genie_mini.data.video_files import VideoFolder

# (a, b, c, d): the pixel at (x, y) is shown at (a x + c y, b x + d y).
TURNS = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)]
TURNS += [(0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0)]


def turned_by(a, b, c, d):
    """What prepares a stream with this display matrix, in fixed point."""
    one = 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    return lambda stream: stream.set_display_matrix(matrix)


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
