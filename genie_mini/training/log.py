"""The losses of each step, as a CSV file."""

import csv
from pathlib import Path

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


def write_row(file, step, metrics, seconds):
    """Append one line to a log, with a heading if it is the first."""
    writer = csv.DictWriter(file, LOG_COLUMNS, restval="")
    if file.tell() == 0:
        writer.writeheader()
    rounded = {name: f"{value:.6g}" for name, value in metrics.items()}
    writer.writerow({"step": step, "seconds": f"{seconds:.1f}", **rounded})


def keep_rows(log: Path, steps: int) -> None:
    """Drop the lines of steps that were logged after the last checkpoint: they will be run
    again.
    """
    if log.exists():
        rows = log.read_text().splitlines(keepends=True)
        kept = rows[:1] + [
            row for row in rows[1:] if row.endswith("\n") and int(row.split(",")[0]) < steps
        ]
        write_atomic(log, "".join(kept).encode() if steps else b"")
