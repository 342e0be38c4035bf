"""The platformer as files (`genie-mini record`): clips to train on, and the truth about them in its
own place.
"""

import io
import math
import os
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from genie_mini.errors import GenieError
from genie_mini.files import write_atomic
from genie_mini.outputs import prepare_folder, sole_writer
from genie_mini.world.recording import Truth, record
from genie_mini.world.simulation import FRAMES_PER_SECOND

_BATCH = 64  # clips filmed at a time: 200 MB at 64 pixels and 64 frames ...
_BATCH_FRAMES = 1024  # ... of so many frames; fewer of longer ones
LONGEST = _BATCH * _BATCH_FRAMES  # frames of a clip, nearly two hours
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

    Raises:
        GenieError: the folder cannot be written into, or has no room; it holds clips of another
            origin; the clips are too long.
    """
    path, truth = folder / "clips.npy", folder / "truth" / "truth.npz"
    _check_place(folder, (num_clips, num_frames, size, size, 3), preview)
    partial = path.with_name("clips.npy.partial")
    with sole_writer(folder):
        try:
            shown, truths = _film(partial, (num_clips, num_frames, size, size, 3), seed)
            content = _pack(truths)
            truth.unlink(missing_ok=True)  # no clips stand beside the truth of others, ever
            os.replace(partial, path)
            write_atomic(truth, content)
        finally:
            partial.unlink(missing_ok=True)
        if preview:
            write_atomic(folder / "preview" / "clips.gif", animate(shown))


def _check_place(folder, shape, preview):
    """Find out before the filming what would stop it at its end."""
    if shape[1] > LONGEST:
        raise GenieError(f"a clip has {LONGEST} frames at most, got {shape[1]}")
    if (folder / "clips.npy").exists() and not (folder / "truth").exists():
        raise GenieError(
            f"{folder} holds a clips.npy that `genie-mini record` has not written and would "
            "replace: give another folder"
        )
    for place in (folder, folder / "truth", *([folder / "preview"] if preview else [])):
        prepare_folder(place)
    needed, free = math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        raise GenieError(
            f"{shape[0]} clips of {shape[1]} frames take {needed / 1e9:.3g} GB, and {folder} has "
            f"room for {free / 1e9:.3g} GB"
        )


def _film(file, shape, seed):
    """Film into a new .npy file; returns the first clips, bytes, and the truths of all batches."""
    num_clips, num_frames, size = shape[:3]
    clips, truths = np.lib.format.open_memmap(file, "w+", np.uint8, shape), []
    batch = max(1, min(_BATCH, _BATCH * _BATCH_FRAMES // num_frames))
    with tqdm(total=num_clips, desc="filming", unit="clip") as bar:
        for index, start in enumerate(range(0, num_clips, batch)):
            count = min(batch, num_clips - start)
            frames, truth = record(count, num_frames, size=size, seed=[seed, index])
            clips[start : start + count] = np.rint(frames * 255)
            truths.append(truth)
            bar.update(count)
    clips.flush()
    # A copy: Windows moves no file that is still mapped.
    return np.array(clips[: _PREVIEW**2]), truths


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
