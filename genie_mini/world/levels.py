"""Levels of the platformer: ground, bricks, coins, flowers and creatures, all a function of one
seed.
"""

from typing import NamedTuple

import numpy as np

from genie_mini.world.sprites import BRICK, COIN, DIRT, EMPTY, FLOWER, GRASS, PALETTES, SCREEN, TILE

COLUMNS = 40  # tiles: a level is five screens wide
ROWS = SCREEN // TILE
# The columns where the player can be; cliffs close the level, and the camera never meets its edge.
FIRST, LAST = 3, 35
CREATURES = 3
_CLIFF = 6  # tiles high


class Level(NamedTuple):
    """One level, before anybody has moved in it.

    Attributes:
        tiles: (8, 40) uint8 kinds of tile.
        palette: index into `PALETTES`.
        hills: how far the hills behind are shifted, pixels.
        creature_columns, creature_rows: (3,) tiles where the creatures start.
    """

    tiles: np.ndarray
    palette: int
    hills: int
    creature_columns: np.ndarray
    creature_rows: np.ndarray


def build_level(seed: int) -> Level:
    """Generate one level; the same seed, any integer from 0 up, always gives the same level."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 0, 0, 0, 1, -1], size=COLUMNS)
    # Runs of flat ground of two columns at least, between one and three tiles high.
    height = np.empty(COLUMNS, dtype=int)
    height[0] = 2
    for column in range(1, COLUMNS):
        flat = column % 2 == 1
        height[column] = (
            height[column - 1] if flat else min(3, max(1, height[column - 1] + steps[column]))
        )
    height[:FIRST] = height[LAST + 1 :] = _CLIFF
    # 0 in the row of the grass, above it negative
    depth = np.arange(ROWS)[:, None] - (ROWS - height)[None, :]
    tiles = np.where(depth > 0, DIRT, np.where(depth == 0, GRASS, EMPTY)).astype(np.uint8)

    # Coins hang in every third column: closer, a row of them would look the same one step further
    # on.
    column = 4
    while column < LAST - 3:
        length = int(rng.integers(2, 5))
        ground = ROWS - height[column : column + length].max()
        if rng.random() < 0.4:
            # one or two free tiles below the bricks: no room for a jump
            row = ground - int(rng.integers(2, 4))
            tiles[row, column : column + length] = BRICK
            if rng.random() < 0.5 and row > 0:
                tiles[row - 1, column : column + length : 3] = COIN
        elif rng.random() < 0.6:
            row = ground - 2
            tiles[row, column : column + length : 3] = COIN
        column += length + int(rng.integers(2, 5))
    surface = ROWS - height - 1
    flowers = np.flatnonzero(rng.random(COLUMNS) < 0.15)
    flowers = flowers[tiles[surface[flowers], flowers] == EMPTY]
    tiles[surface[flowers], flowers] = FLOWER

    creature_columns = np.array([10, 20, 30]) + rng.integers(-3, 4, size=CREATURES)
    return Level(
        tiles=tiles,
        palette=int(rng.integers(len(PALETTES))),
        hills=2 * int(rng.integers(64)),
        creature_columns=creature_columns,
        creature_rows=surface[creature_columns],
    )
