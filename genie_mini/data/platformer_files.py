"""The platformer as files (`genie-mini record`): clips to train on, and the truth about them in its
own place.
"""

import io
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from genie_mini.files import write_atomic
from genie_mini.world.recording import Truth, record
from genie_mini.world.simulation import FRAMES_PER_SECOND

_BATCH = 64  # clips filmed at a time: 200 MB at 64 pixels and 64 frames
_PREVIEW = 3  # rows and columns of clips in the preview


def record_files(
    folder: Path, num_clips: int, num_frames: int, *, size: int, seed: int, preview: bool
) -> None:
    """Film the platformer into a folder; each file whole or not at all.

    Writes clips.npy, bytes (num_clips, num_frames, size, size, 3); truth/truth.npz, the fields of
    `world.Truth` by name; and, if `preview`, preview/clips.gif. The latter two have folders of
    their own, which `video_files.find_files` leaves alone.

    Args:
        folder: made if it is missing; files of an earlier recording are replaced.
        size: 32 or 64 pixels.
        seed: of levels and actions.
    """
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    path, truths = folder / "clips.npy", []
    partial = path.with_name("clips.npy.partial")
    try:
        clips = np.lib.format.open_memmap(
            partial, "w+", np.uint8, (num_clips, num_frames, size, size, 3)
        )
        with tqdm(total=num_clips, desc="filming", unit="clip") as bar:
            for index, start in enumerate(range(0, num_clips, _BATCH)):
                count = min(_BATCH, num_clips - start)
                frames, truth = record(count, num_frames, size=size, seed=[seed, index])
                clips[start : start + count] = np.rint(frames * 255)
                truths.append(truth)
                bar.update(count)
        clips.flush()
        shown = np.array(clips[: _PREVIEW**2])
        del clips  # Windows moves no file that is still mapped
        write_atomic(folder / "truth" / "truth.npz", _pack(truths))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if preview:
        (folder / "preview").mkdir(exist_ok=True)
        write_atomic(folder / "preview" / "clips.gif", animate(shown))


def _pack(truths):
    """Join the truths of all batches into the bytes of one .npz file."""
    joined = {
        field.name: np.concatenate([getattr(truth, field.name) for truth in truths])
        for field in fields(Truth)
    }
    file = io.BytesIO()
    np.savez_compressed(file, **joined)
    return file.getvalue()


def animate(clips: np.ndarray) -> bytes:
    """Up to nine clips, (clips, frames, size, size, 3) uint8, as one animated GIF, each pixel
    doubled.
    """
    columns = min(_PREVIEW, len(clips))
    clips = clips[: len(clips) // columns * columns]
    rows = [
        np.concatenate(list(clips[start : start + columns]), axis=2)
        for start in range(0, len(clips), columns)
    ]
    film = np.concatenate(rows, axis=1).repeat(2, axis=1).repeat(2, axis=2)
    first, *rest = (Image.fromarray(frame) for frame in film)
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=rest, duration=1000 // FRAMES_PER_SECOND, loop=0
    )
    return file.getvalue()
