"""Exercises of the chapter that watches a training."""

import json
import math

import numpy as np

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.chapters.tables import RESULTS


def _changed(steps, values, step):
    """The share of its whole change that a curve has made by a step."""
    last = [value for at, value in zip(steps, values, strict=True) if at <= step][-1]
    return (last - values[0]) / (values[-1] - values[0])


def _halfway():
    """What the saved training says: of the latent actions' loss and of their map."""
    training = json.loads((RESULTS / "trainings" / "pocket.json").read_text(encoding="utf-8"))
    stretch = training["stretches"]["latent actions"]
    middle = stretch["first"] + stretch["steps"] / 2
    scores = [
        (moment["taken"], score["value"])
        for moment in training["moments"]
        for score in moment["scores"]
        if score["name"] == "action map, visible actions"
    ]
    return {
        "loss": _changed(*training["curves"]["latent_action"], middle),
        "map": _changed(*zip(*scores, strict=True), middle),
    }


@exercise({"loss": 0.0, "map": 0.0}, {"loss": 5.0, "map": 5.0}, {"loss": 0.5}, 0.5)
def check_halfway(answer) -> None:
    """A dictionary of two shares: how far each was after half of the steps."""
    expect_entries(answer, "of a share by name", ("loss", "map"))
    for name, expected in _halfway().items():
        expect(
            math.isclose(answer[name], expected, abs_tol=0.1),
            f"the {name} had made {expected:.2f} of its way, you say {answer[name]:.2f}",
        )


def _stop(minutes, losses, patience, least):
    """The minute at which one would stop; see the page."""
    for at in minutes:
        before = [loss for then, loss in zip(minutes, losses, strict=True) if then <= at - patience]
        so_far = [loss for then, loss in zip(minutes, losses, strict=True) if then <= at]
        if before and min(so_far) > (1 - least) * min(before):
            return at
    return minutes[-1]


@exercise(
    lambda minutes, losses, patience, least: minutes[-1],
    lambda minutes, losses, patience, least: minutes[int(np.argmin(losses))],
    lambda minutes, losses, patience, least: next(
        (
            later
            for (_, early), (later, late) in zip(
                zip(minutes, losses, strict=True),
                zip(minutes[1:], losses[1:], strict=True),
                strict=False,
            )
            if late > (1 - least) * early
        ),
        minutes[-1],
    ),
)
def check_stop(answer) -> None:
    """A function (minutes, losses, patience, least) that gives the minute at which to stop."""
    curves = {
        "falls to the end": ([0, 1, 2, 3, 4, 5], [8, 6, 4, 3, 2, 1]),
        "stands still from minute 2 on": ([0, 1, 2, 3, 4, 5], [8, 6, 4, 4, 4, 4]),
        "rests for two minutes, and falls again": ([0, 1, 2, 3, 4, 5, 6], [8, 7, 7, 7, 3, 2, 1]),
        "jumps up and down": ([0, 1, 2, 3, 4, 5, 6], [8, 5, 7, 4, 6, 3, 5]),
    }
    for told, (minutes, losses) in curves.items():
        for patience in (2, 3):
            given = answer(list(minutes), list(losses), patience, 0.1)
            expected = _stop(minutes, losses, patience, 0.1)
            expect(
                given == expected,
                f"of a loss that {told}, with a patience of {patience}, one stops at minute "
                f"{expected}, and you say {given}",
            )


@exercise(
    lambda early, late: late["value"] > early["value"],
    lambda early, late: late["interval"][0] > early["value"],
    lambda early, late: late["interval"][1] > early["interval"][1],
    lambda early, late: False,
)
def check_better(answer) -> None:
    """A function of two scores that says whether the later one is surely better."""

    def score(low, value, high):
        return {"value": value, "interval": [low, high]}

    for early, late, expected in (
        (score(1.0, 2.0, 3.0), score(3.5, 4.0, 4.5), True),
        (score(1.0, 2.0, 3.0), score(2.5, 4.0, 5.5), False),
        (score(1.0, 2.0, 3.0), score(1.5, 2.5, 3.5), False),
        (score(3.5, 4.0, 4.5), score(1.0, 2.0, 3.0), False),
    ):
        expect(
            bool(answer(early, late)) is expected,
            f"from {early['interval']} to {late['interval']} the answer is {expected}",
        )


@exercise(
    lambda counts: np.trace(counts) / np.sum(counts),
    lambda counts: np.max(counts, axis=0).sum() / np.sum(counts),
    lambda counts: float(np.mean(np.max(counts, axis=1) / np.sum(counts, axis=1))),
    lambda counts: np.max(counts) / np.sum(counts),
)
def check_nameable(answer) -> None:
    """A function of counts (latent, real) that gives the largest share any names can get."""
    rng = np.random.default_rng(0)
    for kinds in (2, 3, 8):
        counts = rng.integers(1, 50, size=(kinds, kinds))
        expected = counts.max(axis=1).sum() / counts.sum()
        given = answer(counts)
        expect(
            math.isclose(given, expected, abs_tol=1e-6),
            f"of {counts.tolist()} the best names get {expected:.3f} right, not {given:.3f}",
        )
