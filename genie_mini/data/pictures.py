"""Files that hold a picture, as pixels."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genie_mini.errors import GenieError


def fit_picture(picture: Image.Image, size: int) -> np.ndarray:
    """Crop the middle square of a picture and scale it to (size, size, 3) uint8."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(
        square.resize(
            (size, size), Image.Resampling.BOX if side >= size else Image.Resampling.NEAREST
        )
    )


def read_picture(path: str | Path, size: int) -> Tensor:
    """Read any image file as a prompt: (size, size, 3) float in [0, 1]."""
    try:
        with Image.open(path) as picture:
            return torch.from_numpy(fit_picture(picture, size).copy()).float() / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise GenieError(f"{path} is not a picture that can be read: {error}") from error
