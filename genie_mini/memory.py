"""Does it remember? Recall against age, measured with worlds that come in pairs (paper, Section 5: "limited to 16 frames").

The player stands beside a landmark, dashes away until the landmark has left the screen, waits, and dashes back. What is
drawn in the landmark's place tells whether the model remembers it. Each world has a twin, alike in every pixel but the
landmark, which the twin lacks; the two are played with the same actions and the same random numbers. A model that has
lost the landmark draws the same picture in both, and exactly one of the two is right: chance is one half, whatever the
model would guess. The simulator's truth scores models here; it never trains them.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genie_mini.drawing import BRICK, COIN, EMPTY, FLOWER, GRASS, PLAYER_SCREEN_X, SCREEN, TILE, draw_level
from genie_mini.levels import COLUMNS, FIRST, ROWS, build_level
from genie_mini.session import Rollout
from genie_mini.world import ACTIONS, DASH_LEFT, DASH_RIGHT, HELD_OUT_SEED, NOTHING, Simulation

LANDMARKS = {FLOWER: 0, COIN: 1, BRICK: 2}  # kinds, and how many tiles above the ground's surface each may be found
SHOWN = 8  # frames of the prompt
OLDEST = 40  # age in frames up to which recall is asked for
SHIFTS = (-4, 0, 4, 8)  # pixels of the 64x64 screen by which a dreamt camera may miss its place and still show the landmark
_PLAYED = (NOTHING, DASH_LEFT, DASH_RIGHT)
_LEFT_OF_PLAYER = PLAYER_SCREEN_X // TILE  # columns between the screen's left edge and the player


@dataclass
class TwinWorlds:
    """Pairs of held-out levels, the player standing so that the landmark's column is the leftmost on the screen.

    Attributes:
        simulations: the world with the landmark and the world without, each of all pairs, at the end of the prompt.
        prompts: (2, pairs, SHOWN, size, size, 3) float in [0, 1]; first those with the landmark.
        rows: (pairs,) the landmark's row, tiles from the top. kinds: (pairs,) which tile it is.
        size: of the pictures, pixels.
    """

    simulations: tuple[Simulation, Simulation]
    prompts: Tensor
    rows: np.ndarray
    kinds: np.ndarray
    size: int


def twin_worlds(num_pairs: int, size: int = SCREEN, seed: int = 0) -> TwinWorlds:
    """Build pairs of held-out levels for `recall`.

    Flowers, coins and bricks take turns as the landmark. It stands where the level generator could have put it, in a
    column that is otherwise free, and nothing else on the screen depends on whether it does. Creatures are kept away: one
    that walks past would hide it.

    Raises:
        ValueError: num_pairs is less than one.
    """
    if num_pairs < 1:
        raise ValueError(f"recall needs at least one pair of worlds, got {num_pairs}")
    rng = np.random.default_rng([seed, 5])
    seeds, columns, rows, kinds = [], [], [], []
    while len(seeds) < num_pairs:
        level = HELD_OUT_SEED + int(rng.integers(HELD_OUT_SEED))
        kind = list(LANDMARKS)[len(seeds) % len(LANDMARKS)]
        tiles = build_level(level)[0]
        sites = _sites(tiles)
        if len(sites):
            column = rng.choice(sites)
            surface = np.flatnonzero(tiles[:, column] == GRASS)[0] - 1
            seeds.append(level)
            columns.append(column)
            rows.append(surface - LANDMARKS[kind])
            kinds.append(kind)
    columns, rows, kinds = np.array(columns), np.array(rows), np.array(kinds)

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


def _sites(tiles):
    """Columns of a level, tiles (rows, columns), that are free and from which the player can dash two columns on and back."""
    ground = np.argmax(tiles == GRASS, axis=0)
    free = (np.where(np.arange(ROWS)[:, None] < ground, tiles, EMPTY) == EMPTY).all(axis=0)
    columns = np.arange(FIRST, COLUMNS - 2 * SCREEN // TILE)
    flat = ground[columns + _LEFT_OF_PLAYER] == ground[columns + _LEFT_OF_PLAYER + 1]
    return columns[free[columns] & flat]


class Simulated:
    """The oracle: the simulator itself, asked like a model."""

    def __init__(self, simulation: Simulation, size: int):
        self.simulation, self._size = copy.deepcopy(simulation), size

    def step(self, action: int) -> Tensor:
        """Play one real action in every world and return the pictures, (worlds, size, size, 3) float in [0, 1]."""
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
        return self._rollout.step(latent, temperature=self._temperature)

    def fork(self) -> "Dreamt":
        """The same worlds at the same moment, to go on in another way. (A step replaces what a roll-out holds; it changes nothing in place.)"""
        fork = copy.copy(self)
        fork._rollout = copy.copy(self._rollout)
        return fork


def latent_actions(names: np.ndarray, needed: Sequence[int] = ()) -> dict[int, int]:
    """For each real action that has one, the first latent action that stands for it; a ValueError if a needed one has none."""
    latent_of = {int(real): latent for latent, real in reversed(list(enumerate(names)))}
    if missing := [ACTIONS[action] for action in needed if action not in latent_of]:
        raise ValueError(f"no latent action stands for {', '.join(missing)}: what was asked for cannot be played")
    return latent_of


@dataclass
class Recall:
    """What was drawn at one age, as shares.

    Attributes:
        age: frames since the landmark was last in view.
        recall: share of right answers, mean of both twins; one half is chance, one the oracle.
        low, high: Wilson's interval of 95% for it, over all worlds. Twins that were drawn alike are one right and one wrong, so
            near chance the interval is on the wide side.
        drawn_where_it_was: share of worlds with the landmark that show it again.
        drawn_where_none_was: share of worlds without it that show it.
        returned: share of all worlds whose camera came back to its place.
        cases: worlds asked, two a pair.
    """

    age: int
    recall: float
    low: float
    high: float
    drawn_where_it_was: float
    drawn_where_none_was: float
    returned: float
    cases: int


def recall(start, worlds: TwinWorlds, ages: list[int], *, unseen: bool = False) -> list[Recall]:
    """Ask for the landmark after each age.

    Age 1 is the control: the landmark never left the screen. From age 2 on, the player dashes one column to the right, waits
    for age - 2 frames, and dashes back; the waiting is one roll-out for all ages, and each age branches off from it.

    Args:
        start: called with (prompt, simulation) for each twin; returns something with `step(real action)` and `fork()`, as `Dreamt`
            and `Simulated` have.
        worlds: from `twin_worlds`.
        ages: frames, each at least 1 and at most OLDEST.
        unseen: measure chance. The prompt is as long, but filmed after the dash: the same model, which never saw the landmark.

    Returns:
        One `Recall` an age, in the order of `ages`.
    """
    youngest = 2 if unseen else 1
    if not ages or not youngest <= min(ages) <= max(ages) <= OLDEST:
        raise ValueError(f"ages are frames since the landmark was in view, from {youngest} to {OLDEST}, got {list(ages)}")
    readings = []
    for twin, simulation in enumerate(worlds.simulations):
        prompt, oracle = worlds.prompts[twin], Simulated(simulation, worlds.size)
        if unseen:
            prompt = torch.stack([oracle.step(action) for action in (DASH_RIGHT, *[NOTHING] * (SHOWN - 1))], dim=1)
            simulation = oracle.simulation
        world = start(prompt, simulation)
        pictures = {}
        if 1 in ages:
            pictures[1] = world.fork().step(NOTHING)
        for age in range(2, max(ages) + 1):
            if age > 2:
                world.step(NOTHING)
            elif not unseen:
                world.step(DASH_RIGHT)
            if age in ages:
                pictures[age] = world.fork().step(DASH_LEFT)
        readings.append({age: read_landmark(picture, worlds, standing=age == 1) for age, picture in pictures.items()})
    return [_score(age, readings[0][age], readings[1][age]) for age in ages]


def _score(age, with_landmark, without):
    """A `Recall` of what was read, (drawn, shift), in the worlds with the landmark and in those without."""
    answers = torch.stack([with_landmark[0], ~without[0]])
    low, high = wilson(int(answers.sum()), answers.numel())
    where, none = (drawn.float().mean().item() for drawn, _ in (with_landmark, without))
    returned = torch.stack([with_landmark[1], without[1]]).eq(0).float().mean().item()
    return Recall(age, answers.float().mean().item(), low, high, where, none, returned, answers.numel())


def read_landmark(pictures: Tensor, worlds: TwinWorlds, standing: bool) -> tuple[Tensor, Tensor]:
    """Is the landmark in the picture? Whichever of the simulator's two drawings of its tile is nearer.

    A dreamt camera may come to rest a little beside its place. The shift under which the rest of the picture fits the
    simulator's best says where the tile is looked for.

    Args:
        pictures: (pairs, size, size, 3) float in [0, 1].
        worlds: the worlds, before the tour.
        standing: whether the player has stood still; otherwise he has just dashed back.

    Returns:
        (pairs,) bool, and the shifts, (pairs,) in pixels of the 64x64 screen, to the right.
    """
    expected = []
    for simulation in worlds.simulations:
        oracle = Simulated(simulation, worlds.size)
        expected.append(oracle.step(NOTHING) if standing else [oracle.step(a) for a in (DASH_RIGHT, DASH_LEFT)][-1])
    scale, size = SCREEN // worlds.size, worlds.size
    side = TILE // scale
    tile = torch.zeros(len(pictures), size, size, 1)
    for pair, row in enumerate(worlds.rows):
        tile[pair, row * side : (row + 1) * side, :side] = 1
    player = slice(PLAYER_SCREEN_X // scale - side // 2, PLAYER_SCREEN_X // scale + side * 3 // 2)
    misfit, readings = [], []
    for shift in SHIFTS:
        there, here = (slice(max(0, amount), size + min(0, amount)) for amount in (shift // scale, -shift // scale))
        moved = pictures[:, :, there]
        distances = [(moved - picture[:, :, here]).square() for picture in expected]
        around = 1 - tile[:, :, here].expand_as(moved).clone()
        around[:, :, player] = 0  # the camera holds the player where he is
        misfit.append((distances[1] * around).sum((1, 2, 3)) / around.sum((1, 2, 3)))
        readings.append(torch.stack([(distance * tile[:, :, here]).sum((1, 2, 3)) for distance in distances]))
    best = torch.stack(misfit).argmin(dim=0)
    with_landmark, without = torch.stack(readings)[best, :, torch.arange(len(pictures))].unbind(1)
    return with_landmark < without, torch.tensor(SHIFTS)[best]


def wilson(successes: int, trials: int, deviations: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share: where the truth lies with 95% (at 1.96 standard deviations)."""
    share, spread = successes / trials, deviations**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    reach = deviations / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - reach), min(1.0, middle + reach)
