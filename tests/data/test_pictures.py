"""A picture's file becomes what a browser shows of it: upright, opaque, in sRGB, of the wanted
shape; or one clear error.
"""

import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features
from writing import BLUE, QUARTERS, RED, WHITE, enlarged, png

from genie_mini.data.pictures import FITS, Canvas, read_picture
from genie_mini.errors import GenieError
from genie_mini.play.prompts import as_prompt

FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"]
FORMATS += ["AVIF"] if features.check("avif") else []


def shown(path, size=2, fit="crop"):
    """A picture read, as bytes."""
    return (read_picture(path, size, fit) * 255).round().to(torch.uint8).numpy()


def color(path):
    """The one colour that a picture has."""
    (pixel,) = {tuple(pixel) for pixel in shown(path, 4).reshape(-1, 3).tolist()}
    return pixel


# For each orientation of EXIF, how an upright picture is stored.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("BMP", "GIF")])
def test_cameras_pictures_are_turned_upright(tmp_path, kind, orientation):
    image = Image.fromarray(np.ascontiguousarray(enlarged(STORED[orientation](QUARTERS))))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo", kind, exif=exif, quality=100)
    assert np.abs(shown(tmp_path / "photo").astype(int) - QUARTERS).max() < 60


def test_a_damaged_note_of_the_camera_hides_no_picture(tmp_path):
    Image.new("RGB", (8, 8), RED).save(tmp_path / "photo.png", exif=b"MM\x00\xff\x00\x00\x00\x08")
    assert color(tmp_path / "photo.png") == RED


def palette(transparency):
    """A picture of colour 1, red, of a palette."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    return image, {"transparency": transparency}


@pytest.mark.parametrize(
    "image, options, expected",
    [
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), {}, WHITE),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 102)), {}, (255, 153, 153)),
        (Image.new("LA", (8, 8), (0, 0)), {}, WHITE),
        (*palette(1), WHITE),
        (*palette(0), RED),
        (*palette(bytes([255, 102])), (255, 153, 153)),
        (Image.new("1", (8, 8), 0), {"transparency": 0}, WHITE),
        (Image.new("L", (8, 8), 7), {"transparency": 7}, WHITE),
        (Image.new("L", (8, 8), 7), {"transparency": 8}, (7, 7, 7)),
        (Image.new("RGB", (8, 8), RED), {"transparency": RED}, WHITE),
        (Image.fromarray(np.full((8, 8), 300, np.uint16)), {"transparency": 300}, WHITE),
        (Image.fromarray(np.full((8, 8), 300, np.uint16)), {"transparency": 301}, (1, 1, 1)),
    ],
)
def test_what_is_transparent_shows_a_white_page(tmp_path, image, options, expected):
    image.save(tmp_path / "clear.png", **options)
    assert color(tmp_path / "clear.png") == expected


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("JPEG", "BMP")])
def test_every_format_with_transparency_shows_a_white_page(tmp_path, kind):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear", kind)
    assert color(tmp_path / "clear") == WHITE


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("value, expected", [(0, 0), (300, 1), (60000, 233), (65535, 255)])
def test_grey_of_16_bits_is_scaled(tmp_path, kind, value, expected):
    Image.fromarray(np.full((8, 8), value, np.uint16)).save(tmp_path / "grey", kind)
    assert color(tmp_path / "grey") == (expected,) * 3


def test_colors_of_16_bits_are_scaled(tmp_path):
    pixels = np.full((4, 4, 3), (65535, 30000, 0), ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    (tmp_path / "deep.png").write_bytes(png(4, 4, rows, bits=16))
    assert color(tmp_path / "deep.png") == (255, 117, 0)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_refused(tmp_path, mode):
    Image.new(mode, (8, 8), 1).save(tmp_path / "deep.tif")
    with pytest.raises(GenieError, match=r"deep\.tif .*: it has pixels of 32 bits"):
        read_picture(tmp_path / "deep.tif", 8)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_printers_colors(tmp_path, kind):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print", kind, quality=100)
    assert color(tmp_path / "print") == RED


def test_colors_are_those_of_the_files_profile(tmp_path):
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = own.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")
    Image.new("RGB", (8, 8), RED).save(tmp_path / "swapped.png", icc_profile=swapped)
    assert color(tmp_path / "swapped.png") == BLUE
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png", icc_profile=swapped)
    assert color(tmp_path / "clear.png") == WHITE


@pytest.mark.parametrize(
    "profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_profile_of_no_use_hides_no_picture(tmp_path, profile):
    Image.new("RGB", (8, 8), RED).save(tmp_path / "odd.png", icc_profile=profile)
    assert color(tmp_path / "odd.png") == RED


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS", "SPIDER"])
def test_other_formats_are_refused_whatever_the_file_is_called(tmp_path, kind):
    Image.new("L" if kind == "SPIDER" else "RGB", (16, 16)).save(tmp_path / "photo", kind)
    (tmp_path / "photo").rename(tmp_path / "photo.jpg")
    with pytest.raises(GenieError, match=r"photo\.jpg .*: it cannot be read: cannot identify"):
        read_picture(tmp_path / "photo.jpg", 16)


@pytest.mark.parametrize(
    "content, claimed",
    [
        (png(1, 178_000_000, b""), "1x178000000"),
        (png(20_000, 5_000, b""), "20000x5000"),
        (
            b"GIF89a" + struct.pack("<HHBBB", 60_000, 2_000, 0, 0, 0)
            + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 2_000, 0) + b"\x02\x00;",
            "60000x2000",
        ),
        (
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<Iii", 40, 9_000, 9_000)
            + struct.pack("<HHIIiiII", 1, 24, 0, 0, 0, 0, 0, 0),
            "9000x9000",
        ),
    ],
)  # fmt: skip
def test_pixels_are_counted_before_they_are_decoded(tmp_path, content, claimed):
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(GenieError, match=rf"bomb\.png .*: it has {claimed} pixels"):
        read_picture(tmp_path / "bomb.png", 16)


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_pictures_are_named(tmp_path, kind):
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut", kind)
    content = (tmp_path / "cut").read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
        with pytest.raises(GenieError, match="cut .*: it cannot be read"):
            read_picture(tmp_path / "cut", 16)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("JPEG", "BMP", "TIFF")])
def test_of_moving_pictures_the_first_is_the_prompt(tmp_path, kind):
    first, second = (Image.new("RGB", (8, 8), value) for value in (WHITE, BLUE))
    first.save(tmp_path / "moves", kind, save_all=True, append_images=[second], duration=100)
    assert color(tmp_path / "moves") == WHITE


def test_the_stand_in_of_an_animated_png_is_not_shown(tmp_path):
    stand_in, first, second = (Image.new("RGB", (8, 8), value) for value in (RED, WHITE, BLUE))
    stand_in.save(
        tmp_path / "moves.png", save_all=True, append_images=[first, second], default_image=True
    )
    assert color(tmp_path / "moves.png") == WHITE


def test_what_the_fits_show():
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, :8], wide[:, 8:24], wide[:, 24:] = RED, WHITE, BLUE
    frames = {fit: Canvas(8, fit).draw(Image.fromarray(wide)) for fit in FITS}
    assert (frames["crop"] == WHITE).all()
    assert (frames["stretch"] == [2 * [RED] + 4 * [WHITE] + 2 * [BLUE]]).all()
    assert (frames["pad"][2:6] == [2 * [RED] + 4 * [WHITE] + 2 * [BLUE]]).all()
    assert not frames["pad"][:2].any() and not frames["pad"][6:].any()
    tall = {fit: Canvas(8, fit).draw(Image.fromarray(wide.transpose(1, 0, 2))) for fit in FITS}
    assert all((tall[fit] == frames[fit].transpose(1, 0, 2)).all() for fit in FITS)


@pytest.mark.parametrize("fit", FITS)
def test_pixels_that_are_not_square_are_shown_as_wide_as_they_are(fit):
    disc = np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 24
    disc = np.where(disc[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    square = Canvas(16, fit).draw(Image.fromarray(disc))
    narrow = Canvas(16, fit).draw(Image.fromarray(disc[:, ::2].copy()), pixel_aspect=2)
    assert np.abs(square.astype(int) - narrow).mean() < 8
    wide = Canvas(16, fit).draw(Image.fromarray(disc.repeat(2, axis=1)), pixel_aspect=0.5)
    assert (square == wide).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 7), (200, 300)])
@pytest.mark.parametrize("aspect", [1e-6, 0.3, 1, 1e6])
def test_every_shape_fits(fit, shape, aspect):
    picture = Image.new("RGB", shape, RED)
    frame = Canvas((9, 16), fit).draw(picture, aspect)
    assert frame.shape == (9, 16, 3) and frame.dtype == np.uint8
    assert (frame == RED).all(axis=2).any(), "something of it is to be seen"
    if fit != "pad":
        assert (frame == RED).all()


def test_other_fits_are_refused():
    with pytest.raises(GenieError, match="fit must be one of crop, pad, stretch, got 'cover'"):
        Canvas(16, "cover")


@pytest.mark.parametrize("size", [0, -4, (16,), (16, 0), (8, 8, 3), (8.0, 8.0)])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(GenieError, match="size must be a height and a width from 1 up"):
        Canvas(size)


def test_a_picture_prompts_a_genie_of_any_shape(tmp_path):
    Image.fromarray(enlarged(QUARTERS)).save(tmp_path / "prompt.png")
    prompt = as_prompt(tmp_path / "prompt.png", (4, 8))
    assert prompt.shape == (4, 8, 3)
    assert (prompt[0, 0] * 255 == torch.tensor([250, 0, 0])).all()


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
