"""A training, watched (`genie_mini.studies.watched_training`): train as `genie-mini train` does and
keep copies of the checkpoint, moments; then score and draw them all.

    OMP_NUM_THREADS=1 python benchmarks/watched_training.py watch runs/pocket --minutes 30
    OMP_NUM_THREADS=1 python benchmarks/watched_training.py score runs/pocket pocket.json

The first takes the options of `genie-mini train`, and goes on where it was stopped. The second
writes the table and its pictures (pocket.png), with a minute or two of computing for each moment of
which the dynamics model has begun; what is scored is kept beside the moments, and the same command
goes on after the last one. Of a run that was stopped it scores what there is. Moments that somebody
else has copied lie in a folder of their own (`--moments`), with a training.json that says what made
them.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from machine import commit, processor

from genie_mini.files import sha256, weights_hashes, write_atomic
from genie_mini.studies.training_timeline import Timeline
from genie_mini.studies.watched_training import (
    DREAMT,
    ROWS,
    SHOWN,
    begun_parts,
    read_moment,
    real_rows,
    score_moment,
    sprite,
)
from genie_mini.training.checkpoint import read_notes
from genie_mini.training.folder import CHECKPOINT

MADE = "training.json"  # beside the moments: what made them
LOOKS = 5  # seconds between two looks at the checkpoint


def watch(run: Path, options: list[str], minutes: float) -> int:
    """Train, and keep a moment at the beginning, at every end of a phase, when the dynamics model
    begins, at least so many minutes apart, and at the end. Returns what the training returns.
    """
    moments = run / "moments"
    moments.mkdir(parents=True, exist_ok=True)
    words = ["train", *options, "--out"]
    made = {"command": shlex.join(["genie-mini", *words, run.name]), "commit": commit()}
    write_atomic(moments / MADE, json.dumps(made, indent=1).encode() + b"\n")
    training = subprocess.Popen([sys.executable, "-m", "genie_mini.cli", *words, str(run)])
    kept, when = None, -np.inf
    ended = False
    while not ended:
        time.sleep(LOOKS)
        ended = training.poll() is not None  # before the look: the last checkpoint is seen
        if not (run / CHECKPOINT).exists():
            continue
        request, where = read_notes(run / CHECKPOINT)
        now = where["phase"], begun_parts(request, **where)
        if now == kept and time.monotonic() - when < 60 * minutes and not ended:
            continue
        keep(run / CHECKPOINT, moments)
        kept, when = now, time.monotonic()
    return training.returncode


def keep(checkpoint: Path, moments: Path) -> None:
    """Copy a checkpoint, which is replaced whole, and name the copy after its phase and step."""
    partial = moments / "partial"
    shutil.copyfile(checkpoint, partial)
    where = read_notes(partial)[1]
    partial.replace(moments / f"{where['phase']}-{where['step']:06}.safetensors")


def scored(path: Path) -> dict:
    """A moment's row of the table, with its drawing, from the files beside it if it has been scored
    before.
    """
    row_file, drawing = path.with_suffix(".json"), path.with_suffix(".npy")
    if not row_file.exists():
        began, moment = time.monotonic(), read_moment(path)
        scores, counts, drawn = score_moment(moment)
        np.save(drawing, drawn.numpy())
        row = {
            "phase": moment.phase,
            "step": moment.step,
            "begun": sorted(moment.begun),
            "sha256": sha256(path),
            "scores": [asdict(score) for score in scores],
            "counts": counts,
        }
        write_atomic(row_file, json.dumps(row).encode())
        print(f"{path.name}: {time.monotonic() - began:.0f} seconds", flush=True)
    return json.loads(row_file.read_text()) | {"drawn": np.load(drawing)}


def score(run: Path, table: Path, moments: Path) -> None:
    """Score all moments of a training that has ended or was stopped, and write the table and its
    pictures.
    """
    files = sorted(
        moments.glob("*.safetensors"), key=lambda file: list(read_notes(file)[1].values())
    )
    rows = [scored(file) for file in files]
    request = read_notes(files[-1])[0]
    line = Timeline.of(run, request)
    pictures = table.with_suffix(".png")
    drawn = [row.pop("drawn") for row in rows]
    write_atomic(pictures, sprite(real_rows(drawn[0].shape[-2]).numpy(), drawn))
    made = json.loads((moments / MADE).read_text())
    content = {
        "commands": [
            made["command"],
            f"python benchmarks/watched_training.py score {run.name} {table.name}",
        ],
        "seed": request.what["training"]["seed"],
        "commit": made["commit"],
        "processor": f"{processor()}, threads: {torch.get_num_threads()}",
        # of the result; of a run that was stopped the last moment's is all there is
        "weights": weights_hashes(run) if (run / "config.json").exists() else {},
        "minutes": line.end,
        "stretches": line.stretches,
        "restarts": line.restarts,
        "curves": line.curves(),
        "pictures": {
            "file": pictures.name,
            "sha256": sha256(pictures),
            "rows": ROWS,
            "shown": SHOWN,
            "dreamt": DREAMT,
        },
        "moments": [
            {
                "taken": line.taken(row["phase"], row["step"]),
                "minutes": line.minute(row["phase"], row["step"]),
                **row,
            }
            for row in rows
        ],
    }
    write_atomic(table, json.dumps(content, indent=1).encode() + b"\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    watching = commands.add_parser("watch", help="train, and keep moments")
    watching.add_argument("run", type=Path)
    watching.add_argument("--every", type=float, default=2.0, help="minutes between two moments")
    scoring = commands.add_parser("score", help="score the moments of a run")
    scoring.add_argument("run", type=Path)
    scoring.add_argument("table", type=Path)
    scoring.add_argument("--moments", type=Path, help="where they lie (default: in the run)")
    arguments, options = parser.parse_known_args()
    if arguments.command == "watch":
        return watch(arguments.run, options, arguments.every)
    if options:
        parser.error(f"unknown: {shlex.join(options)}")
    score(arguments.run, arguments.table, arguments.moments or arguments.run / "moments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
