"""Reads a picture of the platformer back into the game's state: what stands where, and how surely.

It draws what it believes, with the game's own tiles and sprites, and compares: first the sky and
the hills, then the tiles, then players and creatures, then the tiles again without what they hide.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.evaluation.sprite_reader import GRID, Sprite, as_pictures, find_sprites, pixel_error
from genie_mini.world.rendering import BACKGROUNDS
from genie_mini.world.sprites import COLORS, EMPTY, SCREEN, TILE, TILE_ART

ROWS, COLUMNS = SCREEN // TILE, SCREEN // TILE + 1  # tiles on the screen, the cut ones at its edges
UNSEEN = -1  # a tile that a sprite hides, or that is none of the game's

_WORST = 0.03  # squared error of a pixel: more says no more than that something else is there
_LEGIBLE = 0.01  # mean squared error of a tile's place that was understood
_APART = 1e-3  # mean squared error by which a tile must fit better than any other kind
_LEAST_VISIBLE = 0.5  # share of a tile by which it can still be told


@dataclass
class Reading:
    """What pictures show, n of them; lengths in pixels of the 64x64 screen.

    Attributes:
        palette: (n,) index.
        offset: (n,) how far the first column of tiles is cut off by the screen's left edge, 0 or 4.
        variant: (n,) which of the three drawings of each tile the first column has.
        tiles: (n, 8, 9) kinds of tile, or `UNSEEN`.
        players: for each picture, all players (x, y, facing, pose), the best match first.
        creatures: for each picture, all creatures (x, y, facing, lifted).
        legible: (n,) share of the screen that looks as it was read.
    """

    palette: np.ndarray
    offset: np.ndarray
    variant: np.ndarray
    tiles: np.ndarray
    players: list[list[Sprite]]
    creatures: list[list[Sprite]]
    legible: np.ndarray


def read_frames(frames: Tensor) -> Reading:
    """Read pictures, (n, size, size, 3) float in [0, 1] with size 32 or 64; one that is the same as
    the one before it is read once.
    """
    frames, new = frames.cpu().float(), np.ones(len(frames), dtype=bool)
    new[1:] = (frames[1:] != frames[:-1]).flatten(1).any(dim=1).numpy()
    parts = [_read(part) for part in frames[torch.from_numpy(new)].split(32)]
    which = new.cumsum() - 1
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])[which]
        for name in ("palette", "offset", "variant", "tiles", "legible")
    }
    players = [found for part in parts for found in part.players]
    creatures = [found for part in parts for found in part.creatures]
    return Reading(
        **joined,
        players=[players[index] for index in which],
        creatures=[creatures[index] for index in which],
    )


def _read(frames):
    palette, background = _find_background(frames)
    nothing = np.zeros((len(frames), SCREEN, SCREEN), dtype=bool)
    tiles, offset, variant = _find_tiles(frames, palette, background, nothing)
    for _ in range(2):
        scenery = _draw_tiles(background, tiles, offset, variant)
        drawn, hidden, players, creatures = find_sprites(frames, palette, scenery)
        tiles, offset, variant = _find_tiles(frames, palette, background, hidden)
    drawn = np.where(hidden, drawn, _draw_tiles(background, tiles, offset, variant))
    error = pixel_error(as_pictures(drawn, palette, frames.shape[1]), frames)
    places = F.avg_pool2d(error[:, None], frames.shape[1] // ROWS)[:, 0]
    legible = (places < _LEGIBLE).float().mean(dim=(1, 2)).numpy()
    return Reading(palette, offset, variant, tiles, players, creatures, legible)


def _find_background(frames):
    """The palettes (n,), and sky and hills in colour indices (n, 64, 64)."""
    size, shifts = frames.shape[1], BACKGROUNDS[::2]

    def errors(palette, shifts):
        pictures = as_pictures(shifts, np.full(len(shifts), palette), size)
        error = pixel_error(frames[:, None], pictures).clamp(max=_WORST)
        return error.mean(dim=(2, 3))  # (frames, shifts)

    coarse = torch.stack([errors(index, shifts[::8]) for index in range(len(COLORS))], dim=1)
    palette = coarse.amin(dim=2).argmin(dim=1).numpy()
    best = np.empty((len(frames), SCREEN, SCREEN), dtype=np.uint8)
    for index in np.unique(palette):
        own = palette == index
        pictures = as_pictures(shifts, np.full(len(shifts), index), size)
        for place in np.flatnonzero(own):
            error = pixel_error(frames[place], pictures).clamp(max=_WORST)
            best[place] = shifts[int(error.mean(dim=(1, 2)).argmin())]
    return palette, best


def _tiled(kind, variant, offset):
    """A screen full of one tile, (64, 64) colour indices."""
    screen = np.tile(TILE_ART[kind, variant], (ROWS, COLUMNS))
    return screen[:, offset : offset + SCREEN]


def _by_place(values, offset, size):
    """Sum pixels (n, size, size) over the tiles' places: (n, 8, 9)."""
    side, cut = TILE * size // SCREEN, offset * size // SCREEN
    padded = F.pad(values, (cut, side - cut))
    return F.avg_pool2d(padded[:, None], side)[:, 0] * side**2


def _find_tiles(frames, palette, background, hidden):
    """The tiles (n, 8, 9), the offsets (n,) and variants (n,) of the first column, where `hidden`
    (n, 64, 64) hides nothing.
    """
    size = frames.shape[1]
    num_kinds, num_variants = TILE_ART.shape[:2]
    free = F.avg_pool2d(torch.from_numpy(~hidden).float()[:, None], SCREEN // size)[:, 0]
    free, least = (free == 1).float(), _LEAST_VISIBLE * (TILE * size // SCREEN) ** 2
    nothing = pixel_error(as_pictures(background, palette, size), frames)
    costs, kinds, told = [], [], []
    for offset in (0, GRID):
        visible = _by_place(free, offset, size)
        error = torch.empty(num_variants, num_kinds, len(frames), ROWS, COLUMNS)
        error[:, EMPTY] = _by_place(nothing.clamp(max=_WORST) * free, offset, size)
        for kind in {*range(num_kinds)} - {EMPTY}:
            for variant in range(num_variants):
                screen = _tiled(kind, variant, offset)
                drawn = np.where(screen == 0, background, screen)
                distance = pixel_error(as_pictures(drawn, palette, size), frames)
                error[variant, kind] = _by_place(distance.clamp(max=_WORST) * free, offset, size)
        for first in range(num_variants):
            at = (torch.arange(COLUMNS) + first) % num_variants
            of_columns = error[at, :, :, :, torch.arange(COLUMNS)]  # (columns, kinds, n, rows)
            cost, kind = of_columns.permute(2, 3, 0, 1).topk(2, dim=-1, largest=False)
            costs.append(cost[..., 0].sum(dim=(1, 2)))
            kinds.append(kind[..., 0])
            told.append(
                (cost[..., 0] <= _LEGIBLE * visible)
                & (cost[..., 1] - cost[..., 0] >= _APART * visible)
                & (visible >= least)
            )
    best = torch.stack(costs).argmin(dim=0)
    every = torch.arange(len(frames))
    tiles = torch.stack(kinds)[best, every]
    tiles = tiles.masked_fill(~torch.stack(told)[best, every], UNSEEN).numpy()
    best = best.numpy()
    return tiles, GRID * (best // num_variants), best % num_variants


def _draw_tiles(background, tiles, offset, variant):
    """The scenery in colour indices, (n, 64, 64)."""
    columns = (np.arange(COLUMNS) + variant[:, None]) % TILE_ART.shape[1]
    art = TILE_ART[np.where(tiles == UNSEEN, EMPTY, tiles), columns[:, None]]
    screens = art.transpose(0, 1, 3, 2, 4).reshape(len(tiles), SCREEN, COLUMNS * TILE)
    cut = offset[:, None] + np.arange(SCREEN)
    screens = np.take_along_axis(screens, cut[:, None], axis=2)
    return np.where(screens == 0, background, screens)
