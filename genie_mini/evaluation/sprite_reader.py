"""Finds the players and creatures of the platformer in pictures whose scenery is known already."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.world.rendering import in_colors, sprite_colors
from genie_mini.world.simulation import shrink
from genie_mini.world.sprites import CREATURE_ART, PLAYER_ART, SCREEN, TILE

Sprite = tuple[int, int, int, int]  # x, y, facing, pose or whether it is lifted

GRID = 4  # pixels of the 64x64 screen: everything stands on multiples of it
MOST_SPRITES = 8  # looked for in a picture

_MATCH = 0.02  # mean squared error of a sprite that is taken for one
_LEAST_SHOWN = 0.4  # share of a sprite by which it can still be told
_FIRST = 8  # places where a sprite is looked for first: those where the picture is most wrong


def as_pictures(indices: np.ndarray, palette: np.ndarray, size: int) -> Tensor:
    """Colour indices (n, 64, 64) as RGB: (n, size, size, 3) float in [0, 1]."""
    return torch.from_numpy(shrink(in_colors(indices, palette), size)).float() / 255


def pixel_error(drawn: Tensor, shown: Tensor, channels: int = -1) -> Tensor:
    """Squared error of pixels, the mean over the colours in the dimension `channels`."""
    # A colour at a time: torch is slow at adding up a dimension of three.
    red, green, blue = (
        (a - b).square_()
        for a, b in zip(drawn.unbind(channels), shown.unbind(channels), strict=True)
    )
    return red.add_(green).add_(blue).div_(3)


def find_sprites(
    frames: Tensor, palette: np.ndarray, scenery: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[list[Sprite]], list[list[Sprite]]]:
    """Put down sprites, one by one, as long as the picture then looks more like what it shows.

    Returns:
        The drawn pictures in colour indices (n, 64, 64), where sprites are (n, 64, 64) bool, and
        the players and creatures of each picture.
    """
    drawn, hidden = scenery.copy(), np.zeros(scenery.shape, dtype=bool)
    players: list[list[Sprite]] = [[] for _ in frames]
    creatures: list[list[Sprite]] = [[] for _ in frames]
    art = np.concatenate([PLAYER_ART.reshape(-1, TILE, TILE), CREATURE_ART.reshape(-1, TILE, TILE)])
    num_players, busy = PLAYER_ART.shape[0] * PLAYER_ART.shape[1], np.arange(len(frames))
    for _ in range(MOST_SPRITES):
        gain = _sprite_gains(frames[busy], palette[busy], drawn[busy], hidden[busy], art)
        best, place = gain.flatten(1).max(dim=1)
        number, row, column = np.unravel_index(place.numpy(), gain.shape[1:])
        found = (best > 0).numpy()
        for index in np.flatnonzero(found):
            frame, sprite = busy[index], int(number[index])
            x, y = GRID * int(column[index]) - TILE, GRID * int(row[index]) - TILE
            kind, rest = (
                (players, sprite) if sprite < num_players else (creatures, sprite - num_players)
            )
            poses = (PLAYER_ART if kind is players else CREATURE_ART).shape[1]
            kind[frame].append((x, y, rest // poses, rest % poses))
            _stamp(drawn[frame], hidden[frame], art[sprite], x, y)
        busy = busy[found]
        if not len(busy):
            break
    return drawn, hidden, players, creatures


def _stamp(drawn, hidden, art, x, y):
    rows = slice(max(0, y), min(SCREEN, y + TILE))
    columns = slice(max(0, x), min(SCREEN, x + TILE))
    part = art[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    # What was put down first fits best, and stays.
    free = (part > 0) & ~hidden[rows, columns]
    drawn[rows, columns][free] = part[free]
    hidden[rows, columns] |= part > 0


def _sprite_gains(frames, palette, drawn, hidden, art):
    """How much less wrong the pictures would be with each sprite at each place: (n, sprites, rows,
    columns), places on the grid from -8; 0 where another place is better anyway, or where the
    sprite would not be one.
    """
    size = frames.shape[1]
    scale = SCREEN // size

    def patches(pixels, side):
        """Cut pictures (n, channels, ...) into (n, places, channels, side, side)."""
        cut = F.unfold(pixels, side, stride=side * GRID // TILE, padding=side)
        return cut.transpose(1, 2).unflatten(2, (-1, side, side)).contiguous()

    shown = patches(frames.permute(0, 3, 1, 2), TILE // scale)
    scenery = patches(as_pictures(drawn, palette, SCREEN).permute(0, 3, 1, 2), TILE)
    visible = patches(torch.from_numpy(~hidden).float()[:, None], TILE)
    free = _smaller(visible, scale)[:, :, 0].eq(1).float()
    before = pixel_error(_smaller(scenery, scale), shown, channels=2) * free
    most = before.sum(dim=(2, 3))  # nothing at a place can make it better by more
    colors = torch.from_numpy(sprite_colors(art) / 255).float().permute(0, 3, 1, 2)
    masks = torch.from_numpy(art > 0)
    gain = torch.zeros(len(frames), len(art), most.shape[1])
    tried = torch.zeros_like(most, dtype=torch.bool)
    tried.scatter_(1, most.topk(_FIRST, dim=1).indices, True)
    for chosen in (tried, ~tried):
        # Of the places left, those that may still be better than the best of the first ones.
        chosen = chosen & (most > gain.amax(dim=(1, 2))[:, None])
        at = (shown[chosen], scenery[chosen], free[chosen], before[chosen])
        frame, place = chosen.nonzero(as_tuple=True)
        for index, (sprite, mask) in enumerate(zip(colors, masks, strict=True)):
            gain[frame, index, place] = _gain_of(sprite, mask, *at)
    side = math.isqrt(most.shape[1])
    return gain.unflatten(2, (side, side))


def _smaller(patches, scale):
    """Patches (..., side, side) at a lower resolution, as `shrink` does it."""
    if scale == 1:
        return patches
    return patches.unflatten(-1, (-1, scale)).unflatten(-3, (-1, scale)).mean(dim=(-3, -1))


def _gain_of(sprite, mask, shown, scenery, free, before):
    """How much less wrong some patches, (places, channels, side, side), would be with a sprite
    (channels, side, side) where its mask is: (places,), or 0 where it does not fit.
    """
    scale = scenery.shape[-1] // shown.shape[-1]
    after = (
        pixel_error(_smaller(torch.where(mask, sprite, scenery), scale), shown, channels=1) * free
    )
    touched = _smaller(mask.float(), scale).gt(0).float()
    there = (touched * free).sum(dim=(1, 2))
    wrong_there = (after * touched).sum(dim=(1, 2))
    # Any sprite hides something that is wrong; the right one has nothing wrong in itself.
    gain = (before - after).sum(dim=(1, 2)) - 3 * wrong_there
    fits = (wrong_there <= _MATCH * there) & (there >= _LEAST_SHOWN * touched.sum())
    return gain.clamp(min=0) * fits
