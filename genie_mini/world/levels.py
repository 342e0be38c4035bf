"""Levels of the platformer: ground, bricks, coins, flowers and creatures, all a function of one
seed.
"""

import numpy as np

from genie_mini.world.rendering import (
    BRICK,
    COIN,
    DIRT,
    EMPTY,
    FLOWER,
    GRASS,
    PALETTES,
    SCREEN,
    TILE,
)

COLUMNS = 40  # tiles: a level is five screens wide
ROWS = SCREEN // TILE
FIRST, LAST = (
    3,
    35,
    # the columns where the player can be; cliffs close the level, and the camera never meets its
    # edge
)
CREATURES = 3
_CLIFF = 6  # tiles high


def build_level(seed):
    """Generate one level; the same seed always gives the same level.

    Args:
        seed: any integer from 0 up.

    Returns:
        tiles (8, 40) uint8, palette index, hill offset, and the creatures' start columns (3,) and
        rows (3,).
    """
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
    return (
        tiles,
        int(rng.integers(len(PALETTES))),
        2 * int(rng.integers(64)),
        creature_columns,
        surface[creature_columns],
    )
