"""Pictures as pixels, the way a browser shows them: upright, in sRGB, over white, cut to size.

Everything that turns a file into pixels goes through here; `video_files` brings a film's frames.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from genie_mini.errors import GenieError

# How a picture of another shape becomes one of the wanted shape: its middle is cut out, black bars
# are added, or it is stretched.
FITS = ("crop", "pad", "stretch")

# Left to itself Pillow goes by the content and would hand PostScript to an interpreter.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MOST_PIXELS = 2**26  # of a picture or a film's frame: phones make 50 million, few screens 33


class Canvas:
    """Where pictures of any shape become frames of one.

    Args:
        size: height and width of the frames, pixels; one number for a square.
        fit: one of `FITS`.

    Raises:
        GenieError: the fit is none of them, or the size is no size.
    """

    def __init__(self, size: int | tuple[int, int], fit: str = "crop"):
        if fit not in FITS:
            raise GenieError(f"fit must be one of {', '.join(FITS)}, got {fit!r}")
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise GenieError(f"size must be a height and a width from 1 up, pixels, got {size!r}")
        self.height, self.width = sides
        self.fit = fit

    def draw(self, picture: Image.Image, pixel_aspect: float = 1.0) -> np.ndarray:
        """Draw an RGB picture as a frame, (height, width, 3) uint8.

        Args:
            pixel_aspect: how many times wider than high the picture's own pixels are shown.
        """
        whole = (0, 0, picture.width, picture.height)
        if self.fit == "stretch":
            return np.array(_resize(picture, (self.width, self.height), whole))
        # The wanted shape, width by height, in the picture's own pixels.
        wanted = self.width / self.height / pixel_aspect
        if self.fit == "crop":
            across = max(1, min(picture.width, round(picture.height * wanted)))
            down = max(1, min(picture.height, round(picture.width / wanted)))
            left, top = (picture.width - across) // 2, (picture.height - down) // 2
            box = (left, top, left + across, top + down)
            return np.array(_resize(picture, (self.width, self.height), box))
        shape = picture.width / picture.height / wanted  # 1 fills the frame
        width = max(1, min(self.width, round(self.width * shape)))
        height = max(1, min(self.height, round(self.height / shape)))
        frame = Image.new("RGB", (self.width, self.height))
        corner = (self.width - width) // 2, (self.height - height) // 2
        frame.paste(_resize(picture, (width, height), whole), corner)
        return np.array(frame)


def _resize(picture, size, box):
    """Scale what lies in the box: each new pixel is the mean of those that it covers, or the
    nearest one where there are fewer than wanted.
    """
    smaller = box[2] - box[0] >= size[0] or box[3] - box[1] >= size[1]
    return picture.resize(
        size, Image.Resampling.BOX if smaller else Image.Resampling.NEAREST, box=box
    )


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture that is too large to decode: a few bytes can claim gigabytes.

    Raises:
        GenieError: it has more than `MOST_PIXELS`. The message goes on from the file's name.
    """
    if width * height > MOST_PIXELS:
        raise GenieError(f"has {width}x{height} pixels; {MOST_PIXELS:,} is the most")


def check_not_empty(file: Path) -> None:
    """Refuse a file without bytes, and a pipe, from which reading would wait.

    Raises:
        GenieError: it is one, or cannot be looked at. The message goes on from the file's name.
    """
    try:
        size = file.stat().st_size
    except OSError as error:
        raise GenieError(f"cannot be read: {error.strerror or error}") from error
    if not size:
        raise GenieError("is empty")


def open_picture(path: Path) -> Image.Image:
    """Open an image file, not yet decoded.

    Raises:
        GenieError: it is of no format that is meant, or has too many pixels. The message goes on
            from the file's name.
    """
    with warnings.catch_warnings():  # of many pixels, which are counted below
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with _blaming_the_file():
            picture = Image.open(path, formats=_FORMATS)
    try:
        check_pixels(*picture.size)
    except GenieError:
        picture.close()
        raise
    return picture


@contextmanager
def _blaming_the_file():
    """Make a GenieError of whatever Pillow raises: on damaged files its parsers raise nearly
    everything.
    """
    try:
        yield
    except GenieError:
        raise
    except Exception as error:
        raise GenieError(f"cannot be read: {error}") from error


def over_white(picture: Image.Image) -> Image.Image:
    """What a page shows of a picture that lies on it: RGB."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def as_shown(picture: Image.Image) -> Image.Image:
    """What a browser shows of an open file's picture: upright, 8 bits, in sRGB, over white.

    Raises:
        GenieError: its pixels have 32 bits, whose range no file tells.
    """
    try:
        picture = ImageOps.exif_transpose(picture)
    except Exception:  # the camera's note is damaged, which hides no picture
        pass
    if picture.mode.startswith("I;16"):
        picture = _in_8_bits(picture)
    if picture.mode in ("I", "F"):
        raise GenieError("has pixels of 32 bits; those of 8 and 16 can be read")
    if picture.has_transparency_data:  # a colour of the file's own, perhaps
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    return over_white(_in_srgb(picture))


def _in_8_bits(picture):
    """Scale 16-bit grey to mode L, or to LA where one shade is declared transparent."""
    values = np.asarray(picture).astype(np.uint32)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if "transparency" in picture.info:
        opaque = values != picture.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _in_srgb(picture):
    """Convert the colours by the file's own profile if it has a usable one."""
    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        return ImageCms.profileToProfile(
            picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except ImageCms.PyCMSError:  # a broken profile, or one of another kind of picture
        return picture


def read_picture(path: str | Path, size: int | tuple[int, int], fit: str = "crop") -> Tensor:
    """Read an image file as a prompt: (height, width, 3) float in [0, 1].

    Args:
        path: an AVIF, BMP, GIF, JPEG, PNG, TIFF or WebP file; of moving pictures the first.
        size: height and width, pixels; one number for a square.
        fit: one of `FITS`.

    Raises:
        GenieError: the file cannot be read, or has too many pixels.
    """
    canvas = Canvas(size, fit)
    try:
        with open_picture(Path(path)) as opened:
            picture, _ = next(moving_pictures(opened))
    except GenieError as error:
        raise GenieError(f"{path} is not a picture that can be used: it {error}") from error
    return torch.from_numpy(canvas.draw(picture)).float() / 255


def count_pictures(picture: Image.Image) -> int:
    """How many pictures an open image file holds; one if it does not move.

    Raises:
        GenieError: the file is damaged.
    """
    with _blaming_the_file():
        return getattr(picture, "n_frames", 1)


def moving_pictures(picture: Image.Image) -> Iterator[tuple[Image.Image, float]]:
    """The pictures of an open image file, each as shown, and for how many seconds.

    A still picture gives one. Where a file sets no duration, or one that is too short to see, a
    browser takes a tenth of a second.
    """
    # An animated PNG may begin with a picture for those who cannot show the others.
    first = 1 if picture.info.get("default_image") else 0
    for index in range(first, count_pictures(picture)):
        with _blaming_the_file():
            picture.seek(index)
            picture.load()
            shown = as_shown(picture)
        milliseconds = picture.info.get("duration", 0)
        yield shown, milliseconds / 1000 if milliseconds > 10 else 0.1
