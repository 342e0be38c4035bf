"""How far a run is, all its phases together, and how long it will take."""

from collections.abc import Iterator
from dataclasses import astuple
from types import TracebackType

import numpy as np
from tqdm.auto import tqdm

from genie_mini.training.config import TrainingConfig
from genie_mini.training.phases import Phase
from genie_mini.training.request import Request

_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
# How much the pace of the last tenth of a second counts against the paces before it: clips are
# shorter and longer, and the rest of the run should not be told by the last few of them.
_SMOOTHING = 0.02


def expected_seconds(
    request: Request, legs: list[TrainingConfig], phases: list[Phase]
) -> list[np.ndarray]:
    """How long each step of each phase should take: what it was given of the minutes that were
    asked for. Where steps were, nobody knows, and each counts 1.

    Args:
        request: whose legs these are.
        legs, phases: of the run, two phases a leg.
    """
    if request.leg_minutes is None:
        return [np.ones(phase.steps) for phase in phases]
    seconds = []
    for leg, minutes in zip(legs, request.leg_minutes, strict=True):
        counts = (leg.tokenizer_steps, leg.latent_action_steps, leg.dynamics_steps)
        tokenizer, *world = (
            np.full(count, 60 * minutes * share / max(1, count))
            for count, share in zip(counts, astuple(leg.shares), strict=True)
        )
        seconds += [tokenizer, np.concatenate(world)]
    return seconds


class RunBar:
    """One bar for all phases of a run. The time left follows from what the steps to come should
    take, and from how much slower or faster than that the last ones were.

    Args:
        seconds: from `expected_seconds`.
        index, first: the phase and the step from which the run goes on.
        shown: whether there is anything to see.
    """

    def __init__(self, seconds: list[np.ndarray], index: int, first: int, shown: bool):
        self._seconds = seconds
        done = sum(float(phase.sum()) for phase in seconds[:index])
        done += float(seconds[index][:first].sum()) if index < len(seconds) else 0.0
        self._bar = tqdm(
            total=sum(float(phase.sum()) for phase in seconds),
            initial=done,
            bar_format=_FORMAT,
            smoothing=_SMOOTHING,
            disable=not shown,
        )

    def __enter__(self) -> "RunBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def steps(self, name: str, index: int, first: int) -> Iterator[int]:
        """The steps of a phase, from `first` on; the bar moves after each.

        Args:
            name: of the phase.
            index: its number.
        """
        seconds = self._seconds[index]
        for step in range(first, len(seconds)):
            self._bar.set_description(f"{name} {step + 1}/{len(seconds)}", refresh=False)
            yield step
            self._bar.update(float(seconds[step]))

    def show(self, metrics: dict[str, float]) -> None:
        """Put a step's metrics beside the bar."""
        texts = {name: f"{value:.4g}" for name, value in metrics.items()}
        self._bar.set_postfix(texts, refresh=False)
