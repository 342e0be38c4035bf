"""How the platformer looks: a renderer that draws many levels at once.

A picture is first drawn in *colour indices* (one byte a pixel); one table look-up turns the indices
into RGB. All levels that share a palette therefore share their exact colours, which matters later:
a codebook of 1024 entries cannot hold every colour there is.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from genie_mini.world.sprites import (
    COLORS,
    CREATURE_ART,
    LETTER_INDEX,
    PLAYER_ART,
    SCREEN,
    SKY_BANDS,
    TILE,
    TILE_ART,
)

if TYPE_CHECKING:
    from genie_mini.world.simulation import Simulation

PLAYER_SCREEN_X = 24  # where the camera keeps the player: a little left of the middle
_HILL_PERIOD = 128  # pixels after which the hills repeat


def _draw_background():
    """Draw sky, sun-free, with hills: a (64, period + 64) picture that the camera slides over at
    half speed.
    """
    rows = np.arange(SCREEN)[:, None]
    columns = np.arange(_HILL_PERIOD + SCREEN)[None, :]
    picture = np.broadcast_to(1 + rows * SKY_BANDS // SCREEN, (SCREEN, columns.size)).astype(
        np.uint8
    )
    # Two triangle waves; each step is two pixels wide and high, like the camera's half-speed steps.
    near = np.abs((columns // 2) % 32 - 16)
    far = np.abs((columns // 2 + 10) % 64 - 32) // 2
    crest = SCREEN - 16 - 2 * (np.maximum(near, far) // 2)
    return np.where(rows >= crest, np.uint8(LETTER_INDEX["h"]), picture)


# (offsets, 64, 64) colour indices
BACKGROUNDS = np.lib.stride_tricks.sliding_window_view(_draw_background(), SCREEN, axis=1)
BACKGROUNDS = np.ascontiguousarray(BACKGROUNDS.transpose(1, 0, 2)[:_HILL_PERIOD])


def _draw_sun():
    """A disc of radius five pixels, fixed on the screen, as a (64, 64) mask."""
    rows, columns = np.mgrid[:SCREEN, :SCREEN]
    return (rows - 11.5) ** 2 + (columns - 51.5) ** 2 <= 5.2**2


_SUN = _draw_sun()
BACKGROUNDS[:, _SUN] = LETTER_INDEX["u"]


def draw_level(tiles: np.ndarray) -> np.ndarray:
    """Draw whole levels in colour indices.

    Args:
        tiles: (levels, 8, columns) tile kinds.

    Returns:
        (levels, 64, 8 * columns) uint8, 0 where the background shows through.
    """
    levels, rows, columns = tiles.shape
    art = TILE_ART[tiles, np.arange(columns) % TILE_ART.shape[1]]  # (levels, rows, columns, 8, 8)
    return np.ascontiguousarray(art.transpose(0, 1, 3, 2, 4)).reshape(
        levels, rows * TILE, columns * TILE
    )


def _stamp(frames, art, x, y, which):
    """Draw one 8x8 sprite a frame in place, clipped at the screen's edges; `which` selects the
    frames it shows in.
    """
    which = np.flatnonzero(which & (x > -TILE) & (x < SCREEN))
    if which.size == 0:
        return
    rows = y[which, None, None] + np.arange(TILE)[None, :, None]
    columns = x[which, None, None] + np.arange(TILE)[None, None, :]
    art = art[which]
    visible = (art > 0) & (rows >= 0) & (rows < SCREEN) & (columns >= 0) & (columns < SCREEN)
    frame, row, column = np.nonzero(visible)
    frames[which[frame], rows[frame, row, 0], columns[frame, 0, column]] = art[visible]


def render(state: "Simulation") -> np.ndarray:
    """Draw what the camera sees in every level of a simulation.

    Args:
        state: a `genie_mini.world.Simulation`.

    Returns:
        (levels, 64, 64, 3) uint8 RGB.
    """
    levels = np.arange(len(state.x))
    windows = np.lib.stride_tricks.sliding_window_view(state.drawn, SCREEN, axis=2)
    frames = windows[levels, :, state.camera]
    background = BACKGROUNDS[(state.camera // 2 + state.hills) % _HILL_PERIOD]
    frames = np.where(frames == 0, background, frames)
    for creature in range(state.creature_x.shape[1]):
        facing, lifted = state.creature_step[:, creature] > 0, state.creature_lifts[:, creature]
        art = CREATURE_ART[facing.astype(int), lifted.astype(int)]
        x = state.creature_x[:, creature] - state.camera
        _stamp(frames, art, x, state.creature_y[:, creature], np.ones(len(levels), bool))
    art = PLAYER_ART[state.facing, state.pose]
    _stamp(frames, art, state.x - state.camera, state.y, np.ones(len(levels), bool))
    return in_colors(frames, state.palette)


def in_colors(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Pictures in colour indices, (n, height, width) uint8, each in the colours of its palette,
    (n,): (n, height, width, 3) uint8 RGB.
    """
    packed = COLORS.ravel()[indices + (64 * palette[:, None, None]).astype(np.uint16)]
    return packed.view(np.uint8).reshape(*indices.shape, 4)[..., :3]


def sprite_colors(art: np.ndarray) -> np.ndarray:
    """Sprites in colour indices, (n, 8, 8), as (n, 8, 8, 3) uint8 RGB. They have the same colours
    in every palette.
    """
    return in_colors(art, np.zeros(len(art), dtype=int))


def player_drawings(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The player in every facing and pose, as it appears in pictures of this size (32 or 64).

    Returns:
        RGB in [0, 1] and 1 where no background shows through, both (8, 3, side, side) float32
        tensors.
    """
    scale = SCREEN // size
    art: np.ndarray = PLAYER_ART.reshape(-1, TILE, TILE)
    colors = sprite_colors(art).astype(np.float32) / 255
    side = TILE // scale
    opaque = np.greater(art, 0).reshape(-1, side, scale, side, scale).all(axis=(2, 4))
    colors = colors.reshape(-1, side, scale, side, scale, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    opaque = np.broadcast_to(opaque[:, None], colors.shape).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(colors)), torch.from_numpy(opaque)
