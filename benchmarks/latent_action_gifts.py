"""What each gift of our latent action model is worth (`genie_mini.studies.latent_action_gifts`):
24 trainings of 300 steps, three seeds each, which take about 40 minutes on one core with AVX2.

    python benchmarks/latent_action_gifts.py gifts.json

Each finished training becomes a line of gifts.jsonl; the same command goes on after the last one.
"""

import json
import platform
import sys
import time
from pathlib import Path

import torch
from machine import commit

from genie_mini.files import write_atomic
from genie_mini.studies.latent_action_gifts import SEEDS, STEPS, VARIANTS, score, train_alone


def trainings():
    """Variants and seeds; the two that matter most come first."""
    first, others = list(VARIANTS)[:2], list(VARIANTS)[2:]
    for seed in SEEDS:
        yield from ((name, seed) for name in first)
    for seed in SEEDS:
        yield from ((name, seed) for name in others)


def main(path):
    log = path.with_suffix(".jsonl")
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {(row["model"], row["seed"]) for row in rows}
    for name, seed in trainings():
        if (name, seed) in done:
            continue
        began = time.monotonic()
        model = train_alone(VARIANTS[name], STEPS, seed)
        minutes = (time.monotonic() - began) / 60
        rows.append({"model": name, "seed": seed, "minutes": minutes, **score(model)})
        with log.open("a", encoding="utf-8") as file:
            print(json.dumps(rows[-1]), file=file)
        print(rows[-1], flush=True)
    kernels = torch.backends.cpu.get_cpu_capability()
    content = {
        "command": f"python benchmarks/latent_action_gifts.py {path.name}",
        "steps": STEPS,
        "seeds": SEEDS,
        "commit": commit(),
        "processor": f"one core, {platform.machine()} with {kernels}",
        "rows": sorted(rows, key=lambda row: (list(VARIANTS).index(row["model"]), row["seed"])),
    }
    write_atomic(path, json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
