"""Clips of the platformer, filmed anew for every batch. Pictures only, never actions."""

import numpy as np
import torch
from torch import Tensor

from genie_mini.world.recording import random_actions, record
from genie_mini.world.simulation import DASH_LEFT, DASH_RIGHT, LEFT, NOTHING, RIGHT


class PlatformerVideos:
    """Clips of the platformer, filmed anew for every batch and never kept.

    Args:
        size: height and width of the frames, pixels.
        returning: let three of four clips show a player who goes somewhere, waits, and comes back
            (`returning_actions`), so that there is something to remember.
    """

    def __init__(self, size: int, returning: bool = False):
        self.size, self.returning = size, returning
        self.description = f"the platformer at {size} pixels{', returning' if returning else ''}"
        self.longest = None

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Film a batch; see `Videos.batch`."""
        actions = None
        if self.returning:
            actions = returning_actions(np.random.default_rng([*key, 1]), num_clips, num_frames - 1)
        return torch.from_numpy(
            record(num_clips, num_frames, size=self.size, seed=key, actions=actions)[0]
        )


def returning_actions(rng: np.random.Generator, num_clips: int, num_steps: int) -> np.ndarray:
    """Real actions for recording, (num_clips, num_steps) int64: three of four clips of excursions,
    the others of the usual policy.

    An excursion is one to eight steps or dashes to one side, up to 40 frames of waiting, and the
    same way back.
    """
    actions = random_actions(rng, num_clips, num_steps)
    for clip in np.flatnonzero(rng.random(num_clips) < 0.75):
        moves: list[int] = []
        while len(moves) < num_steps:
            left = [(LEFT, RIGHT), (DASH_LEFT, DASH_RIGHT)]
            sides = left if rng.random() < 0.5 else [pair[::-1] for pair in left]
            way = [sides[kind] for kind in rng.integers(2, size=rng.integers(1, 9))]
            wait = [NOTHING] * int(rng.integers(41))
            moves += [out for out, _ in way] + wait + [back for _, back in reversed(way)]
        actions[clip] = moves[:num_steps]
    return actions
