"""How sure is a figure? Intervals by drawing films anew (the bootstrap)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from genie_mini.evaluation.metrics import Score

# With fewer films than this a film is cut into passages, and with fewer passages nothing is said:
# of four things drawn anew no interval holds what it promises.
FEWEST_GROUPS = 5
_FEWEST_FILMS = 8
_MOST_PASSAGES = 16
_RESAMPLES = 1000

Statistic = Callable[[np.ndarray], float]
"""A figure of some clips, given their numbers; a clip may come several times."""


@dataclass(frozen=True)
class MeasuredScore(Score):
    """A score with the 95% interval of its value; None where too little was held out to say."""

    interval: tuple[float, float] | None = None


def independent_groups(films: np.ndarray, starts: np.ndarray, num_frames: int) -> np.ndarray:
    """Which clips hang together, (clips,) numbers from 0.

    Those of one film, for they show the same level and the same player; where there are too few
    films, those of one passage of a film, at least as long as a clip.

    Args:
        films: name of each clip's film. starts: each clip's place. num_frames: of a clip.
    """
    names, film = np.unique(films, return_inverse=True)
    if len(names) >= _FEWEST_FILMS:
        return film
    # Places within films: between two of them may lie others, of the other split.
    first, last = (
        np.array([choose(starts[film == number]) for number in range(len(names))])
        for choose in (np.min, np.max)
    )
    length = max(num_frames, int((last - first + num_frames).sum()) // _MOST_PASSAGES + 1)
    passages = np.stack([film, (starts - first[film]) // length], axis=1)
    return np.unique(passages, axis=0, return_inverse=True)[1].reshape(-1)


def bootstrap_interval(statistic: Statistic, groups: np.ndarray) -> tuple[float, float] | None:
    """Where the truth lies with 95%: the figure's percentiles when whole groups are drawn anew.

    For few groups the percentiles are moved outwards, as Student's t stands to the normal
    distribution (Hesterberg 2015): as they are they would hold too seldom.

    Args:
        statistic: the figure. groups: which clips hang together, from `independent_groups`.

    Returns:
        Lower and upper end; None for fewer than `FEWEST_GROUPS` groups.
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    count = len(members)
    if count < FEWEST_GROUPS:
        return None
    normal, freedom = NormalDist(), count - 1
    z = normal.inv_cdf(0.975)
    # Student's quantile, by Cornish and Fisher
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    tail = normal.cdf(-t * sqrt(count / freedom))
    rng = np.random.default_rng(0)
    figures = [
        statistic(np.concatenate([members[index] for index in rng.integers(count, size=count)]))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.nanquantile(figures, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values: np.ndarray) -> tuple[float, float] | None:
    """`bootstrap_interval` of the mean of values that hang together with no other, (groups,)."""
    return bootstrap_interval(lambda chosen: float(values[chosen].mean()), np.arange(len(values)))


def measured(
    name: str,
    statistic: Statistic,
    groups: np.ndarray,
    unit: str,
    *,
    chance: float | None = None,
    best: float | None = None,
) -> MeasuredScore:
    """The figure of all clips as a score with its interval."""
    interval = bootstrap_interval(statistic, groups)
    value = statistic(np.arange(len(groups)))
    return MeasuredScore(name, value, unit, chance, best, interval=interval)
