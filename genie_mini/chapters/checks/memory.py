"""Exercises of the chapter on memory."""

import math
from itertools import accumulate

import numpy as np
import torch

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.chapters.checks.world import floor_without_end
from genie_mini.evaluation.metrics import wilson
from genie_mini.models.lookback import RUN, SparseLookback
from genie_mini.studies.recall import recall
from genie_mini.studies.twin_worlds import Simulated, twin_worlds
from genie_mini.world import ACTIONS
from genie_mini.world.rendering import PLAYER_SCREEN_X, draw_level
from genie_mini.world.sprites import BRICK, TILE

# Where a landmark stands at the left edge of the screen, on a floor without end.
_TOURS = {
    "a": ["dash right", "dash left"],
    "b": ["right", "right", "left"],
    "c": ["dash right"] * 3 + ["left"] * 5,
    "d": ["right"] + ["nothing"] * 20 + ["left"],
    "e": ["dash right"] + ["jump"] * 13 + ["dash left"],
    "f": ["dash right"] * 8 + ["dash left"] * 8,
}
_AGES = {"a": 2, "b": 2, "c": 8, "d": 1, "e": 15, "f": 16}


def _age(tour) -> int:
    """Play a tour in two worlds alike in all but the landmark; how many frames before the last one
    did they differ?
    """
    column = 8
    simulation = floor_without_end(2, column)
    simulation.tiles[0, 1, column - PLAYER_SCREEN_X // TILE] = BRICK
    simulation.drawn = draw_level(simulation.tiles)
    in_view = []
    for name in ("nothing", *tour):
        simulation.step(np.full(2, ACTIONS.index(name)))
        one, other = simulation.frames()
        in_view.append((one != other).any())
    before = [number for number, seen in enumerate(in_view[:-1]) if seen]
    return len(in_view) - 1 - before[-1]


@exercise(
    dict.fromkeys("abcdef", 16),
    {letter: len(tour) for letter, tour in _TOURS.items()},
    {letter: age - 1 for letter, age in _AGES.items()},
    _AGES | {"b": 3},
    _AGES | {"c": 6},
    _AGES | {"d": 22},
    {letter: age for letter, age in _AGES.items() if letter != "f"},
)
def check_ages(answer) -> str:
    """A dictionary from the tours a to f to the age at which the landmark comes back into view."""
    expect_entries(answer, "from letters to ages", _TOURS, "tour")
    for letter, tour in _TOURS.items():
        age = _age(tour)
        expect(
            answer[letter] == age,
            f"tour {letter} was played, and the landmark's age is {age}, not {answer[letter]}",
        )
    lost = [letter for letter in _TOURS if answer[letter] > 15]
    return f"no frame of a window of sixteen shows the landmark to the last frame of {lost}"


def _symmetric(successes, trials):
    share = successes / trials
    reach = 1.96 * math.sqrt(share * (1 - share) / trials)
    return share - reach, share + reach


def _symmetric_and_cut(successes, trials):
    low, high = _symmetric(successes, trials)
    return max(0.0, low), min(1.0, high)


def _around_the_share(successes, trials):
    low, high = wilson(successes, trials)
    share, reach = successes / trials, (high - low) / 2
    return max(0.0, share - reach), min(1.0, share + reach)


def _not_divided(successes, trials):
    low, high = wilson(successes, trials)
    return low * (1 + 1.96**2 / trials), high * (1 + 1.96**2 / trials)


@exercise(
    _symmetric,
    _symmetric_and_cut,
    _around_the_share,
    _not_divided,
    lambda successes, trials: wilson(successes, trials, deviations=1.0),
    lambda successes, trials: wilson(successes, trials, deviations=1.645),
    lambda successes, trials: wilson(successes, trials)[::-1],
)
def check_wilson(answer) -> None:
    """A function (successes, trials) that gives Wilson's interval of 95% for a share: low
    and high.
    """
    for successes, trials in (
        (5, 10),
        (128, 256),
        (0, 10),
        (10, 10),
        (9, 10),
        (200, 256),
        (1, 1),
    ):
        low, high = (float(end) for end in answer(successes, trials))
        what = f"for {successes} of {trials}"
        expect(
            low <= high,
            f"{what} the lower end, {low:.3f}, lies above the upper one, {high:.3f}",
        )
        lowest, highest = wilson(successes, trials)
        expect(
            math.isclose(low, lowest, abs_tol=5e-4) and math.isclose(high, highest, abs_tol=5e-4),
            f"{what} the interval goes from {lowest:.3f} to {highest:.3f}, not from "
            f"{low:.3f} to {high:.3f}",
        )


@exercise(
    lambda with_it, without: with_it.float().mean(),
    lambda with_it, without: torch.cat([with_it, without]).float().mean(),
    lambda with_it, without: (with_it & ~without).float().mean(),
    lambda with_it, without: (with_it != without).float().mean(),
    lambda with_it, without: with_it.float().mean() - without.float().mean(),
)
def check_chance(answer) -> None:
    """A function (drawn_where_it_was, drawn_where_none_was), bools of twin worlds, that gives the
    share of right answers.
    """
    generator = torch.Generator().manual_seed(0)
    often, seldom = (torch.rand(40, generator=generator) < share for share in (0.7, 0.2))
    always = torch.ones(40, dtype=torch.bool)
    for what, where_it_was, where_none_was in (
        ("the landmark in all worlds", always, always),
        ("the landmark nowhere", ~always, ~always),
        ("the same in both twins, the landmark now and then", seldom, seldom),
        ("what was there, always", always, ~always),
        ("the opposite of what was there, always", ~always, always),
        ("the landmark often where it was and seldom where none was", often, seldom),
        ("the landmark always where it was and often where none was", always, often),
    ):
        given = float(answer(where_it_was.clone(), where_none_was.clone()))
        expected = torch.cat([where_it_was, ~where_none_was]).double().mean().item()
        expect(
            math.isclose(given, expected, abs_tol=1e-5),
            f"a model that draws {what} is right in {expected:.4g} of all worlds, not "
            f"in {given:.4g}",
        )


@exercise(
    lambda slots, run: slots,
    lambda slots, run: run * (2 ** math.ceil(slots / run) - 1),
    lambda slots, run: sum(2 ** (slot // run) for slot in range(1, slots + 1)),
    lambda slots, run: sum(slot // run + 1 for slot in range(slots)),
    lambda slots, run: sum(2**slot for slot in range(slots)),
    lambda slots, run: slots * 2 ** ((slots - 1) // run),
)
def check_reach(answer) -> None:
    """A function (slots, run): the age of the oldest frame in a window whose stride doubles after
    each `run` frames.
    """
    for slots, run in (
        (3, 4),
        (4, 4),
        (5, 4),
        (7, 2),
        (5, 1),
        (15, RUN),
        (15, 5),
        (12, 20),
        (31, RUN),
    ):
        ages = list(accumulate(2 ** (slot // run) for slot in range(slots)))
        given, expected = (
            answer(slots, run),
            SparseLookback(slots + 1).reach if run == RUN else ages[-1],
        )
        what = f"with {slots} frames attended to and runs of {run}"
        expect(
            given == expected,
            f"{what} the ages are {', '.join(map(str, ages))}: the reach is "
            f"{expected}, not {given}",
        )


def _one_neighbor(before, own, after):
    return max(before, after) - own


def _ranked(tokens, relevance=_one_neighbor, left_out=2, before_the_first=0.0, recency=1):
    """Old frames by relevance, the most relevant last; the options plant mistakes."""
    alike = (tokens == tokens[-1]).double().mean(dim=1).tolist()
    before = [before_the_first, *alike]
    frames = range(len(alike) - left_out)
    return sorted(
        frames,
        key=lambda t: (relevance(before[t], alike[t], alike[t + 1]), recency * t),
    )


def _chosen(tokens, num, **options):
    return sorted(_ranked(tokens, **options)[-num:])


def _video(*eighths):
    """A video whose frames are so many eighths like the present one, which comes last: (frames, 8)
    int64.
    """
    same = torch.arange(8) < torch.tensor([*eighths, 8])[:, None]
    return torch.where(same, 0, torch.arange(1, len(same) + 1)[:, None])


@exercise(
    lambda tokens, num: list(range(len(tokens) - 2 - num, len(tokens) - 2)),
    lambda tokens, num: _chosen(tokens, num, relevance=lambda before, own, after: own),
    lambda tokens, num: _chosen(
        tokens, num, relevance=lambda before, own, after: max(before, after)
    ),
    lambda tokens, num: _chosen(
        tokens, num, relevance=lambda before, own, after: (before + after) / 2 - own
    ),
    lambda tokens, num: _chosen(tokens, num, relevance=lambda before, own, after: after - own),
    lambda tokens, num: _chosen(tokens, num, relevance=lambda before, own, after: before - own),
    lambda tokens, num: _chosen(tokens, num, left_out=1),
    lambda tokens, num: _chosen(tokens, num, before_the_first=1.0),
    lambda tokens, num: _chosen(tokens, num, recency=-1),
    lambda tokens, num: _ranked(tokens)[-num:],
    lambda tokens, num: _ranked(tokens)[: -num - 1 : -1],
)
def check_choose(answer) -> None:
    """A function (tokens, num), tokens (frames, N) of one video: the `num` most relevant of all but
    its last two frames.

    All N are powers of two, so that equal relevance is equal in floating point, too.
    """
    frames = torch.randint(2, (40, 16), generator=torch.Generator().manual_seed(0))
    returns = torch.rand(40, 1, generator=torch.Generator().manual_seed(1)) < 0.5
    for what, num, tokens in (
        (
            "he walked away and waits; what he left lay next to what he sees",
            1,
            _video(0, 0, 0, 8, 8, 8),
        ),
        (
            "one neighbour like the present is enough, on either side",
            1,
            _video(8, 8, 0, 0, 6, 0, 6, 7, 7),
        ),
        (
            "the frame just before the present is not an old one",
            1,
            _video(1, 8, 8, 8, 0),
        ),
        (
            "the first frame has none before it, and not the last one either",
            1,
            _video(0, 0, 0, 6, 8, 8),
        ),
        (
            "of equally relevant frames the more recent go first",
            2,
            _video(0, 8, 8, 0, 8, 8, 0, 8, 8),
        ),
        ("he walked away twice", 2, _video(4, 8, 8, 8, 0, 8, 8)),
        ("he walked away twice", 2, _video(0, 8, 8, 8, 4, 8, 8)),
        ("nothing moves", 3, _video(*[8] * 9)),
        ("all tokens at random", 4, frames),
        (
            "a scene that comes and goes at random",
            4,
            torch.where(returns, frames[-1], frames),
        ),
    ):
        given, expected = (
            [int(frame) for frame in answer(tokens.clone(), num)],
            _chosen(tokens, num),
        )
        if sorted(given) == expected:
            expect(
                given == expected,
                f"{what}: {given} are the right frames, but not in the order of time",
            )
        expect(
            given == expected,
            f"{what}: of {len(tokens)} frames choose {expected}, not {given}",
        )


class _Forgetful:
    """A world model that plays the worlds of `simulation` for `span` frames, and then as if they
    had always been those of `later`.
    """

    def __init__(self, simulation, later, size, span):
        self._now, self._later = Simulated(simulation, size), Simulated(later, size)
        self._size, self._span = size, span

    def step(self, action):
        now, later = self._now.step(action), self._later.step(action)
        self._span -= 1
        return now if self._span >= 0 else later

    def fork(self):
        return _Forgetful(self._now.simulation, self._later.simulation, self._size, self._span)


def _ages(start, worlds, remembered):
    return [result.age for result in recall(start, worlds, range(2, 7)) if remembered(result)]


@exercise(
    lambda start, worlds: len(_ages(start, worlds, lambda result: result.recall == 1)),
    lambda start, worlds: max(_ages(start, worlds, lambda result: result.recall >= 0.5)),
    lambda start, worlds: max(_ages(start, worlds, lambda result: result.drawn_where_it_was == 1)),
    lambda start, worlds: 6,
)
def check_probe(answer) -> None:
    """A function (start, worlds): the greatest age, from 2 to 6, at which all is remembered."""
    worlds = twin_worlds(1, seed=4)
    for span, end in ((2, 1), (5, 0), (4, 1)):

        def start(prompt, simulation, span=span, end=end):
            return _Forgetful(simulation, worlds.simulations[end], worlds.size, span)

        given = answer(start, worlds)
        expect(given == span, f"a model that remembers until age {span} got {given}")
