"""The losses of each step, as a CSV file: written by a training, read by whoever tells of it."""

import csv
import math
from pathlib import Path
from typing import TextIO

import numpy as np

from genie_mini.errors import GenieError
from genie_mini.files import write_atomic

PHASES = ("tokenizer", "world")  # of a training; each has a log of its name
LOG_COLUMNS = (
    "step",
    "seconds",
    "loss",
    "reconstruction",
    "quantizer",
    "stability",
    "codes",
    "latent_action",
    "actions",
    "dynamics",
    "accuracy",
)


def write_row(file: TextIO, step: int, metrics: dict[str, float], seconds: float) -> None:
    """Append one line to a log, with a heading if it is the first.

    Args:
        file: the log, open to be appended to.
        step: from 0.
        metrics: values by name, some of `LOG_COLUMNS`.
        seconds: since the run was started.
    """
    writer = csv.DictWriter(file, LOG_COLUMNS, restval="")
    if file.tell() == 0:
        writer.writeheader()
    rounded = {name: f"{value:.6g}" for name, value in metrics.items()}
    writer.writerow({"step": step, "seconds": f"{seconds:.1f}", **rounded})


def keep_rows(log: Path, steps: int) -> None:
    """Drop the lines of steps that were logged after the last checkpoint: they will be run again.
    So is what a power cut left of a line.

    Args:
        log: the file, if there is one.
        steps: how many the checkpoint has seen.

    Raises:
        GenieError: it is not the log of such a training.
    """
    if not log.exists():
        return
    heading, *rows = log.read_bytes().decode(errors="replace").splitlines(keepends=True) or [""]
    if steps and heading.strip() != ",".join(LOG_COLUMNS):
        raise GenieError(
            f"{log} is not the log of this training: it begins with {heading.strip()[:80]!r}; move "
            "it away"
        )
    kept = [row for row in rows if _step(row) < steps]
    write_atomic(log, "".join([heading, *kept]).encode() if steps else b"")


def read_log(folder: Path, phase: str) -> dict[str, np.ndarray]:
    """The columns of a phase's log by name, (steps,) float each, NaN where a cell holds no finite
    number. Lines that do not begin with a step, as one that breaks off, are left out; without a log
    there are no columns.

    Args:
        folder: of the run.
        phase: one of `PHASES`.
    """
    path = folder / f"{phase}.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([_number(row.get(name)) for row in rows]) for name in (rows or [{}])[0]
    }
    whole = np.isfinite(columns.get("step", np.empty(0)))
    return {name: values[whole] for name, values in columns.items() if name and whole.any()}


def clock(log: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds from the first step of a phase to the end of each, (steps,): the log of a run that
    goes on after a stop begins to count again.
    """
    seconds = log.get("seconds", np.empty(0))
    passed = np.diff(seconds, prepend=0.0)
    return np.where(passed < 0, seconds, passed).cumsum()


def _number(text):
    """The finite number that a cell holds, or NaN."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _step(row):
    """The step that a line of a log tells of; infinity if it is not whole."""
    cells = row.split(",")
    whole = len(cells) == len(LOG_COLUMNS) and row.endswith("\n") and cells[0].isdecimal()
    return int(cells[0]) if whole else math.inf
