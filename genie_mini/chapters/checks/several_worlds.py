"""Exercises of the chapter on several worlds."""

import json
import math

import numpy as np

from genie_mini.chapters.checks import exercise, expect
from genie_mini.chapters.tables import RESULTS
from genie_mini.studies.actions_across_worlds import agreement

_TABLE = RESULTS / "latent_actions" / "across_worlds.json"


def _same_side():
    """The actions whose intervals of the movement to the right lie on one side of 0 in both worlds,
    from the saved table.
    """
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))["rows"]
    ends = {(row["world"], row["action"]): row["right, 95%"] for row in rows}
    found = set()
    for action in range(8):
        both = np.array([ends["platformer", action], ends["CoinRun", action]])
        if (both > 0).all() or (both < 0).all():
            found.add(action)
    return found


@exercise(set(), set(range(8)), [0], "3")
def check_same_side(answer) -> None:
    """The actions under which the picture surely moves to the same side in both worlds."""
    expect(np.iterable(answer), "give a set of actions, such as {0, 7}")
    expected, got = _same_side(), set(answer)
    expect(
        got == expected,
        f"{len(got & expected)} of the {len(expected)} are among yours, and "
        f"{len(got - expected)} are there that are not sure, or not to one side",
    )


@exercise(
    lambda one, other: (float(np.corrcoef(one, other)[0, 1]), 0.05),
    lambda one, other: (float(np.dot(one, other)), 1.0),
    lambda one, other: 0.5,
    0.5,
)
def check_agreement(answer) -> None:
    """A function of two lists of movements: the correlation, and the share of all pairings that
    agree as well or better.
    """
    games = {
        "the same movements": ([0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0]),
        "the opposite": ([0.0, 1.0, 2.0, 4.0], [4.0, 2.0, 1.0, 0.0]),
        "five actions": ([3.0, -1.0, 0.5, -2.0, 0.0], [2.0, -2.0, 0.0, -0.5, 0.4]),
    }
    for told, (one, other) in games.items():
        expected = agreement(np.array(one), np.array(other))
        got = answer(list(one), list(other))
        expect(np.shape(got) == (2,), "give two numbers")
        for name, right, yours in zip(("correlation", "chance"), expected, got, strict=True):
            expect(
                math.isclose(right, yours, abs_tol=1e-6),
                f"{told}: the {name} is {right:.4f}, you say {yours:.4f}",
            )


@exercise(
    lambda share: math.ceil(1 / share), lambda share: 8, lambda share: round(-math.log(share)), 7
)
def check_fewest_actions(answer) -> None:
    """A function of a share: with how many actions is a perfect agreement rarer than that?"""
    for share in (0.2, 0.05, 0.01, 0.001, 1e-6):
        expected = next(n for n in range(1, 30) if 1 / math.factorial(n) < share)
        got = answer(share)
        expect(got == expected, f"rarer than {share:g}: {expected} actions, you say {got}")


def _in_order(clips, worlds, rng):
    return [clip % worlds for clip in range(clips)]


def _by_lot(clips, worlds, rng):
    return rng.integers(worlds, size=clips).tolist()


def _never_the_last(clips, worlds, rng):
    turns = [*rng.permutation(worlds - 1).tolist(), worlds - 1]
    return (turns * clips)[:clips]


@exercise(_in_order, _by_lot, _never_the_last, lambda clips, worlds, rng: [0] * clips, [0, 1, 2])
def check_share_out(answer) -> None:
    """A function of clips, worlds and a generator: the world of each clip."""
    rng = np.random.default_rng(0)
    for clips, worlds in ((7, 3), (16, 3), (2, 4), (6, 3)):
        drawn = [[int(world) for world in answer(clips, worlds, rng)] for _ in range(300)]
        told, odd = f"{clips} clips of {worlds} worlds", np.zeros(worlds)
        for order in drawn:
            expect(len(order) == clips, f"{told}: {len(order)} clips were dealt")
            counts = np.bincount(order, minlength=worlds)
            expect(len(counts) == worlds, f"{told}: worlds are numbered from 0 to {worlds - 1}")
            expect(np.ptp(counts) <= 1, f"{told}: the worlds get {counts.tolist()} clips")
            odd += counts > clips // worlds
        wanted = clips % worlds / worlds
        expect(
            np.abs(odd / 300 - wanted).max() < 0.12,
            f"{told}: over 300 batches each world should have a clip more in {wanted:.2f} of them, "
            f"it is {np.round(odd / 300, 2).tolist()}",
        )
