"""Does a latent action mean the same kind of movement in every world? Nobody knows its meaning, but
which way the picture moves under it can be measured in any film.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.evaluation.any_world import Clips
from genie_mini.evaluation.intervals import FEWEST_GROUPS, bootstrap_interval
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import Genie
from genie_mini.models.displacements import matching_costs

AXES = ("down", "right")  # of the picture, in which movements are given
_BLOCK = 8  # side of what is matched, in pixels of a picture 64 high; others in proportion
_FARTHEST = 13  # pixels of such a picture that a block is looked for, each way: a fifth of it
_CHANGED = 2 / 255  # mean absolute difference above which a block has changed
_EXPLAINED = 0.5  # and share of it that may be left where movement explains the change


@dataclass(frozen=True)
class Movements:
    """How the pictures of one world move under each latent action.

    Attributes:
        shares: (actions,) how often each is inferred.
        mean: (actions, 2) movement (down, right) in pixels a frame; NaN where it is never inferred.
        intervals: (actions, 2, 2) 95% of the mean, lower and upper; NaN where too little is known.
    """

    shares: np.ndarray
    mean: np.ndarray
    intervals: np.ndarray


def picture_movement(frames: Tensor) -> Tensor:
    """Which way each frame has moved since the one before, on average over the blocks that changed
    and that a displacement explains: block matching, as in video coders.

    Args:
        frames: (batch, T, height, width, 3) in [0, 1].

    Returns:
        (batch, T - 1, 2) float, pixels down and to the right; 0 where nothing moves.
    """
    return torch.cat([_movement_of_clip(clip) for clip in frames.split(1)])


def _movement_of_clip(frames):
    height, width = frames.shape[2:4]
    block, far = (max(1, round(length * height / 64)) for length in (_BLOCK, _FARTHEST))
    reach = range(-far, far + 1)
    # Nearer ones first: of displacements that fit alike, the shortest is meant.
    moves = sorted(((down, right) for down in reach for right in reach), key=_length)
    costs = matching_costs(frames[:, 1:], frames[:, :-1], moves)[0].permute(0, 3, 1, 2)
    costs = F.avg_pool2d(costs, block, stride=block // 2 or 1)  # (T - 1, moves, rows, columns)
    least, chosen = costs.min(dim=1)
    still = costs[:, 0]
    explained = ((still > _CHANGED) & (least < _EXPLAINED * still)).float()[..., None]
    moved = torch.tensor(moves, dtype=torch.float32)[chosen]
    return ((moved * explained).sum((1, 2)) / explained.sum((1, 2)).clamp(min=1))[None]


def _length(move):
    return move[0] ** 2 + move[1] ** 2


def world_movements(genie: Genie, clips: Clips) -> Movements:
    """Infer the latent actions of held-out clips and see how the pictures move under each.

    Args:
        genie: whose latent actions.
        clips: of one world, from `evaluation.any_world.draw_clips`.
    """
    codes = in_batches(genie.latent_action_model.infer, clips.frames).cpu().numpy()
    moved = picture_movement(clips.frames).numpy()
    num_actions = genie.config.dynamics.num_actions
    mean = np.full((num_actions, 2), np.nan)
    intervals = np.full((num_actions, 2, 2), np.nan)
    for action in range(num_actions):
        there = codes == action
        for axis in range(2) if there.any() else ():

            def statistic(chosen, axis=axis, there=there):
                hits = there[chosen]
                return float(moved[chosen, :, axis][hits].mean()) if hits.any() else float("nan")

            mean[action, axis] = statistic(np.arange(len(codes)))
            if len(np.unique(clips.groups[there.any(axis=1)])) >= FEWEST_GROUPS:
                intervals[action, axis] = bootstrap_interval(statistic, clips.groups)
    shares = np.bincount(codes.flatten(), minlength=num_actions) / codes.size
    return Movements(shares, mean, intervals)


def agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Whether two worlds move alike under the same latent actions.

    Args:
        one, other: movement of either world under each of eight actions at most: (actions,) along
            one axis, or (actions, n) along several that are looked at together. Actions that one of
            them never sees (NaN) are left out.

    Returns:
        The correlation over the actions, the mean of those along several axes; and the share of all
        ways to pair the actions that agree as well or better: what chance would do.
    """
    one, other = (movement.reshape(len(movement), -1) for movement in (one, other))
    known = ~np.isnan(one + other).any(axis=1)
    one, other = (_normed(movement[known]) for movement in (one, other))
    orders = np.array(list(permutations(range(len(other)))))
    paired = np.einsum("ac,oac->o", one, other[orders]) / one.shape[1]
    told = float(paired[0])  # the first order is as it is
    return told, float((paired >= told - 1e-9).mean())


def _normed(movement):
    """Each column around its mean and of length 1; a world that never moves stays 0."""
    movement = movement - movement.mean(axis=0)
    length = np.linalg.norm(movement, axis=0)
    return movement / np.where(length, length, 1)
