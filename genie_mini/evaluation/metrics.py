"""What all scores are made of: a figure with its chance and best, PSNR, intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genie_mini.contract import (
    check_callable,
    check_integer,
    check_number,
    check_range,
    check_tensor,
    is_dense,
)
from genie_mini.errors import GenieError

# Largest difference between logits that count as the same, computed in two ways in float32.
PARITY = 1e-4
# A score is of no more clips, or frames of a roll-out: they are held in memory all at once.
MOST_CLIPS = 10_000
# No pixel is farther from 0, noise included: one that is was not divided by 255, or is not finite.
FARTHEST = 100.0


@dataclass(frozen=True)
class Score:
    """One figure. `chance` is what a model without skill gets, `best` what a perfect one would;
    None where neither exists.
    """

    name: str
    value: float
    unit: str
    chance: float | None = None
    best: float | None = None
    goal: float | None = None


def psnr(frames: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of the mean squared error over everything given (not the
    mean of single PSNRs).
    """
    expected = "frames and truth must be floats of shapes that fit each other"
    frames, truth = (
        check_tensor(expected, values, None, torch.float32, torch.device("cpu"))
        for values in (frames, truth)
    )
    try:
        fits = math.prod(torch.broadcast_shapes(frames.shape, truth.shape))
    except RuntimeError:
        fits = 0
    if not fits:
        raise GenieError(f"{expected}, got {tuple(frames.shape)} and {tuple(truth.shape)}")
    for values in (frames, truth):
        check_range(expected, values, -FARTHEST, FARTHEST)
    return -10 * math.log10(max((frames - truth).square().mean().item(), 1e-12))


def in_batches(function: Callable[..., Tensor], *tensors: Tensor, size: int = 16) -> Tensor:
    """Call a function on slices of its arguments and join what it returns, on the CPU."""
    check_callable("function", function)
    check_integer("size", size, 1)
    lengths = {
        len(tensor) if isinstance(tensor, Tensor) and is_dense(tensor) and tensor.ndim else 0
        for tensor in tensors
    }
    if len(lengths) != 1 or not min(lengths):
        raise GenieError(
            "batches are cut from dense tensors that all begin with one and the same axis"
        )
    parts = [
        function(*(tensor[start : start + size] for tensor in tensors)).cpu()
        for start in range(0, len(tensors[0]), size)
    ]
    return torch.cat(parts)


def wilson(successes: int, trials: int, deviations: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share: where the truth lies with 95% (at 1.96 standard
    deviations).
    """
    trials = check_integer("trials", trials, 1)
    successes = check_integer("successes", successes, 0, trials)
    deviations = check_number("deviations", deviations, 0, 100)
    share, spread = successes / trials, deviations**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    reach = (
        deviations / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    )
    return max(0.0, middle - reach), min(1.0, middle + reach)
