"""When what happened in a training, by its logs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genie_mini.errors import GenieError
from genie_mini.run_log import PHASES, clock, read_log
from genie_mini.training.config import TrainingConfig
from genie_mini.training.request import LENGTHS, Request

_POINTS = 120  # of a curve: each is the mean of the steps around it


def training_config(request: Request) -> TrainingConfig:
    """The settings of a run, as its checkpoints keep them.

    Raises:
        GenieError: more was asked for while it went on, so that its phases come several times.
    """
    if len(request.lengths) != 1:
        raise GenieError("this training was asked for more later: its phases come several times")
    settings: dict[str, Any] = dict(zip(LENGTHS, request.lengths[0], strict=True))
    return TrainingConfig(**settings, **request.what["training"])


@dataclass(frozen=True)
class Timeline:
    """When what happened in a run, in minutes after its first step, by its logs.

    Attributes:
        logs: the columns of each phase's log, NaN where a cell is empty, and `minutes`, when each
            step was done.
        config: of the run.
    """

    logs: list[dict[str, np.ndarray]]
    config: TrainingConfig

    @classmethod
    def of(cls, run: Path, request: Request) -> "Timeline":
        """Read the logs in the folder of a run that was asked for this."""
        logs, end = [], 0.0
        for phase in PHASES:
            log = read_log(run, phase)
            minutes = end + clock(log) / 60
            logs.append({**log, "minutes": minutes})
            end = minutes[-1] if len(minutes) else end
        return cls(logs, training_config(request))

    def taken(self, phase: int, step: int) -> int:
        """Steps of all phases that the run had taken when `step` of `phase` was to come; all of
        them for one that has not come yet.
        """
        lengths = [len(log["minutes"]) for log in self.logs]
        return min(sum(lengths[:phase]) + step, sum(lengths))

    def minute(self, phase: int, step: int) -> float:
        """When that was."""
        done = np.concatenate([[0.0], *(log["minutes"] for log in self.logs)])
        return float(done[self.taken(phase, step)])

    @property
    def end(self) -> float:
        """Minutes until the last step."""
        return self.minute(len(self.logs), 0)

    @property
    def stretches(self) -> dict[str, dict[str, float]]:
        """Where each network learnt, without those that did not. Each has its `first` step, counted
        over all phases; the `steps` that it has taken, and those that were `asked` for; and
        `minutes`.
        """
        config = self.config
        found: dict[str, dict[str, float]] = {}
        begins = config.latent_action_pretraining_steps
        for name, phase, first, asked in (
            ("tokenizer", 0, 0, config.tokenizer_steps),
            ("latent actions", 1, 0, config.latent_action_steps),
            ("dynamics", 1, begins, config.dynamics_steps),
        ):
            steps = min(len(self.logs[phase]["minutes"]) - first, asked)
            if steps > 0:
                minutes = self.minute(phase, first + steps) - self.minute(phase, first)
                found[name] = {"first": self.taken(phase, first), "steps": steps}
                found[name] |= {"asked": asked, "minutes": minutes}
        return found

    @property
    def restarts(self) -> list[int]:
        """Steps, counted over all phases, at which the latent action model began anew."""
        learnt = min(len(self.logs[1]["minutes"]), self.config.latent_action_steps)
        return [self.taken(1, step) for step in self.config.restart_steps[1:-1] if step < learnt]

    def curves(self) -> dict[str, tuple[list[float], list[float]]]:
        """The logged numbers by name, thinned: steps, counted over all phases, and values."""
        thin = {}
        for phase, log in enumerate(self.logs):
            steps = self.taken(phase, 0) + np.arange(len(log["minutes"]))
            for name in log.keys() - {"step", "seconds", "minutes", "loss"}:
                there = np.flatnonzero(~np.isnan(log[name]))
                if len(there):
                    parts = np.array_split(there, min(_POINTS, len(there)))
                    at, values = (
                        [float(f"{column[part].mean():.5g}") for part in parts]
                        for column in (steps, log[name])
                    )
                    thin[name] = at, values
        return dict(sorted(thin.items()))
