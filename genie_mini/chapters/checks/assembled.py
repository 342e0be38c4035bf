"""Exercises of the chapter that puts a whole Genie together: its field of five by five cells, its
ghost, and its attention in time.
"""

import math
import random

import torch
from torch import Tensor

from genie_mini.chapters.checks import exercise, expect

_SIDE, _GHOST, _PLAYER = 5, 5, 6
_WAYS = ((0, -1), (0, 1), (-1, 0), (1, 0))


def _ways_from(row: int, column: int) -> list[tuple[int, int]]:
    """Which ways stay on the field."""
    return [
        (down, right)
        for down, right in _WAYS
        if 0 <= row + down < _SIDE and 0 <= column + right < _SIDE
    ]


@exercise(0.25, 1 / 3, 0.5, 1.0)
def check_chance(answer) -> None:
    """How often a random way is the one that was asked for."""
    walk, place, hits, steps = random.Random(0), (2, 2), 0, 200_000
    for _ in range(steps):
        ways = _ways_from(*place)
        asked, went = walk.choice(ways), walk.choice(ways)
        hits += asked == went
        place = place[0] + went[0], place[1] + went[1]
    expect(
        math.isclose(answer, hits / steps, abs_tol=0.005),
        f"in {steps} steps of a walk it happens in {hits / steps:.2f} of them, not in {answer:.2f}",
    )


@exercise(
    lambda n: 1.0,
    lambda n: 1 / n,
    lambda n: (1 - 1 / n) ** (n - 1) / n,
    lambda n: 1 - (1 - 1 / n) ** n,
)
def check_one_ghost(answer) -> None:
    """A function of n: how often just one of n cells says yes, each by itself with chance 1 / n."""
    generator = torch.Generator().manual_seed(0)
    for n in (1, 2, 3, 4, 8):
        drawn = torch.rand(100_000, n, generator=generator) < 1 / n
        share = (drawn.sum(1) == 1).double().mean().item()
        expect(
            math.isclose(answer(n), share, abs_tol=0.01),
            f"with {n} cells just one has it in {share:.2f} of the draws, not in {answer(n):.2f}",
        )


def _visible(frames: int) -> Tensor:
    """Who sees whom, written out: the clean frames before, then one's own masked one."""
    mask = torch.zeros(frames, 2 * frames, dtype=torch.bool)
    for t in range(frames):
        mask[t, :t] = True
        mask[t, frames + t] = True
    return mask


@exercise(
    lambda T: torch.ones(T, 2 * T).tril().bool(),
    lambda T: torch.cat([torch.ones(T, T).tril(), torch.eye(T)], 1).bool(),
    lambda T: torch.cat([torch.eye(T), torch.ones(T, T).tril(-1)], 1).bool(),
    lambda T: torch.cat([torch.ones(T, T).tril(-1), torch.eye(T)], 1),
)
def check_time_mask(answer) -> None:
    """A function of T that gives (T, 2T) bool."""
    for frames in (1, 2, 5):
        given, expected = answer(frames), _visible(frames)
        expect(
            isinstance(given, Tensor)
            and given.dtype == torch.bool
            and given.shape == expected.shape,
            f"for T = {frames} give a bool tensor of shape ({frames}, {2 * frames})",
        )
        for t in range(frames):
            expect(
                torch.equal(given[t], expected[t]),
                f"for T = {frames}, frame {t} should attend to the clean frames before it and to "
                f"itself, {expected[t].int().tolist()}, and yours is {given[t].int().tolist()}",
            )


@exercise(
    lambda before, after: (before == after).flatten(1).all(1),
    lambda before, after: ((before >= _GHOST) | (before == after)).flatten(1).all(1),
    lambda before, after: ((after >= _GHOST) | (before == after)).flatten(1).all(1),
    lambda before, after: torch.ones(len(before), dtype=torch.bool),
)
def check_stays(answer) -> None:
    """A function of kinds before and after, (n, rows, columns), that gives (n,) bool."""
    ground = torch.randint(0, _GHOST, (4, _SIDE, _SIDE), generator=torch.Generator().manual_seed(0))
    before, after = ground.clone(), ground.clone()
    before[:, 1, 1], before[:, 3, 3] = _PLAYER, _GHOST
    after[:, 1, 1], after[:, 3, 3] = 0, ground[:, 3, 3]
    after[:, 1, 2], after[:, 3, 4] = _PLAYER, _GHOST
    after[1, 0, 0] = (ground[1, 0, 0] + 1) % _GHOST  # something else changed
    after[2, 4, 1] = (ground[2, 4, 1] + 1) % _GHOST
    given = answer(before, after)
    told = ("it holds", "a corner changed", "a cell in the last row changed", "it holds")
    expect(
        isinstance(given, Tensor) and given.shape == (4,), "give one answer for each world, (n,)"
    )
    for world, reason in enumerate(told):
        expect(
            bool(given[world]) == (world in (0, 3)),
            f"world {world} of the checker: {reason}, and you say {bool(given[world])}",
        )
