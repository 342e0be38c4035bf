"""Pictures to start a world from."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import check_integer
from genie_mini.data.pictures import read_picture
from genie_mini.errors import GenieError
from genie_mini.files import as_png, to_uint8, weights_folder, write_atomic
from genie_mini.world.simulation import SIZES, Simulation

PROMPTS = "prompts"  # the folder of pictures beside a Genie's config.json


def level_picture(level: int, image_size: tuple[int, int]) -> Tensor:
    """The first picture of a platformer level, (height, width, 3) float in [0, 1].

    Args:
        level: the level's seed, from 0 up; those from `world.HELD_OUT_SEED` on are never trained
            on.
        image_size: (height, width) in pixels.

    Raises:
        GenieError: the seed is no such integer, or the platformer is not drawn at this size.
    """
    level = check_integer("level", level, 0, told="a level's seed is an integer from 0 up")
    if tuple(image_size) not in [(size, size) for size in SIZES]:
        sizes = " or ".join(map(str, SIZES))
        raise GenieError(
            f"the platformer is drawn at {sizes} pixels, and this Genie sees "
            f"{image_size[0]}x{image_size[1]}: "
            "give a prompt"
        )
    return torch.from_numpy(Simulation([level]).frames(image_size[0])[0]).float() / 255


def saved_prompts(weights: str | Path, image_size: tuple[int, int]) -> list[Tensor]:
    """The pictures that travel with trained weights to begin from: the PNG files in the folder
    `prompts` beside config.json, in the order of their names.

    Args:
        weights: what `Genie.from_pretrained` takes: a name, or a folder.
        image_size: (height, width) in pixels.

    Returns:
        Each (height, width, 3) float in [0, 1]; none if there is no such folder.

    Raises:
        GenieError: one of the files is no picture that can be read.
    """
    return [
        as_prompt(path, image_size)
        for path in sorted((weights_folder(weights) / PROMPTS).glob("*.png"))
    ]


def save_prompts(folder: Path, pictures: Tensor) -> None:
    """Write pictures to begin from beside trained weights, unless some are there already: a
    person's own stay.

    Args:
        folder: of the weights.
        pictures: (n, height, width, 3) float in [0, 1].
    """
    prompts = folder / PROMPTS
    if any(prompts.glob("*.png")):
        return
    prompts.mkdir(exist_ok=True)
    for number, pixels in enumerate(to_uint8(pictures), start=1):
        write_atomic(prompts / f"{number:02}.png", as_png(pixels))


def as_prompt(source, image_size: tuple[int, int]) -> Tensor:
    """Turn whatever someone offers as a prompt into frames, float in [0, 1].

    Args:
        source: the path of an image file (its middle is cut out and scaled), or an array or tensor
            (height, width, 3) or (T, height, width, 3), bytes or floats in [0, 1].
        image_size: (height, width) in pixels.

    Returns:
        (height, width, 3) or (T, height, width, 3).

    Raises:
        GenieError: the file is no picture, or the array has another shape, type or range.
    """
    if isinstance(source, str | Path):
        source = read_picture(source, image_size)
    height, width = image_size
    expected = f"a prompt must be ({height}, {width}, 3) or (T, {height}, {width}, 3)"
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        # NumPy has no bfloat16
        source = (source.float() if source.is_floating_point() else source).numpy()
    try:
        array = np.asarray(source)
    except ValueError as error:  # lists of several lengths
        raise GenieError(f"{expected}: {error}") from error
    if array.ndim not in (3, 4) or array.shape[-3:] != (height, width, 3) or not array.shape[0]:
        raise GenieError(f"{expected}, got shape {array.shape}")
    if array.dtype == np.uint8:
        return torch.from_numpy(array.astype(np.float32) / 255)
    if not np.issubdtype(array.dtype, np.floating):
        raise GenieError(f"{expected}, bytes or floats in [0, 1], got {array.dtype}")
    if not (array.min() >= 0 and array.max() <= 1):
        raise GenieError(
            f"{expected}, floats in [0, 1], got values from {array.min():.4g} to {array.max():.4g}"
        )
    return torch.from_numpy(array.astype(np.float32))
