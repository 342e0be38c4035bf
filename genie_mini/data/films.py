"""Films as recordings: decoded as a player shows them, at the frame rate that is asked for.

Video files are decoded by PyAV, animated pictures by Pillow.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from genie_mini.data.pictures import (
    MOST_PIXELS,
    Canvas,
    check_pixels,
    count_pictures,
    moving_pictures,
    open_picture,
    over_white,
)
from genie_mini.errors import GenieError
from genie_mini.world.simulation import FRAMES_PER_SECOND

# Of pictures that may move, and of others, which are frames of a sequence (`data.sequences`).
PICTURE_ENDINGS = tuple(".gif .png .apng .webp .avif .jpg .jpeg .bmp .tif .tiff".split())
# By the name of ffmpeg's demuxer. No others are opened: a playlist, whatever its ending, names
# other files or machines.
_FORMATS = {
    "mov": (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2"),
    "matroska": (".mkv", ".webm", ".mk3d"),
    "avi": (".avi", ".divx"),
    "asf": (".wmv", ".asf"),
    "flv": (".flv",),
    "mpeg": (".mpg", ".mpeg", ".vob"),
    "mpegts": (".ts", ".mts", ".m2ts"),
    "mpegvideo": (".m1v", ".m2v"),
    "ogg": (".ogv", ".ogg"),
    "rm": (".rm", ".rmvb"),
    "mxf": (".mxf",),
    "nut": (".nut",),
    "dv": (".dv",),
    "ivf": (".ivf",),
    "h264": (".h264", ".264"),
    "hevc": (".h265", ".265", ".hevc"),
    "mjpeg": (".mjpeg", ".mjpg"),
    "yuv4mpegpipe": (".y4m",),
}
VIDEO_ENDINGS = tuple(ending for endings in _FORMATS.values() for ending in endings)

LONGEST_STILL = 10.0  # seconds; ffmpeg too takes a longer gap for a jump of the clock
_GRACE = 0.002  # seconds: files round their times

_log = logging.getLogger(__name__)


@dataclass
class FilmFrame:
    """A frame of a film.

    Attributes:
        time: when it is first shown, seconds on a clock of the file's own.
        duration: for how long, seconds, if it is the last one; 0 if the file does not say.
        draw: its pixels, (height, width, 3) uint8.
    """

    time: float
    duration: float
    draw: Callable[[], np.ndarray]


class _Recording:
    """Frames in a row, put down so many a second: each is shown from its time until the next
    one's.
    """

    def __init__(self, first: FilmFrame, frames_per_second: float):
        self.start, self.shown, self.frames_per_second = first.time, first, frames_per_second
        self.frames: list[np.ndarray] = []

    def follows(self, frame: FilmFrame) -> bool:
        """Whether this is the next frame, and not one after a jump of the clock."""
        return -1 / self.frames_per_second < frame.time - self.shown.time <= LONGEST_STILL

    def add(self, frame: FilmFrame) -> None:
        """Put down the frame that was shown until now."""
        self._show_until(frame.time - self.start)
        self.shown = frame

    def end(self) -> np.ndarray:
        """Put down the last frame; all are (frames, height, width, 3) uint8."""
        lasts = self.shown.duration if self.shown.duration <= LONGEST_STILL else 0.0
        self._show_until(self.shown.time - self.start + max(lasts, 2 * _GRACE))
        return np.stack(self.frames)

    def _show_until(self, seconds):
        pixels = None
        while len(self.frames) / self.frames_per_second < seconds - _GRACE:
            pixels = self.shown.draw() if pixels is None else pixels
            self.frames.append(pixels)


def at_rate(film: Iterator[FilmFrame], frames_per_second: float) -> list[np.ndarray]:
    """Cut a film into recordings, (frames, height, width, 3) uint8, at so many frames a second.

    Where the clock jumps back, as in files that were joined, or ahead by more than `LONGEST_STILL`,
    another recording begins.
    """
    recordings, recording = [], None
    for frame in film:
        if recording and recording.follows(frame):
            recording.add(frame)
            continue
        if recording:
            recordings.append(recording.end())
        recording = _Recording(frame, frames_per_second)
    return recordings + [recording.end()] if recording else []


def read_animation(file: Path, canvas: Canvas, frames_per_second: float) -> list[np.ndarray]:
    """Read an animated picture; see `at_rate`.

    Raises:
        GenieError: it does not move, has too many pixels, or cannot be decoded.
    """
    with open_picture(file) as picture:
        if count_pictures(picture) == 1:
            raise GenieError("is a still picture")
        return at_rate(_animation_frames(picture, file, canvas), frames_per_second)


def _animation_frames(picture, file, canvas):
    time = 0.0
    try:
        for shown, seconds in moving_pictures(picture):
            yield FilmFrame(time, seconds, lambda shown=shown: canvas.draw(shown))
            time += seconds
    except GenieError as error:
        if not time:
            raise
        _log.warning("%s is damaged and was read for %.1f seconds: %s", file, time, error)


def read_video(file: Path, canvas: Canvas, frames_per_second: float) -> list[np.ndarray]:
    """Decode a video file; see `at_rate`.

    Raises:
        GenieError: it has no pictures, or too many pixels.
        av.FFmpegError: it cannot be decoded.
    """
    allowed = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
    # With the protocol, or ffmpeg takes what stands before a colon in the name for one.
    with av.open(f"file:{file}", container_options=allowed, metadata_errors="replace") as container:
        stream = container.streams.best("video")
        cover = Disposition.attached_pic  # of a song
        if not isinstance(stream, VideoStream) or stream.disposition & cover:
            raise GenieError("has no moving pictures")
        if stream.codec_context is None:
            raise GenieError("has no codec that is known")
        check_pixels(stream.width, stream.height)
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        recordings = at_rate(_video_frames(container, stream, file, canvas), frames_per_second)
    if not recordings:
        raise GenieError("has no frame that can be decoded")
    return recordings


def _video_frames(container, stream, file, canvas):
    tick = 1 / float(stream.guessed_rate or stream.average_rate or FRAMES_PER_SECOND)
    pixel_aspect = float(stream.sample_aspect_ratio or 1)
    has_only_dts = container.format.name == "avi"  # and pts made of them go to and fro
    due = 0.0
    for frame in _decode(container, stream, file):
        stamp = frame.dts if has_only_dts or frame.pts is None else frame.pts
        time = due if stamp is None else float(stamp * frame.time_base)
        duration = float(frame.duration * frame.time_base) if frame.duration else tick
        yield FilmFrame(
            time, duration, lambda frame=frame: _draw_upright(frame, canvas, pixel_aspect)
        )
        due = time + duration


def _decode(container, stream, file):
    """All frames that can be decoded; what is damaged is left out, as ffmpeg does."""
    damaged, packets = 0, container.demux(stream)
    while True:
        try:
            packet = next(packets, None)  # after an error of the container's, there is none
            frames = packet.decode() if packet else []
        except av.FFmpegError:
            damaged += 1
            continue
        if packet is None:
            break
        yield from frames
    if damaged:
        _log.warning("%s is damaged: %d packets are left out", file, damaged)


# What a display matrix does to (x, y), by its first two rows and columns.
_TURNS = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


def _draw_upright(frame, canvas, pixel_aspect):
    """Draw a decoded frame as it is to be seen: over white, turned by its display matrix."""
    if any(component.is_alpha for component in frame.format.components):
        picture = over_white(Image.fromarray(frame.to_ndarray(format="rgba"), "RGBA"))
    else:
        picture = frame.to_image()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32) / 2**16
        turn = _TURNS.get(tuple(int(round(value)) for value in (a, b, c, d)))
        if turn is not None:
            picture = picture.transpose(turn)
            if round(b):  # rows have become columns
                pixel_aspect = 1 / pixel_aspect
    return canvas.draw(picture, pixel_aspect)
