"""Filming the platformer: the recording policy, the clips it makes, and the truth about them in its
own place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from genie_mini.errors import GenieError
from genie_mini.world.levels import FIRST, LAST
from genie_mini.world.simulation import (
    ACTIONS,
    HELD_OUT_SEED,
    NOTHING,
    PlayerAlone,
    Simulation,
)
from genie_mini.world.sprites import SCREEN

# How often the recording policy picks each action. Jumps do nothing in the air, so that they are
# seen more rarely than tried.
_ACTION_SHARES = np.array([0.08, 0.1, 0.1, 0.16, 0.16, 0.16, 0.12, 0.12])
_LEAD_IN = 12  # frames played before the film begins, at most


@dataclass(frozen=True)
class Truth:
    """What the simulator knows of recorded clips and the videos do not say. It scores the models;
    it never trains them.

    Attributes:
        actions: (clips, frames - 1) int64 into `ACTIONS`; actions[:, t] leads from frame t to t +
            1.
        positions: (clips, frames, 2) int64, the player's x and y in the level, pixels of the 64x64
            screen.
        on_ground: (clips, frames) bool.
        outcomes: (clips, frames - 1) int64, a bit mask: bit a is set if action a would have led to
            the same next picture.
    """

    actions: np.ndarray
    positions: np.ndarray
    on_ground: np.ndarray
    outcomes: np.ndarray


def random_actions(rng: np.random.Generator, clips: int, steps: int) -> np.ndarray:
    """Draw the recording policy's actions, (clips, steps) int64.

    Half the clips draw every action anew; the other half keep the last one with probability 0.7.
    With repeats alone, latent actions may come to mean "keep going" and "turn round"; without any,
    the player gets about half as far.
    """
    if steps == 0:
        return np.empty((clips, 0), dtype=np.int64)
    fresh = rng.choice(len(ACTIONS), size=(clips, steps), p=_ACTION_SHARES)
    keep = rng.random((clips, steps)) < np.where(rng.random((clips, 1)) < 0.5, 0.7, 0.0)
    keep[:, 0] = False
    last_fresh = np.maximum.accumulate(np.where(keep, 0, np.arange(steps)), axis=1)
    return np.take_along_axis(fresh, last_fresh, axis=1)


def _outcomes(simulation, actions):
    """For each level, the bit mask of actions that end in the same next picture as the one taken,
    (n,) int64.
    """
    trial = _Trial(simulation)
    trial.step(np.tile(np.arange(len(ACTIONS)), len(actions)))
    # What the picture shows of the player.
    results = np.stack([trial.x, trial.y, trial.facing, trial.pose], axis=1).reshape(
        len(actions), len(ACTIONS), 4
    )
    taken = results[np.arange(len(actions)), actions]
    same = (results == taken[:, None]).all(axis=2)
    return (same << np.arange(len(ACTIONS))).sum(axis=1)


class _Trial(PlayerAlone):
    """All actions in every level, one step ahead; the original stays as it is."""

    def __init__(self, original):
        self.tiles = original.tiles
        self._levels = np.repeat(original._levels, len(ACTIONS))
        for name in ("x", "y", "speed", "facing", "walking", "on_ground"):
            setattr(self, name, np.repeat(getattr(original, name), len(ACTIONS)))


def record(
    num_clips: int,
    num_frames: int = 16,
    *,
    size: int = SCREEN,
    seed: int | list[int] = 0,
    held_out: bool = False,
    actions: ArrayLike | None = None,
    from_start: bool = False,
) -> tuple[np.ndarray, Truth]:
    """Film the recording policy at play, each clip in a level of its own.

    Args:
        num_clips, num_frames: how many clips, and frames in each (1.6 seconds are 16).
        size: 32 or 64 pixels.
        seed: an integer or a list of them; clips with another seed come from other levels (and
            other actions).
        held_out: draw from the levels that training never sees.
        actions: (num_clips, num_frames - 1) real actions to play instead of the policy's.
        from_start: film from each level's beginning instead of from a random moment in it.

    Returns:
        frames: (num_clips, num_frames, size, size, 3) float32 in [0, 1].
        truth: the `Truth` about them.
    """
    if num_clips < 1 or num_frames < 1:
        raise GenieError(
            f"record needs at least one clip of one frame, got {num_clips} clips of {num_frames}"
        )
    rng = np.random.default_rng([*np.atleast_1d(seed), int(held_out)])
    simulation = _start(rng, num_clips, held_out, from_start)
    # After the start, so that the same seed begins in the same place whatever is played.
    if actions is None:
        actions = random_actions(rng, num_clips, num_frames - 1)
    actions = _check_actions(actions, num_clips, num_frames - 1)
    frames = np.empty((num_clips, num_frames, size, size, 3), dtype=np.float32)
    positions = np.empty((num_clips, num_frames, 2), dtype=np.int64)
    on_ground = np.empty((num_clips, num_frames), dtype=bool)
    outcomes = np.empty((num_clips, num_frames - 1), dtype=np.int64)
    for t in range(num_frames):
        frames[:, t] = simulation.frames(size)
        positions[:, t] = np.stack([simulation.x, simulation.y], axis=1)
        on_ground[:, t] = simulation.on_ground
        if t < num_frames - 1:
            outcomes[:, t] = _outcomes(simulation, actions[:, t])
            simulation.step(actions[:, t])
    frames /= 255.0
    return frames, Truth(actions, positions, on_ground, outcomes)


def _start(
    rng: np.random.Generator, num_clips: int, held_out: bool, from_start: bool
) -> Simulation:
    """Put players into levels: at the beginning, or in the middle of something."""
    seeds = rng.integers(HELD_OUT_SEED, size=num_clips) + (HELD_OUT_SEED if held_out else 0)
    columns = None if from_start else rng.integers(FIRST, LAST + 1, size=num_clips)
    simulation = Simulation(seeds, columns)
    lead_in = 0 if from_start else _LEAD_IN
    begins = rng.integers(lead_in + 1, size=num_clips)  # so that clips begin in mid-jump too
    warm_up = random_actions(rng, num_clips, lead_in)
    for step in range(lead_in):
        simulation.step(np.where(step < begins, warm_up[:, step], NOTHING))
    return simulation


def _check_actions(actions: ArrayLike, num_clips: int, steps: int) -> np.ndarray:
    checked = np.asarray(actions)
    if checked.shape != (num_clips, steps) or not np.isin(checked, range(len(ACTIONS))).all():
        raise GenieError(
            f"actions must be ({num_clips}, {steps}) integers from 0 to {len(ACTIONS) - 1}"
        )
    return checked.astype(np.int64)
