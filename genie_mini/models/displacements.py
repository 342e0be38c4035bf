"""A picture moved by a few pixels this way or that: what the latent action model compares a frame
with, and what its decoder draws the next one from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# How far things are taken to move between two frames, in 32nds of the picture's side: along the
# rows or the columns.
REACHES = (0, -6, -4, -2, -1, 1, 2, 4, 6)


def displacements_for(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """How far things are taken to move between two frames of (height, width) pixels: (rows,
    columns) in pixels; none at all comes first.
    """
    height, width = image_size
    steps = [(round(reach * height / 32), 0) for reach in REACHES]
    steps += [(0, round(reach * width / 32)) for reach in REACHES]
    return list(dict.fromkeys(steps))


def displaced(frames: Tensor, displacements: list[tuple[int, int]]) -> Tensor:
    """Copies of each frame moved by each displacement, its edges repeated.

    Args:
        frames: (batch, T, height, width, 3).
        displacements: (rows, columns) in pixels, downwards and to the right.

    Returns:
        (batch, T, height, width, displacements, 3).
    """
    down_reach, right_reach = (max(map(abs, axis)) for axis in zip(*displacements, strict=True))
    height, width = frames.shape[2:4]
    pixels = frames.flatten(0, 1).permute(0, 3, 1, 2)
    pixels = F.pad(pixels, (right_reach, right_reach, down_reach, down_reach), mode="replicate")
    pixels = pixels.permute(0, 2, 3, 1).unflatten(0, frames.shape[:2])
    copies = [
        pixels[
            :,
            :,
            down_reach - down : down_reach - down + height,
            right_reach - right : right_reach - right + width,
        ]
        for down, right in displacements
    ]
    return torch.stack(copies, dim=-2)
