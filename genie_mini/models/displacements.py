"""A picture moved by a few pixels this way or that: what the latent action model compares a frame
with, and what its decoder draws the next one from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Displacements are given in these parts of the picture's sides.
PARTS_OF_A_SIDE = 32


def in_pixels(
    neighborhood: Sequence[tuple[int, int]], image_size: tuple[int, int]
) -> list[tuple[int, int]]:
    """Displacements in 32nds of the picture's sides, (rows, columns), in pixels of a picture of
    (height, width); in a small one several are the same, and it has them once.
    """
    height, width = image_size
    return list(
        dict.fromkeys(
            (round(down * height / PARTS_OF_A_SIDE), round(right * width / PARTS_OF_A_SIDE))
            for down, right in neighborhood
        )
    )


def _padded(frames: Tensor, displacements: list[tuple[int, int]]) -> tuple[Tensor, list[Any]]:
    """The frames with their edges repeated as far as anything is displaced, (batch * T, 3, rows,
    columns), and for each displacement what to cut out of them.
    """
    down_reach, right_reach = (max(map(abs, axis)) for axis in zip(*displacements, strict=True))
    height, width = frames.shape[2:4]
    pixels = frames.flatten(0, 1).permute(0, 3, 1, 2)
    pixels = F.pad(pixels, (right_reach, right_reach, down_reach, down_reach), mode="replicate")
    starts = [(down_reach - down, right_reach - right) for down, right in displacements]
    return pixels, [np.s_[..., top : top + height, left : left + width] for top, left in starts]


def displaced(frames: Tensor, displacements: list[tuple[int, int]]) -> Tensor:
    """Copies of each frame moved by each displacement, its edges repeated.

    Args:
        frames: (batch, T, height, width, 3).
        displacements: (rows, columns) in pixels, downwards and to the right.

    Returns:
        (batch, T, height, width, displacements, 3).
    """
    pixels, cuts = _padded(frames, displacements)
    copies = [pixels[cut].permute(0, 2, 3, 1).unflatten(0, frames.shape[:2]) for cut in cuts]
    return torch.stack(copies, dim=-2)


def matching_costs(frames: Tensor, before: Tensor, displacements: list[tuple[int, int]]) -> Tensor:
    """How far each pixel is from the one that stood a displacement away in another frame, as block
    matching asks it: the mean absolute difference of the colours.

    The same as with `displaced(before)`, a colour at a time: several times faster.

    Args:
        frames, before: (batch, T, height, width, 3).
        displacements: (rows, columns) in pixels, downwards and to the right.

    Returns:
        (batch, T, height, width, displacements).
    """
    pixels, cuts = _padded(before, displacements)
    now = frames.flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    costs = [(now - pixels[cut]).abs().mean(dim=1) for cut in cuts]
    return torch.stack(costs, dim=-1).unflatten(0, frames.shape[:2])
