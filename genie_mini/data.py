"""Where training clips come from: the platformer, or a folder of one's own videos. Pictures only, never actions."""

from pathlib import Path
from typing import Protocol

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genie_mini.world import (
    DASH_LEFT,
    DASH_RIGHT,
    FRAMES_PER_SECOND,
    LEFT,
    NOTHING,
    RIGHT,
    random_actions,
    record,
)

VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")


class Videos(Protocol):
    """Anything that can deal out clips."""

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Return (num_clips, num_frames, height, width, 3) float in [0, 1]; the same key, integers of any number, gives the same clips."""


class PlatformerVideos:
    """Clips of the platformer, filmed anew for every batch and never kept.

    Args:
        size: height and width of the frames, pixels.
        returning: let three of four clips show a player who goes somewhere, waits, and comes back (`returning_actions`), so that there
            is something to remember.
    """

    def __init__(self, size: int, returning: bool = False):
        self.size, self.returning = size, returning

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Film a batch; see `Videos.batch`."""
        actions = None
        if self.returning:
            actions = returning_actions(np.random.default_rng([*key, 1]), num_clips, num_frames - 1)
        return torch.from_numpy(record(num_clips, num_frames, size=self.size, seed=key, actions=actions)[0])


def returning_actions(rng: np.random.Generator, num_clips: int, num_steps: int) -> np.ndarray:
    """Real actions for recording, (num_clips, num_steps) int64: three of four clips of excursions, the others of the usual policy.

    An excursion is one to eight steps or dashes to one side, up to 40 frames of waiting, and the same way back.
    """
    actions = random_actions(rng, num_clips, num_steps)
    for clip in np.flatnonzero(rng.random(num_clips) < 0.75):
        moves: list[int] = []
        while len(moves) < num_steps:
            left = [(LEFT, RIGHT), (DASH_LEFT, DASH_RIGHT)]
            sides = left if rng.random() < 0.5 else [pair[::-1] for pair in left]
            way = [sides[kind] for kind in rng.integers(2, size=rng.integers(1, 9))]
            wait = [NOTHING] * int(rng.integers(41))
            moves += [out for out, _ in way] + wait + [back for _, back in reversed(way)]
        actions[clip] = moves[:num_steps]
    return actions


class VideoFolder:
    """Clips cut at random from the recordings in a folder, or from one file.

    Takes .npy arrays of (frames, height, width, 3) or (clips, frames, height, width, 3) bytes, as `genie-mini record`
    writes them, and video files, which are read at ten frames a second, cropped to a square and scaled.

    Args:
        path: the folder or file.
        size: height and width of the frames, pixels.
    """

    def __init__(self, path: str | Path, size: int):
        path = Path(path)
        if not path.exists():
            raise ValueError(f"{path} does not exist")
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in (".npy", *VIDEO_ENDINGS)]
        if not files:
            raise ValueError(f"{path} holds no recordings: expected .npy arrays or {', '.join(VIDEO_ENDINGS)} files")
        self.recordings = [recording for file in files for recording in read_recordings(file, size)]

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Cut a batch; see `Videos.batch`. Longer recordings are drawn from more often."""
        starts = np.array([max(0, len(recording) - num_frames + 1) for recording in self.recordings])
        if not starts.any():
            longest = max(len(recording) for recording in self.recordings)
            raise ValueError(f"clips of {num_frames} frames are needed, but the longest recording has {longest}")
        rng = np.random.default_rng(key)
        chosen = rng.choice(len(starts), size=num_clips, p=starts / starts.sum())
        cut = [self.recordings[index][(start := rng.integers(starts[index])) : start + num_frames] for index in chosen]
        return torch.from_numpy(np.stack(cut)).float() / 255


def read_recordings(file: Path, size: int) -> list[np.ndarray]:
    """Read one file as a list of (frames, size, size, 3) uint8 arrays."""
    try:
        if file.suffix.lower() == ".npy":
            frames = np.load(file, mmap_mode="r", allow_pickle=False)
        else:
            frames = read_video(file, size)
    except (ValueError, OSError, EOFError, av.FFmpegError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if not isinstance(frames, np.ndarray):
        raise ValueError(f"{file} cannot be read: it is an archive of arrays, not one array")
    if frames.dtype != np.uint8 or frames.ndim not in (4, 5) or frames.shape[-3:] != (size, size, 3):
        raise ValueError(
            f"{file} must hold bytes of shape (frames, {size}, {size}, 3) or (clips, frames, {size}, {size}, 3), "
            f"got {frames.dtype} {frames.shape}"
        )
    return [frames] if frames.ndim == 4 else list(frames)


def read_video(file: Path, size: int) -> np.ndarray:
    """Decode a video to (frames, size, size, 3) uint8 at ten frames a second."""
    frames, start = [], None
    with av.open(str(file)) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures")
        for frame in container.decode(video=0):
            due = len(frames) / FRAMES_PER_SECOND
            moment = due if frame.time is None else frame.time
            start = moment if start is None else start
            # Slow videos repeat a frame, fast ones skip some; times are rounded to the container's clock.
            while moment - start >= len(frames) / FRAMES_PER_SECOND - 0.002:
                frames.append(fit_picture(frame.to_image(), size))
    if not frames:
        raise ValueError("it has no frames")
    return np.stack(frames)


def fit_picture(picture: Image.Image, size: int) -> np.ndarray:
    """Crop the middle square of a picture and scale it to (size, size, 3) uint8."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.BOX if side >= size else Image.Resampling.NEAREST))


def read_picture(path: str | Path, size: int) -> Tensor:
    """Read any image file as a prompt: (size, size, 3) float in [0, 1]."""
    try:
        with Image.open(path) as picture:
            return torch.from_numpy(fit_picture(picture, size).copy()).float() / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read: {error}") from error
