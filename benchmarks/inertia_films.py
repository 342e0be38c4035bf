"""A world of inertia as video files, to train and score a Genie on what is no platformer:

    python benchmarks/inertia_films.py FOLDER

A craft floats over a floor of waves, seen from above by a camera that rests. An action does not say
where it goes but how it is pushed, and it stands anywhere between the pixels. Writes 80 animated
GIFs of 200 frames, and the true actions into FOLDER/truth.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

FILMS, FRAMES, SIDE = 80, 200, 64  # pixels
PUSHES = 0.7 * np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # (rows, columns), pixels
KEPT = 0.95  # share of the speed that is left after a frame
FASTEST = 2.5  # pixels a frame, along each axis
REPEATED = 0.6  # chance that an action is that of the frame before
RADIUS, EDGE, BOUNCE = 3.2, 3, 0.6
COLOR = np.array([1, 0.8, 0.2])


def film(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Frames (FRAMES, SIDE, SIDE, 3) in [0, 1], and the actions that lead from each to the next,
    (FRAMES - 1,), numbers of PUSHES.
    """
    place, speed = rng.uniform(5, SIDE - 5, 2), rng.normal(0, 0.8, 2)
    actions = rng.integers(0, len(PUSHES), FRAMES - 1)
    repeated = rng.random(FRAMES - 1) < REPEATED
    for t in range(1, FRAMES - 1):
        actions[t] = actions[t - 1] if repeated[t] else actions[t]
    color, phase, waves = rng.uniform(0, 0.5, 3), rng.uniform(0, 6, 2), rng.uniform(0.15, 0.6, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    height = np.sin(rows * waves[0] + phase[0]) * np.sin(columns * waves[1] + phase[1])
    floor = color + 0.15 * height[..., None] + 0.1
    frames = []
    for action in [*actions, 0]:
        share = np.clip(RADIUS - np.hypot(rows - place[0], columns - place[1]), 0, 1)[..., None]
        frames.append((floor * (1 - share) + COLOR * share).clip(0, 1))
        speed = np.clip(speed * KEPT + PUSHES[action], -FASTEST, FASTEST)
        place = place + speed
        out = ((place < EDGE) & (speed < 0)) | ((place > SIDE - 1 - EDGE) & (speed > 0))
        speed = np.where(out, -BOUNCE * speed, speed)
        place = place.clip(EDGE, SIDE - 1 - EDGE)
    return np.stack(frames), actions


def main(folder: Path) -> None:
    rng = np.random.default_rng(1)
    (folder / "truth").mkdir(parents=True)
    for number in range(FILMS):
        frames, actions = film(rng)
        pictures = [Image.fromarray(frame) for frame in np.rint(255 * frames).astype(np.uint8)]
        path = folder / f"{number:02}.gif"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)
        np.save(folder / "truth" / f"{path.name}.npy", np.append(actions, -1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
