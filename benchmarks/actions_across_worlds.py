"""Which way the pictures of several worlds move under each latent action of one Genie:

    python benchmarks/actions_across_worlds.py --weights NAME FILE.json WORLD=DATA [WORLD=DATA ...]

DATA is what `genie-mini evaluate --data` takes; its held-out films are looked at. Some two minutes
a world on one core. Writes for each world how often each action is inferred and how the picture
moves under it, with 95% intervals over films, or over passages of them where they are few.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from machine import commit, processor

from genie_mini.data.cache import CachedVideos
from genie_mini.data.sources import cached_films
from genie_mini.evaluation.any_world import draw_clips
from genie_mini.files import weights_folder, weights_hashes, write_atomic
from genie_mini.genie import CLIP_FRAMES, Genie
from genie_mini.studies.actions_across_worlds import AXES, world_movements

CLIPS, KEY = 128, 2


def known(value: float) -> float | None:
    """A number as JSON has it."""
    return None if np.isnan(value) else float(value)


def main(weights: str, out: Path, worlds: dict[str, str]) -> None:
    genie = Genie.from_pretrained(weights)
    size = genie.config.tokenizer.image_size
    films = {
        name: CachedVideos(cached_films(data, size), "held out") for name, data in worlds.items()
    }
    clips = {name: draw_clips(film, CLIPS, CLIP_FRAMES, KEY) for name, film in films.items()}
    moved = {name: world_movements(genie, drawn) for name, drawn in clips.items()}
    rows = [
        {
            "world": name,
            "action": action,
            "share": found.shares[action],
            **{axis: known(found.mean[action, number]) for number, axis in enumerate(AXES)},
            **{
                f"{axis}, 95%": list(map(known, found.intervals[action, number]))
                for number, axis in enumerate(AXES)
            },
        }
        for name, found in moved.items()
        for action in range(genie.config.dynamics.num_actions)
    ]
    content = {
        "command": " ".join(["python", "benchmarks/actions_across_worlds.py", *sys.argv[1:]]),
        "commit": commit(),
        "seed": KEY,
        "processor": processor(),
        "weights": weights_hashes(weights_folder(weights)),
        "films": {name: film.sha256 for name, film in films.items()},
        "clips": {name: len(drawn.frames) for name, drawn in clips.items()},
        "rows": rows,
    }
    write_atomic(out, json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] != "--weights":
        sys.exit(__doc__)
    torch.set_num_threads(1)  # so that the same films give the same figures
    main(sys.argv[2], Path(sys.argv[3]), dict(word.split("=", 1) for word in sys.argv[4:]))
