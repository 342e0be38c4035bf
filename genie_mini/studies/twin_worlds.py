"""Worlds that come in pairs, one with a landmark and one without, and what plays in them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.rollout import Rollout
from genie_mini.world.levels import COLUMNS, FIRST, ROWS, build_level
from genie_mini.world.rendering import PLAYER_SCREEN_X, draw_level
from genie_mini.world.simulation import (
    ACTIONS,
    DASH_LEFT,
    DASH_RIGHT,
    HELD_OUT_SEED,
    NOTHING,
    Simulation,
)
from genie_mini.world.sprites import BRICK, COIN, EMPTY, FLOWER, GRASS, SCREEN, TILE

# kinds, and how many tiles above the ground's surface each may be found
LANDMARKS = {
    FLOWER: 0,
    COIN: 1,
    BRICK: 2,
}
SHOWN = 8  # frames of the prompt
FARTHEST = SCREEN // TILE  # dashes of a way: a screen further on
_PLAYED = (NOTHING, DASH_LEFT, DASH_RIGHT)
_LEFT_OF_PLAYER = PLAYER_SCREEN_X // TILE  # columns between the screen's left edge and the player


@dataclass
class TwinWorlds:
    """Pairs of held-out levels, the player standing so that the landmark's column is the leftmost
    on the screen.

    Attributes:
        simulations: the world with the landmark and the world without, each of all pairs, at the
            end of the prompt.
        prompts: (2, pairs, SHOWN, size, size, 3) float in [0, 1]; first those with the landmark.
        rows: (pairs,) the landmark's row, tiles from the top. kinds: (pairs,) which tile it is.
        size: of the pictures, pixels.
    """

    simulations: tuple[Simulation, Simulation]
    prompts: Tensor
    rows: np.ndarray
    kinds: np.ndarray
    size: int


def twin_worlds(num_pairs: int, size: int = SCREEN, seed: int = 0, dashes: int = 1) -> TwinWorlds:
    """Build pairs of held-out levels for `recall`, with level ground for so many dashes to the
    right.

    Flowers, coins and bricks take turns as the landmark. It stands where the level generator could
    have put it, in a column that is otherwise free, and nothing else on the screen depends on
    whether it does. Creatures are kept away: one that walks past would hide it.

    Raises:
        ValueError: num_pairs is less than one, or dashes lead nowhere or off the level.
    """
    if num_pairs < 1:
        raise GenieError(f"recall needs at least one pair of worlds, got {num_pairs}")
    if not 1 <= dashes <= FARTHEST:
        raise GenieError(f"a way takes from 1 to {FARTHEST} dashes, got {dashes}")
    rng = np.random.default_rng([seed, 5])
    seeds: list[int] = []
    sought: list[tuple[int, int, int]] = []  # column, row, kind
    while len(seeds) < num_pairs:
        level = HELD_OUT_SEED + int(rng.integers(HELD_OUT_SEED))
        kind = list(LANDMARKS)[len(seeds) % len(LANDMARKS)]
        tiles = build_level(level).tiles
        sites = _sites(tiles, dashes)
        if len(sites):
            column = rng.choice(sites)
            surface = np.flatnonzero(tiles[:, column] == GRASS)[0] - 1
            seeds.append(level)
            sought.append((column, surface - LANDMARKS[kind], kind))
    columns, rows, kinds = np.array(sought).T

    def world(tile):
        simulation = Simulation(seeds, columns + _LEFT_OF_PLAYER)
        simulation.tiles[np.arange(num_pairs), rows, columns] = tile
        simulation.drawn = draw_level(simulation.tiles)
        simulation.creature_x[:] = (COLUMNS - 1) * TILE  # behind the cliff at the level's end
        frames = [simulation.frames(size)]
        for _ in range(SHOWN - 1):
            simulation.step(np.full(num_pairs, NOTHING))
            frames.append(simulation.frames(size))
        return simulation, np.stack(frames, axis=1)

    simulations, frames = zip(world(kinds), world(EMPTY), strict=True)
    prompts = torch.from_numpy(np.stack(frames)).float() / 255
    return TwinWorlds(simulations, prompts, rows, kinds, size)


def _sites(tiles, dashes):
    """Columns of a level, tiles (rows, columns), that are free and from which the player can dash
    so many columns on and back.
    """
    ground = np.argmax(tiles == GRASS, axis=0)
    free = (np.where(np.arange(ROWS)[:, None] < ground, tiles, EMPTY) == EMPTY).all(axis=0)
    columns = np.arange(FIRST, COLUMNS - 2 * SCREEN // TILE)
    heights = ground[columns[:, None] + _LEFT_OF_PLAYER + np.arange(dashes + 1)]
    flat = (heights == heights[:, :1]).all(axis=1)
    return columns[free[columns] & flat]


class Simulated:
    """The oracle: the simulator itself, asked like a model."""

    def __init__(self, simulation: Simulation, size: int):
        self.simulation, self._size = copy.deepcopy(simulation), size

    def step(self, action: int) -> Tensor:
        """Play one real action in every world and return the pictures, (worlds, size, size, 3)
        float in [0, 1].
        """
        self.simulation.step(np.full(len(self.simulation.x), action))
        return torch.from_numpy(self.simulation.frames(self._size)).float() / 255

    def fork(self) -> "Simulated":
        """The same worlds at the same moment, to go on in another way."""
        return Simulated(self.simulation, self._size)


class Dreamt:
    """A Genie playing real actions, each as the latent one that stands for it.

    Args:
        rollout: a `Rollout` of all worlds, or one like it.
        names: (latent actions,) the real action of each, from `evaluation.action_map`.
        temperature: of sampling.
    """

    def __init__(self, rollout: Rollout, names: np.ndarray, temperature: float = 1.0):
        self._rollout, self._temperature = rollout, temperature
        self._latent = latent_actions(names, _PLAYED)

    def step(self, action: int) -> Tensor:
        """Play one real action in every world and return the pictures; see `Rollout.step`."""
        latent = torch.full((len(self._rollout.tokens),), self._latent[action])
        return self._rollout.step(latent, temperature=self._temperature).cpu()

    def fork(self) -> "Dreamt":
        """The same worlds at the same moment, to go on in another way. (A step replaces what a
        roll-out holds; it changes nothing in place.)
        """
        fork = copy.copy(self)
        fork._rollout = copy.copy(self._rollout)
        return fork


def latent_actions(names: np.ndarray, needed: Sequence[int] = ()) -> dict[int, int]:
    """For each real action that has one, the first latent action that stands for it; a ValueError
    if a needed one has none.
    """
    latent_of = {int(real): latent for latent, real in reversed(list(enumerate(names)))}
    if missing := [ACTIONS[action] for action in needed if action not in latent_of]:
        raise GenieError(
            f"no latent action stands for {', '.join(missing)}: what was asked for cannot be played"
        )
    return latent_of
