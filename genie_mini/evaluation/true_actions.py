"""What do the latent actions tell of the true ones, and how much could be told at all?

Needs the true actions of the films, which score only. Told are bits: what is known of a true action
once its latent one is seen. The bound beside it is a supervised network on the same frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genie_mini.evaluation.action_map import LABELLED, fit_action_map
from genie_mini.evaluation.any_world import Clips, Footage, draw_clips
from genie_mini.evaluation.intervals import MeasuredScore, independent_groups, measured
from genie_mini.evaluation.inverse_dynamics import (
    FRAMES_BEFORE,
    WINDOW,
    name_actions,
    train_inverse_dynamics,
)
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import CLIP_FRAMES, Genie

_TRAIN_CLIPS = 512  # of which the meaning of the codes is counted
_POOL = 100_000  # transitions that the supervised network learns from, at most
_VALIDATION = 2048  # and those that say when it should stop, at most
_LEAST_BITS = 0.02  # below, as good as nothing can be seen, and a share of it means nothing

TrueActions = Callable[[np.ndarray, int], np.ndarray | None]
"""From places and a number of frames to the true actions of those clips, (clips, frames - 1) int64,
below 0 where nobody knows; None if nobody knows any. `data.cache.true_actions` of one folder."""


def read_actions(actions: TrueActions, starts: np.ndarray, num_frames: int) -> np.ndarray:
    """The true actions of clips, (clips, num_frames - 1), below 0 where nobody knows."""
    told = actions(starts, num_frames)
    return np.full((len(starts), num_frames - 1), -1) if told is None else told


@dataclass(frozen=True)
class Answers:
    """What somebody says of true actions.

    Attributes:
        real: (clips, T) the true ones, below 0 where nobody knows.
        named: (clips, T) what was said instead of them.
        log_probability: (clips, T) nats that were given to the true one; anything where there is
            none.
    """

    real: np.ndarray
    named: np.ndarray
    log_probability: np.ndarray

    def accuracy(self, chosen: np.ndarray) -> float:
        """Share of the actions in these clips that are named right."""
        known = self.real[chosen] >= 0
        return float((self.named[chosen] == self.real[chosen])[known].mean())

    def bits(self, chosen: np.ndarray) -> float:
        """Bits told of an action in these clips: its entropy less what doubt is left. Below 0 for
        answers that mislead.
        """
        known = self.real[chosen] >= 0
        doubt = -self.log_probability[chosen][known].mean() / np.log(2)
        return entropy_bits(self.real[chosen][known]) - float(doubt)


def entropy_bits(actions: np.ndarray) -> float:
    """Entropy of actions as often as they were taken, bits."""
    counts = np.bincount(actions.ravel())
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def answers_of_codes(
    latent: np.ndarray,
    real: np.ndarray,
    labelled: tuple[np.ndarray, np.ndarray],
    num_latent: int,
    num_real: int,
) -> tuple[Answers, np.ndarray]:
    """What latent actions say of the true ones.

    Args:
        latent, real: (clips, T) to be scored; real below 0 where nobody knows.
        labelled: (labels,) latent and true actions of other films. The first `LABELLED` name the
            latent actions; all of them say how sure each name is.
        num_latent, num_real: how many of each there can be.

    Returns:
        The answers, and the names, (num_latent,) true actions.
    """
    codes, actions = labelled
    names = fit_action_map(codes[:LABELLED], actions[:LABELLED], num_latent, num_real)
    counts = np.zeros((num_latent, num_real))
    np.add.at(counts, (codes, actions), 1)
    common = (counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * num_real)
    # A code that was hardly ever seen tells what is common.
    probability = (counts + common) / (counts.sum(axis=1, keepdims=True) + 1)
    log_probability = np.log(probability[latent, np.maximum(real, 0)])
    return Answers(real, names[latent], log_probability), names


def answers_of_network(logits: Tensor, real: np.ndarray) -> Answers:
    """What the supervised network says, from (clips, T, num_real)."""
    told = logits.log_softmax(dim=-1).double()
    true = torch.from_numpy(np.maximum(real, 0))[..., None]
    return Answers(real, logits.argmax(dim=-1).numpy(), told.gather(-1, true)[..., 0].numpy())


def supervised_answers(
    train: Footage,
    actions: TrueActions,
    frames: Tensor,
    real: np.ndarray,
    num_real: int,
    *,
    progress: bool = True,
) -> Answers:
    """Train a network with all labels of the training films, and ask it for the held-out actions.

    Args:
        train: the training films. actions: their true actions.
        frames: (clips, T, ...) held out. real: (clips, T - 1) their true actions.
        num_real: how many there are.
        progress: show how far it is.

    Returns:
        Answers from the first transition on that has `FRAMES_BEFORE` frames before its own.
    """
    starts = np.unique(train.starts(_POOL, WINDOW, [3]))
    last = read_actions(actions, starts, WINDOW)[:, -1]
    starts, last = starts[last >= 0], last[last >= 0]
    # Validation is by whole films or passages: a network may learn its films by heart.
    groups = independent_groups(train.films(starts), starts, WINDOW)
    order = np.random.default_rng(0).permutation(groups.max() + 1)
    is_validation = order[groups] < max(1, len(order) // 8)
    numbers = np.flatnonzero(is_validation)
    rng = np.random.default_rng(1)
    network = train_inverse_dynamics(
        lambda chosen: (train.clips(starts[chosen], WINDOW), torch.from_numpy(last[chosen])),
        np.flatnonzero(~is_validation) if not is_validation.all() else numbers,
        rng.permutation(numbers)[:_VALIDATION],
        num_real,
        progress=progress,
    )
    logits = [
        name_actions(network, frames[:, t - FRAMES_BEFORE : t + 2])
        for t in range(FRAMES_BEFORE, frames.shape[1] - 1)
    ]
    return answers_of_network(torch.stack(logits, dim=1), real[:, FRAMES_BEFORE:])


def true_action_scores(
    genie: Genie,
    train: Footage,
    actions: TrueActions,
    clips: Clips,
    latent: Tensor,
    *,
    progress: bool = True,
) -> tuple[list[MeasuredScore], np.ndarray | None]:
    """How well the latent actions name the true ones, and beside them a supervised network.

    Args:
        genie: whose latent actions they are.
        train: the training films. actions: of these and of the held-out ones.
        clips: held out, of `CLIP_FRAMES` frames. latent: (clips, CLIP_FRAMES - 1) inferred.
        progress: show how far the supervised network is.

    Returns:
        The scores, and a true action for each latent one; none and None if nobody knows any.
    """
    real = read_actions(actions, clips.starts, CLIP_FRAMES)
    teachers = draw_clips(train, _TRAIN_CLIPS, CLIP_FRAMES, key=2)
    taught = read_actions(actions, teachers.starts, CLIP_FRAMES)
    if (real[:, FRAMES_BEFORE:] < 0).all() or (taught < 0).all():
        return [], None
    num_real = int(max(real.max(), taught.max())) + 1
    known = taught >= 0
    codes = in_batches(genie.latent_action_model.infer, teachers.frames).numpy()[known]
    order = np.random.default_rng(0).permutation(len(codes))
    told, names = answers_of_codes(
        latent[:, FRAMES_BEFORE:].numpy(),
        real[:, FRAMES_BEFORE:],
        (codes[order], taught[known][order]),
        genie.config.dynamics.num_actions,
        num_real,
    )
    bound = supervised_answers(train, actions, clips.frames, real, num_real, progress=progress)
    return _scores(told, bound, clips.groups), names


def _scores(told: Answers, bound: Answers, groups: np.ndarray) -> list[MeasuredScore]:
    """The scores of the codes, each beside what can be seen.

    That is what the network tells, or what the codes tell if that is more: they are read from the
    same frames.
    """
    everything = np.arange(len(groups))
    known = told.real[told.real >= 0]
    commonest = np.bincount(known).max() / len(known)

    def visible(chosen: np.ndarray) -> float:
        return max(bound.bits(chosen), told.bits(chosen))

    right = max(bound.accuracy(everything), told.accuracy(everything))
    scores = [
        measured(
            f"true actions named right, by {LABELLED} labels",
            told.accuracy,
            groups,
            "share",
            chance=commonest,
            best=right,
        ),
        measured(
            "true actions named right by a supervised network",
            bound.accuracy,
            groups,
            "share",
            chance=commonest,
        ),
        measured(
            "bits told of a true action",
            told.bits,
            groups,
            "bit",
            chance=0.0,
            best=visible(everything),
        ),
        measured(
            "bits told by a supervised network",
            bound.bits,
            groups,
            "bit",
            chance=0.0,
            best=entropy_bits(known),
        ),
    ]
    if visible(everything) > _LEAST_BITS:
        share = measured(
            "bits told, as a share of what can be seen",
            lambda chosen: told.bits(chosen) / max(visible(chosen), _LEAST_BITS),
            groups,
            "share",
            chance=0.0,
            best=1.0,
        )
        scores.append(share)
    return scores
