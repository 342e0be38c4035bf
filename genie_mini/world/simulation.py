"""The world: a side-scrolling platformer, generated from seeds, that stands in for the videos Genie
was trained on.

The models only ever see pictures of it. Its true actions and positions come out in a structure of
their own (`Truth`), which scores the models and which no training function accepts.

All lengths are pixels of the 64x64 screen, all speeds pixels a frame, at 10 frames a second.
Everything moves on a coarse grid of four pixels (the hills behind at half the speed), as in a game
of the 8-bit years: a learner with 1024 codes for an 8x8 patch then meets each picture of a tile in
few positions.

There are eight actions, as many as the paper's models have latent ones. On the ground each leads to
a picture of its own; with fewer real actions than latent ones, no model could give every latent
action an effect that tells it from the others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from genie_mini.errors import GenieError
from genie_mini.world.levels import COLUMNS, FIRST, LAST, ROWS, build_level
from genie_mini.world.rendering import PLAYER_SCREEN_X, draw_level, render
from genie_mini.world.sprites import COIN, EMPTY, FALL, RISE, SCREEN, SOLID, STAND, STEP, TILE

ACTIONS = ("nothing", "left", "right", "jump", "jump left", "jump right", "dash left", "dash right")
NOTHING, LEFT, RIGHT, JUMP, JUMP_LEFT, JUMP_RIGHT, DASH_LEFT, DASH_RIGHT = range(len(ACTIONS))
FRAMES_PER_SECOND = 10
SIZES = (32, 64)
HELD_OUT_SEED = 2**40  # level seeds from here on are for scoring only; training never reaches them

_SIDEWAYS = np.array([0, -4, 4, 0, -4, 4, -8, 8])  # of each action
STEPS = tuple(sorted({*_SIDEWAYS.tolist()}))  # by which the camera may move
_JUMPS = np.isin(range(len(ACTIONS)), (JUMP, JUMP_LEFT, JUMP_RIGHT))
CREATURE_WALK = 4
_GRAVITY = 8
_JUMP_SPEED = -12
_FASTEST_FALL = 8
# All that gravity makes of a jump, and of a fall or a rise that was stopped.
RISE_SPEEDS = (_JUMP_SPEED, _JUMP_SPEED + _GRAVITY)
FALL_SPEEDS = (0, _JUMP_SPEED + 2 * _GRAVITY, _FASTEST_FALL)


class Simulation:
    """Many levels advancing together, one frame a step.

    Args:
        seeds: one level seed for each simulation, a sequence of n integers.
        columns: the tile column where each player starts, (n,); None starts all at column 3, the
            level's beginning.

    Attributes:
        x, y: (n,) the player's top left corner, pixels. speed: (n,) downwards, pixels a frame.
            camera: (n,) pixels.
        facing: (n,) 0 left, 1 right. walking: (n,) bool, whether the last action was a step.
            on_ground: (n,) bool.
        coins: (n,) coins taken so far. creature_lifts: (n, creatures) bool, a foot in the air
            before the next step.
    """

    def __init__(self, seeds: Sequence[int] | np.ndarray, columns: ArrayLike | None = None) -> None:
        levels = [build_level(seed) for seed in seeds]
        self.tiles = np.stack([level.tiles for level in levels])
        self.palette = np.array([level.palette for level in levels])
        self.hills = np.array([level.hills for level in levels])
        self.creature_x = np.stack([level.creature_columns for level in levels]) * TILE
        self.creature_y = np.stack([level.creature_rows for level in levels]) * TILE
        self.creature_step = np.where(self.creature_x % 16 == 0, CREATURE_WALK, -CREATURE_WALK)
        self.creature_lifts = self.creature_x % 32 < 16
        self.drawn = draw_level(self.tiles)
        self._levels = np.arange(len(levels))

        columns = np.full(len(levels), FIRST) if columns is None else np.asarray(columns)
        self.x = columns * TILE
        solid_below = SOLID[self.tiles[self._levels, :, columns]]
        self.y = (
            ROWS - np.argmin(solid_below[:, ::-1], axis=1) - 1
        ) * TILE  # on the ground, under any bricks
        self.speed = np.zeros(len(levels), dtype=int)
        self.facing = np.ones(len(levels), dtype=int)
        self.walking = np.zeros(len(levels), dtype=bool)
        self.on_ground = np.ones(len(levels), dtype=bool)
        self.coins = np.zeros(len(levels), dtype=int)

    @property
    def camera(self) -> np.ndarray:
        """(n,) left edge of the screen in the level, pixels."""
        return self.x - PLAYER_SCREEN_X

    @property
    def pose(self) -> np.ndarray:
        """(n,) how the player is drawn, as `STAND`, `STEP`, `RISE` or `FALL`."""
        in_the_air = np.where(self.speed < 0, RISE, FALL)
        return np.where(self.on_ground, np.where(self.walking, STEP, STAND), in_the_air)

    def _solid_at(self, x, y):
        """Whether an 8x8 body with its corner at (x, y) would touch a solid tile or the ends of the
        level.
        """
        rows = np.stack([y // TILE, (y + TILE - 1) // TILE])
        columns = np.stack([x // TILE, (x + TILE - 1) // TILE])
        outside = (x < FIRST * TILE) | (x > LAST * TILE)
        columns = np.clip(columns, 0, COLUMNS - 1)
        inside = rows >= 0  # above the screen there is only air
        touched = (
            SOLID[self.tiles[self._levels, np.clip(rows, 0, ROWS - 1)[:, None], columns[None]]]
            & inside[:, None]
        )
        return touched.any(axis=(0, 1)) | outside

    def step(self, actions: ArrayLike) -> None:
        """Advance every level by one frame (a tenth of a second).

        Args:
            actions: (n,) integers into `ACTIONS`.
        """
        actions = np.asarray(actions)
        if actions.shape != self.x.shape or not np.isin(actions, range(len(ACTIONS))).all():
            raise GenieError(
                f"actions must be {len(self.x)} integers from 0 to {len(ACTIONS) - 1}, got "
                f"{actions!r}"
            )
        sideways = _SIDEWAYS[actions]
        # A dash ends at a wall.
        sideways = np.where(
            (np.abs(sideways) == 8) & self._solid_at(self.x + sideways, self.y),
            sideways // 2,
            sideways,
        )
        # Against a wall nothing happens, not even a turn: what an action does is always to be seen
        # in the same way.
        sideways = np.where(self._solid_at(self.x + sideways, self.y), 0, sideways)
        self.walking = sideways != 0
        self.facing = np.where(self.walking, sideways > 0, self.facing).astype(int)
        self.x = self.x + sideways

        # A jump needs room for its first frame: under a low brick, as against a wall, nothing
        # happens.
        jumps = _JUMPS[actions] & self.on_ground & ~self._solid_at(self.x, self.y + _JUMP_SPEED)
        self.speed = np.where(jumps, _JUMP_SPEED, np.minimum(self.speed + _GRAVITY, _FASTEST_FALL))
        target = self.y + self.speed
        blocked = self._solid_at(self.x, target)
        falling = self.speed > 0
        # A blocked fall ends on the tile's top, a blocked rise below the tile.
        stopped = np.where(falling, (target - 1) // TILE * TILE, (target // TILE + 1) * TILE)
        self.y = np.where(blocked, stopped, target)
        self.on_ground = blocked & falling
        self.speed = np.where(blocked, 0, self.speed)

        self._walk_creatures()
        self._take_coins()

    def _walk_creatures(self):
        """Every creature lifts a foot in one frame and goes on in the next; where its way ends, it
        turns: no player needed.
        """
        levels = self._levels[:, None]
        ahead = self.creature_x + self.creature_step
        edge = np.where(self.creature_step > 0, ahead + TILE - 1, ahead)
        column = np.clip(edge // TILE, 0, COLUMNS - 1)
        row = self.creature_y // TILE
        free = ~SOLID[self.tiles[levels, row, column]] & SOLID[self.tiles[levels, row + 1, column]]
        free &= (edge >= 0) & (edge < COLUMNS * TILE)
        self.creature_x = np.where(free & self.creature_lifts, ahead, self.creature_x)
        self.creature_step = np.where(
            free | ~self.creature_lifts, self.creature_step, -self.creature_step
        )
        self.creature_lifts = ~self.creature_lifts

    def _take_coins(self):
        """Remove the coins that the player's body covers by half or more."""
        column, row = (self.x + TILE // 2) // TILE, (self.y + TILE // 2) // TILE
        # The tile at the body's middle and, while between two columns, the one before.
        for reach in (0, -1):
            at = np.clip(np.where(self.x % TILE == 0, column, column + reach), 0, COLUMNS - 1)
            taken = np.flatnonzero(
                (row >= 0) & (self.tiles[self._levels, np.clip(row, 0, ROWS - 1), at] == COIN)
            )
            self.tiles[taken, row[taken], at[taken]] = EMPTY
            for level in taken:
                top, left = row[level] * TILE, at[level] * TILE
                self.drawn[level, top : top + TILE, left : left + TILE] = 0
            self.coins[taken] += 1

    def frames(self, size: int = SCREEN) -> np.ndarray:
        """Draw the present moment: (n, size, size, 3) uint8."""
        return shrink(render(self), size)


class PlayerAlone(Simulation):
    """Worlds in a state of one's own in which only the player moves, to try what follows: whoever
    derives from this sets the state. Of nothing but `step` and what it changes can be asked.
    """

    def _walk_creatures(self):
        pass

    def _take_coins(self):
        pass


def shrink(frames: np.ndarray, size: int) -> np.ndarray:
    """Bring 64x64 pictures, (..., 64, 64, 3) uint8, to `size` (32 or 64) by averaging squares of
    four pixels.
    """
    if size not in SIZES:
        raise GenieError(
            f"the world is drawn at {SIZES[0]} or {SIZES[1]} pixels, got size={size!r}"
        )
    if size == SCREEN:
        return frames
    wide = frames.astype(np.uint16)
    mean = (
        wide[..., ::2, ::2, :]
        + wide[..., 1::2, ::2, :]
        + wide[..., ::2, 1::2, :]
        + wide[..., 1::2, 1::2, :]
        + 2
    ) // 4
    return mean.astype(np.uint8)
