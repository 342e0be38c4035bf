"""Scores that need no labels, for a Genie of any world: on clips that were held out, each with its
95% interval, with what chance gets and with what the best possible would get.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from genie_mini.evaluation.intervals import (
    MeasuredScore,
    Statistic,
    independent_groups,
    measured,
)
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import Genie, in_windows
from genie_mini.models.detail import Detail
from genie_mini.models.tokenizer import still_patches
from genie_mini.rollout import Rollout

LONGEST_ROLLOUT = 64  # frames
PLAYED = 4  # frames that are played from the first one
BEFORE_NEXT = 8  # frames that are shown before the next one is predicted
_BEFORE_PLAY = 4  # and before play begins: enough to see speed and acceleration


class Footage(Protocol):
    """What the scores ask of films: `data.cache.CachedVideos` has it.

    Attributes:
        source: what the films come from. sha256: of all their frames.
        image_size: (height, width), pixels.
    """

    source: dict
    sha256: str
    image_size: tuple[int, int]

    @property
    def longest(self) -> int:
        """Frames of the longest stretch without a cut."""

    def starts(self, num_clips: int, num_frames: int, key: list[int]) -> np.ndarray:
        """Where some clips begin, (clips,)."""

    def clips(self, starts: np.ndarray, num_frames: int) -> Tensor:
        """The clips that begin there, (clips, num_frames, height, width, 3) in [0, 1]."""

    def films(self, starts: np.ndarray) -> np.ndarray:
        """The names of their films, (clips,)."""


@dataclass(frozen=True)
class Clips:
    """Clips of one length.

    Attributes:
        starts: (clips,) places. frames: (clips, T, height, width, 3) in [0, 1].
        groups: (clips,) which of them hang together.
    """

    starts: np.ndarray
    frames: Tensor
    groups: np.ndarray


def draw_clips(footage: Footage, num_clips: int, num_frames: int, key: int) -> Clips:
    """Draw clips at random; none comes twice, so there may be fewer.

    Raises:
        GenieError: no stretch is as long as that.
    """
    starts = np.unique(footage.starts(num_clips, num_frames, [key]))
    groups = independent_groups(footage.films(starts), starts, num_frames)
    return Clips(starts, footage.clips(starts, num_frames), groups)


def clip_errors(frames: Tensor, truth: Tensor) -> np.ndarray:
    """Mean squared error of each clip or picture, (clips,)."""
    return (frames.cpu() - truth.cpu()).square().flatten(1).mean(dim=1).double().numpy()


def _decibels(errors: np.ndarray) -> Statistic:
    """PSNR in dB of the mean of some clips' errors."""
    return lambda chosen: float(-10 * np.log10(max(errors[chosen].mean(), 1e-12)))


def _above(errors: np.ndarray, reference: np.ndarray) -> Statistic:
    """By how many dB these errors are better than those of the reference."""
    ours, theirs = _decibels(errors), _decibels(reference)
    return lambda chosen: ours(chosen) - theirs(chosen)


def hit_share(hits: Tensor, among: Tensor) -> Statistic:
    """Hits as a share of those among which they are counted, both (clips, ...) bool."""
    hit = (hits & among).flatten(1).sum(dim=1).numpy()
    asked = among.flatten(1).sum(dim=1).numpy()
    return lambda chosen: float(hit[chosen].sum() / max(1, asked[chosen].sum()))


def reconstruct(genie: Genie, frames: Tensor) -> Tensor:
    """Frames of any number as the tokenizer keeps them: the best that any dynamics model draws."""
    return in_windows(lambda clip: genie.tokenizer.decode(genie.tokenizer.encode(clip)), frames)


def best_drawn(genie: Genie, frames: Tensor, shown: int) -> Tensor:
    """Clips (clips, T, height, width, 3) as play would draw them with every token right, after the
    first `shown` frames as a prompt: (clips, T - shown, height, width, 3).
    """
    kept = in_batches(lambda clip: reconstruct(genie, clip), frames, size=4)
    drawn = kept[:, shown:]
    if not genie.config.tokenizer.keeps_detail:
        return drawn
    last = slice(shown - 1, shown)
    return Detail(frames[:, last], kept[:, last]).put_back(drawn)


def tokenizer_scores(genie: Genie, clips: Clips) -> list[MeasuredScore]:
    """What the tokenizer keeps of the pictures, how many codes it has use for, and how quiet it is
    where nothing happens.
    """
    frames, tokenizer = clips.frames, genie.tokenizer
    tokens = in_batches(tokenizer.encode, frames)
    decoded = in_batches(tokenizer.decode, tokens)
    mean_picture = frames.mean(dim=(0, 1), keepdim=True).expand_as(frames)
    still = still_patches(frames, tokenizer.config.patch_size)
    changed = tokens[:, 1:] != tokens[:, :-1]
    num_codes = tokenizer.config.quantizer.num_codes
    everything = np.arange(len(frames))
    scores = [
        measured(
            "tokenizer PSNR",
            _decibels(clip_errors(decoded, frames)),
            clips.groups,
            "dB",
            chance=_decibels(clip_errors(mean_picture, frames))(everything),
        ),
        # Without an interval: clips drawn anew always show fewer codes, never more.
        MeasuredScore(
            "codes in use", tokens.unique().numel() / num_codes, "share", 1 / num_codes, 1.0
        ),
    ]
    for name, where, chance, best in (
        ("flicker: tokens that change where pixels do not", still, 1.0, 0.0),
        ("tokens that change where pixels do", ~still, 0.0, 1.0),
    ):
        if where.any():  # in a noisy film nothing is ever still
            share = hit_share(changed, where)
            scores.append(measured(name, share, clips.groups, "share", chance=chance, best=best))
    return scores


class Predicted(NamedTuple):
    """Pictures (clips, height, width, 3) that a Genie draws beside real clips.

    Attributes:
        told: frame `PLAYED`, played from frame 0 with the inferred actions.
        untold: the same with random ones.
        following: frame `BEFORE_NEXT`, after all real frames before it.
    """

    told: Tensor
    untold: Tensor
    following: Tensor


def predict(genie: Genie, frames: Tensor, latent: Tensor) -> Predicted:
    """Play clips, (clips, T, height, width, 3) with T above `BEFORE_NEXT`, with the latent actions
    inferred from them, (clips, T - 1).
    """
    generator = torch.Generator().manual_seed(0)
    inferred = Rollout(genie, frames[:, :1])
    random = inferred.again(seed=0)
    for t in range(PLAYED):
        inferred.step(latent[:, t])
        random.step(
            torch.randint(genie.config.dynamics.num_actions, (len(frames),), generator=generator)
        )
    following = Rollout(genie, frames[:, :BEFORE_NEXT]).step(latent[:, BEFORE_NEXT - 1])
    return Predicted(inferred.frames, random.frames, following)


def prediction_scores(genie: Genie, clips: Clips, latent: Tensor) -> list[MeasuredScore]:
    """How near generated frames come to the real ones when the inferred actions are played.

    Args:
        clips: of `CLIP_FRAMES` frames. latent: (clips, CLIP_FRAMES - 1), inferred from them.
    """
    frames, predicted = clips.frames, predict(genie, clips.frames, latent)
    truth = frames[:, PLAYED]
    told, untold = (clip_errors(drawn, truth) for drawn in (predicted.told, predicted.untold))

    truth = frames[:, BEFORE_NEXT]
    again = clip_errors(frames[:, BEFORE_NEXT - 1], truth)
    kept = best_drawn(genie, frames[:, : BEFORE_NEXT + 1], BEFORE_NEXT)[:, 0]
    best = _above(clip_errors(kept, truth), again)(np.arange(len(frames)))
    return [
        measured("delta PSNR at t = 4", _above(told, untold), clips.groups, "dB", chance=0.0),
        measured(
            "next frame above repeating the last",
            _above(clip_errors(predicted.following, truth), again),
            clips.groups,
            "dB",
            chance=0.0,
            best=best,
        ),
    ]


def cycle_consistency(genie: Genie, clips: Clips) -> tuple[MeasuredScore, list[float]]:
    """Play each latent action once after four real frames and infer it from the generated frame: is
    what was played what is seen?

    The best possible: the action inferred from the real next frame, inferred again when that frame
    has passed through the tokenizer.

    Args:
        clips: of more than four frames.

    Returns:
        The score over all actions, and the share of each action alone.
    """
    prompt, infer = clips.frames[:, :_BEFORE_PLAY], genie.latent_action_model.infer
    num_actions = genie.config.dynamics.num_actions

    def told(pictures: Tensor) -> Tensor:
        """The action between the prompt and these pictures, (clips,)."""
        return in_batches(infer, torch.cat([prompt, pictures[:, None]], dim=1))[:, -1]

    shown = Rollout(genie, prompt)
    seen = torch.stack(
        [
            told(shown.again(seed=latent).step(torch.full((len(prompt),), latent)).cpu()) == latent
            for latent in range(num_actions)
        ],
        dim=1,
    )
    following = clips.frames[:, : _BEFORE_PLAY + 1]
    kept = best_drawn(genie, following, _BEFORE_PLAY)[:, 0]
    best = (told(kept) == told(following[:, -1])).float().mean().item()
    shares = hit_share(seen, torch.ones_like(seen))
    score = measured(
        "cycle consistency", shares, clips.groups, "share", chance=1 / num_actions, best=best
    )
    return score, seen.float().mean(dim=0).tolist()


@dataclass(frozen=True)
class Drift:
    """A roll-out beside the truth, frame by frame.

    Attributes:
        rollout, repeated, tokenized: PSNR in dB of each generated frame, from the first, against
            the truth: dreamt with the inferred actions; the last frame shown, repeated; and the
            truth behind the tokenizer, which bounds what can be dreamt.
    """

    rollout: list[float]
    repeated: list[float]
    tokenized: list[float]


def dream(genie: Genie, frames: Tensor) -> Tensor:
    """Play long clips again from their first frames, with the latent actions inferred from them.

    Args:
        frames: (clips, T, height, width, 3), T more than four.

    Returns:
        (clips, T - 4, height, width, 3) on the CPU: what is dreamt of the frames after the fourth.
    """
    latent = in_batches(
        lambda clip: in_windows(genie.latent_action_model.infer, clip), frames, size=4
    )
    rollout = Rollout(genie, frames[:, :_BEFORE_PLAY])
    steps = range(_BEFORE_PLAY - 1, frames.shape[1] - 1)
    return torch.stack([rollout.step(latent[:, t]).cpu() for t in steps], dim=1)


def long_clips(footage: Footage, num_clips: int) -> Clips:
    """Clips to `dream`: as long as the films allow, at most `LONGEST_ROLLOUT` frames after the
    prompt.

    Raises:
        GenieError: no stretch is longer than a prompt.
    """
    length = max(min(LONGEST_ROLLOUT + _BEFORE_PLAY, footage.longest), _BEFORE_PLAY + 1)
    return draw_clips(footage, num_clips, length, key=1)


def drift_scores(genie: Genie, clips: Clips) -> tuple[list[MeasuredScore], Drift]:
    """How long a dream stays with the truth, against repeating the last frame that was shown.

    Args:
        clips: from `long_clips`.
    """
    truth = clips.frames[:, _BEFORE_PLAY:]
    compared = (
        dream(genie, clips.frames),
        clips.frames[:, _BEFORE_PLAY - 1 : _BEFORE_PLAY].expand_as(truth),
        best_drawn(genie, clips.frames, _BEFORE_PLAY),
    )
    length, everything = truth.shape[1], np.arange(len(truth))
    drift = Drift(
        *(
            [_decibels(clip_errors(frames[:, t], truth[:, t]))(everything) for t in range(length)]
            for frames in compared
        )
    )
    scores = []
    for name, part in (
        (f"roll-out of {length} frames above repeating the last one shown", slice(None)),
        (f"frame {length} of a roll-out above repeating", slice(-1, None)),
    ):
        ours, again, best = (clip_errors(frames[:, part], truth[:, part]) for frames in compared)
        bound = _above(best, again)(everything)
        above = _above(ours, again)
        scores.append(measured(name, above, clips.groups, "dB", chance=0.0, best=bound))
    return scores, drift
