"""An interval holds the truth as often as it says; clips of one film are not independent."""

import numpy as np
import pytest

from genie_mini.evaluation.intervals import (
    FEWEST_GROUPS,
    bootstrap_interval,
    independent_groups,
    mean_interval,
    measured,
)


def covers(groups_known, num_films=10, per_film=6, tries=80):
    """How often the interval of a mean of zero holds zero, when films differ more than clips."""
    held = 0
    films = np.repeat(np.arange(num_films), per_film)
    for seed in range(tries):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=num_films)[films] + 0.3 * rng.normal(size=len(films))
        groups = films if groups_known else np.arange(len(films))
        low, high = bootstrap_interval(lambda chosen, v=values: float(v[chosen].mean()), groups)
        held += low <= 0 <= high
    return held / tries


def test_an_interval_over_films_holds_the_truth_and_one_over_clips_does_not(monkeypatch):
    monkeypatch.setattr("genie_mini.evaluation.intervals._RESAMPLES", 300)
    assert covers(groups_known=True) >= 0.9
    assert covers(groups_known=False) < 0.75


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    low, high = mean_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert mean_interval(values[: FEWEST_GROUPS - 1]) is None


def test_with_too_few_groups_nothing_is_said():
    def mean(chosen):
        return float(chosen.mean())

    few = np.arange(FEWEST_GROUPS - 1).repeat(3)
    assert bootstrap_interval(mean, few) is None
    assert measured("mean", mean, few, "").interval is None
    low, high = bootstrap_interval(mean, np.arange(FEWEST_GROUPS))
    assert low < 2 < high


def test_a_score_that_is_the_same_in_every_clip_has_no_width():
    assert measured("one", lambda chosen: 1.0, np.arange(9), "").interval == (1.0, 1.0)


def test_clips_of_one_film_hang_together():
    films = np.array([f"film {index // 3}" for index in range(30)])
    groups = independent_groups(films, np.arange(30) * 100, 16)
    assert np.array_equal(groups[:, None] == groups, films[:, None] == films)


@pytest.mark.parametrize("names", [("one",), ("one", "two")])
def test_of_a_few_films_passages_are_independent(names):
    starts = np.arange(0, 1600, 5)
    films = np.array(names)[starts * len(names) // 1600]
    groups = independent_groups(films, starts, 16)
    assert 10 <= len(np.unique(groups)) <= 18
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        assert len(set(films[members])) == 1, "no passage runs across films"
        assert np.ptp(starts[members]) <= 110


def test_passages_are_of_the_films_and_not_of_the_gaps_between_them():
    starts = np.concatenate([np.arange(0, 300, 5), 10_000 + np.arange(0, 300, 5)])
    groups = independent_groups(np.array(["one", "two"]).repeat(60), starts, 16)
    assert 10 <= len(np.unique(groups)) <= 18


def test_a_passage_is_no_shorter_than_a_clip():
    starts = np.arange(0, 200, 4)
    groups = independent_groups(np.array(["one"]).repeat(50), starts, 68)
    assert len(np.unique(groups)) == 3
