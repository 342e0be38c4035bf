"""Where is the player in a picture, and how many of him are there?"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from genie_mini.contract import check_range, check_tensor
from genie_mini.errors import GenieError
from genie_mini.world.rendering import player_drawings
from genie_mini.world.simulation import SIZES


def check_pictures(frames: Tensor) -> Tensor:
    """Pictures of the platformer, (..., size, size, 3) float32 in [0, 1], of a size it is drawn
    at, brought to the CPU.

    Raises:
        GenieError: they are something else.
    """
    sizes = " or ".join(map(str, SIZES))
    expected = f"frames must be (..., size, size, 3) floats in [0, 1], size {sizes}"
    frames = check_tensor(expected, frames, None, torch.float32, torch.device("cpu"))
    if tuple(frames.shape[-3:]) not in [(size, size, 3) for size in SIZES] or not frames.numel():
        raise GenieError(f"{expected}, got shape {tuple(frames.shape)}")
    check_range(expected, frames, 0, 1)
    return frames


def player_errors(frames: Tensor) -> Tensor:
    """How badly the player fits each place of each picture, (..., height, width, 3) -> (..., rows,
    columns) of his corner.

    The mean squared error over the opaque pixels of the best of his eight drawings.
    """
    frames = check_pictures(frames)
    size = frames.shape[-2]
    drawings, opaque = player_drawings(size)
    pixels = frames.reshape(-1, size, size, 3).permute(0, 3, 1, 2)
    error = (
        conv2d(pixels.square(), opaque)
        - 2 * conv2d(pixels, drawings * opaque)
        + (drawings.square() * opaque).sum(dim=(1, 2, 3))[:, None, None]
    ) / opaque.sum(dim=(1, 2, 3))[:, None, None]
    return error.amin(dim=1).reshape(*frames.shape[:-3], *error.shape[-2:])


def count_players(frames: Tensor) -> Tensor:
    """How many players can be seen: (..., height, width, 3) -> (...) int64.

    One of his eight drawings must match with an error (`player_errors`) below a limit that neither
    noise nor any picture of the world without the player reaches. Matches that overlap count once.
    """
    frames = check_pictures(frames)
    size = frames.shape[-2]
    error = player_errors(frames.reshape(-1, size, size, 3))
    side = size - error.shape[-1] + 1
    best_nearby = -error[:, None]
    for reach in ((side - 1, 0), (0, side - 1)):  # along the columns, then along the rows
        kernel = [2 * steps + 1 for steps in reach]
        best_nearby = max_pool2d(best_nearby, kernel, stride=1, padding=reach)
    found = (error < (0.04 if size == 64 else 0.015)) & (error == -best_nearby[:, 0])
    return found.sum(dim=(1, 2)).reshape(frames.shape[:-3])


def player_present(frames: Tensor) -> Tensor:
    """Whether a player can be seen: (..., height, width, 3) -> (...) bool."""
    return count_players(frames) > 0


def find_player(frames: Tensor) -> Tensor:
    """Row and column of the player's corner where he fits best, pixels: (..., height, width, 3) ->
    (..., 2) int64.
    """
    error = player_errors(frames)
    best = error.flatten(-2).argmin(dim=-1)
    return torch.stack([best // error.shape[-1], best % error.shape[-1]], dim=-1)
