"""A few held-out clips of a game, for a chapter that runs where the game is not installed:

    python benchmarks/game_clips.py procgen:coinrun FOLDER/coinrun

Films the game as `genie-mini train --data` does, and writes of what is held out FOLDER/coinrun.png,
a clip in each row, and FOLDER/coinrun.json: the true actions, their names, and what made it.
"""

import json
import sys
from pathlib import Path

import numpy as np
from machine import commit
from PIL import Image

from genie_mini.data.cache import CachedVideos, true_actions
from genie_mini.data.gymnasium_envs import action_meanings
from genie_mini.data.sources import cached_films
from genie_mini.files import sha256

CLIPS, FRAMES, SIDE, SEED = 10, 32, 64, 0


def main(game: str, out: Path) -> None:
    folder = cached_films(game, (SIDE, SIDE))
    videos = CachedVideos(folder, "held out")
    starts = videos.starts(CLIPS, FRAMES, [SEED])
    frames = (videos.clips(starts, FRAMES).numpy() * 255).round().astype(np.uint8)
    sheet = frames.transpose(0, 2, 1, 3, 4).reshape(CLIPS * SIDE, FRAMES * SIDE, 3)
    pictures = out.with_suffix(".png")
    Image.fromarray(sheet).save(pictures, optimize=True)
    content = {
        "command": f"python benchmarks/game_clips.py {game} {out}",
        "commit": commit(),
        "seed": SEED,
        "source": videos.source,
        "frames_per_second": videos.frames_per_second,
        "pictures": {"file": pictures.name, "sha256": sha256(pictures), "side": SIDE},
        "actions": true_actions(folder, starts, FRAMES).tolist(),
        "names": action_meanings(videos.source),
    }
    out.with_suffix(".json").write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
