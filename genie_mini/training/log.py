"""The losses of each step, as a CSV file."""

import csv
import math
from pathlib import Path
from typing import TextIO

from genie_mini.errors import GenieError
from genie_mini.files import write_atomic

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


def _step(row):
    """The step that a line of a log tells of; infinity if it is not whole."""
    cells = row.split(",")
    whole = len(cells) == len(LOG_COLUMNS) and row.endswith("\n") and cells[0].isdecimal()
    return int(cells[0]) if whole else math.inf
