"""Exercises of the chapter on CoinRun."""

import json
import math

import numpy as np

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.chapters.tables import RESULTS


def _most_bits(effects):
    """The entropy of the effect of a button that is drawn at random."""
    counts = np.unique(np.array(effects), return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


@exercise(
    lambda effects: math.log2(len(effects)),
    lambda effects: math.log2(len(set(effects))),
    lambda effects: 2 ** _most_bits(effects),
    3.9,
)
def check_most_bits(answer) -> None:
    """A function of a list that says of each button what it does."""
    games = {
        "four buttons, each with an effect of its own": ["left", "right", "up", "down"],
        "two of four buttons do nothing": ["left", "right", "nothing", "nothing"],
        "all buttons do the same": ["fire"] * 6,
        "CoinRun": [*"abcdefgh", *["nothing"] * 7],
    }
    for told, effects in games.items():
        expected, got = _most_bits(effects), answer(list(effects))
        expect(
            math.isclose(got, expected, abs_tol=1e-6),
            f"{told}: {expected:.3f} bits can be seen, you say {got:.3f}",
        )


def _bits_seen(table):
    """What the supervised network reads of an action, in a saved report."""
    scores = json.loads((RESULTS / table).read_text(encoding="utf-8"))["scores"]
    named = {score["name"]: score["value"] for score in scores}
    return named["bits told by a supervised network"]


@exercise({"random": 0.0, "repeated": 0.0}, {"random": 2.6, "repeated": 2.6}, {"random": 0.1}, 0.5)
def check_seen(answer) -> None:
    """A dictionary: the bits that the supervised network reads of an action, by policy."""
    expect_entries(answer, "of bits by policy", ("random", "repeated"))
    for policy, table in (
        ("random", "worlds/coinrun-random.json"),
        ("repeated", "worlds/coinrun.json"),
    ):
        expected = _bits_seen(table)
        expect(
            abs(answer[policy] - expected) < 0.3,
            f"{policy}: {expected:.2f} bits, you say {answer[policy]:.2f}",
        )


def _pushes(places, kept):
    """What was added to the speed before each step."""
    speeds = np.diff(np.array(places, dtype=float))
    return speeds - kept * np.append(0.0, speeds[:-1])


@exercise(
    lambda places, kept: np.diff(places),
    lambda places, kept: np.diff(places, n=2),
    lambda places, kept: np.append(0.0, np.diff(places, n=2)),
)
def check_pushes(answer) -> None:
    """A function of places and of the share of the speed that is kept."""
    rng = np.random.default_rng(0)
    for kept in (1.0, 0.8, 0.0):
        pushes, place, speed = rng.integers(-1, 2, size=12), 0.0, 0.0
        places = [place]
        for push in pushes:
            speed = kept * speed + push
            place += speed
            places.append(place)
        got = np.asarray(answer(list(places), kept), dtype=float)
        expect(got.shape == pushes.shape, f"{len(places)} places hold {len(pushes)} pushes")
        expect(
            np.allclose(got, pushes),
            f"where {kept:g} of the speed is kept, you give {got.round(2).tolist()} for "
            f"{pushes.tolist()}",
        )


def _changes(before, now, down, right):
    height, width = now.shape
    kept = before[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    seen = now[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    return np.abs(kept - seen).mean()


def _shift(before, now, farthest):
    """Where the least is left, tried one by one."""
    tried = [
        (_changes(before, now, down, right), (down, right))
        for down in range(-farthest, farthest + 1)
        for right in range(-farthest, farthest + 1)
    ]
    return min(tried)[1]


@exercise(
    lambda before, now, farthest: (0, 0),
    lambda before, now, farthest: tuple(-step for step in _shift(before, now, farthest)),
    lambda before, now, farthest: _shift(before, now, farthest)[::-1],
    lambda before, now, farthest: min(
        (np.abs(before - np.roll(now, (down, right), (0, 1))).mean(), (down, right))
        for down in range(farthest + 1)
        for right in range(farthest + 1)
    )[1],
)
def check_shift(answer) -> None:
    """A function of two grey pictures and a distance."""
    rng = np.random.default_rng(1)
    level = rng.random((10, 14)).repeat(3, axis=0).repeat(3, axis=1)
    for down, right in ((0, 0), (3, 0), (0, -4), (-2, 5), (4, 4)):
        before, now = level[6:22, 8:28], level[6 + down : 22 + down, 8 + right : 28 + right]
        noisy = now + 0.02 * rng.standard_normal(now.shape)
        got = tuple(answer(before.copy(), noisy, 5))
        expect(
            got == (down, right),
            f"the camera went {down} down and {right} to the right, you say {got}",
        )
