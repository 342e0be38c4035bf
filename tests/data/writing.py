"""Small pictures, and small films of any kind: written, and read back."""

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import Image, features

from genie_mini.data.video_files import VideoFolder

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
GREYS = [12 * index for index in range(20)]
ANIMATIONS = ["gif", "png", "apng", "webp"] + (["avif"] if features.check("avif") else [])
QUARTERS = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]], np.uint8)


def grey_frames(values=GREYS, height=16, width=16):
    return np.stack([np.full((height, width, 3), value, dtype=np.uint8) for value in values])


def enlarged(pixels, times=16):
    """Each pixel as a square."""
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def write_video(
    path,
    frames,
    rate=10,
    *,
    codec="mpeg4",
    pixel_format="yuv420p",
    times=None,
    prepare=lambda stream: None,
    **options,
):
    """Encode frames, bytes (frames, height, width, 3 or 4), or ready-made `av.VideoFrame`s.

    Args:
        times: when each is shown, milliseconds; None for a steady rate.
        prepare: called with the stream before the first frame.
        options: for `av.open`.
    """
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=1000 if times else rate)
        if not isinstance(frames[0], av.VideoFrame):
            layout = "rgba" if np.shape(frames[0])[2] == 4 else "rgb24"
            frames = [av.VideoFrame.from_ndarray(frame, format=layout) for frame in frames]
        stream.height, stream.width = frames[0].height, frames[0].width
        stream.pix_fmt = pixel_format
        if codec == "mpeg4":
            stream.bit_rate = 4_000_000
        prepare(stream)
        for index, frame in enumerate(frames):
            if times:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_lossless(path, frames, **settings):
    """Encode frames so that they come back to the bit."""
    write_video(path, frames, codec="ffv1", pixel_format="bgr0", **settings)


def numbers(recording):
    """Which entry of GREYS each frame of a recording shows."""
    means = recording.reshape(len(recording), -1).mean(axis=1)
    return [int(index) for index in np.abs(means[:, None] - np.array(GREYS)).argmin(axis=1)]


def png(width, height, data, *, bits=8, color_type=2, **chunks):
    """The bytes of a PNG, which may claim what it likes; `chunks` go before the pixels."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    before = b"".join(chunk(kind.encode(), content) for kind, content in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels


def read(path, size=16, fit="crop"):
    return VideoFolder(path, size, fit).recordings


def seen(path):
    """Which entries of GREYS the recordings of a file show."""
    return [numbers(recording) for recording in read(path)]


def greys(path):
    """The greys of each recording of grey frames."""
    return [recording[:, 0, 0, 0].tolist() for recording in read(path)]


def write_animation(path, durations, values=GREYS):
    first, *rest = [Image.fromarray(frame) for frame in grey_frames(values[: len(durations)])]
    kind = {"apng": "PNG"}.get(path.suffix[1:], path.suffix[1:].upper())
    lossless = {"lossless": True} if kind == "WEBP" else {}
    first.save(path, kind, save_all=True, append_images=rest, duration=durations, **lossless)
