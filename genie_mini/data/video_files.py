"""Clips cut from recordings: video files, and arrays of frames."""

import hashlib
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from genie_mini.data.pictures import fit_picture
from genie_mini.errors import GenieError
from genie_mini.world.simulation import FRAMES_PER_SECOND

VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")


class VideoFolder:
    """Clips cut at random from the recordings in a folder, or from one file.

    Takes .npy arrays of (frames, height, width, 3) or (clips, frames, height, width, 3) bytes, as
    `genie-mini record` writes them, and video files, which are read at ten frames a second, cropped
    to a square and scaled.

    Args:
        path: the folder or file.
        size: height and width of the frames, pixels.
    """

    def __init__(self, path: str | Path, size: int):
        path = Path(path)
        if not path.exists():
            raise GenieError(f"{path} does not exist")
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in (".npy", *VIDEO_ENDINGS)]
        if not files:
            raise GenieError(
                f"{path} holds no recordings: expected .npy arrays or {', '.join(VIDEO_ENDINGS)} "
                "files"
            )
        self.recordings = [recording for file in files for recording in read_recordings(file, size)]

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Cut a batch; see `Videos.batch`. Longer recordings are drawn from more often."""
        starts = np.array(
            [max(0, len(recording) - num_frames + 1) for recording in self.recordings]
        )
        if not starts.any():
            longest = max(len(recording) for recording in self.recordings)
            raise GenieError(
                f"clips of {num_frames} frames are needed, but the longest recording has {longest}"
            )
        rng = np.random.default_rng(key)
        chosen = rng.choice(len(starts), size=num_clips, p=starts / starts.sum())
        cut = [
            self.recordings[index][(start := rng.integers(starts[index])) : start + num_frames]
            for index in chosen
        ]
        return torch.from_numpy(np.stack(cut)).float() / 255

    @property
    def longest(self) -> int:
        """Frames of the longest recording."""
        return max(map(len, self.recordings))

    @property
    def description(self) -> str:
        """What tells these recordings from others: a hash of all their lengths, and of some frames
        of some of them.
        """
        digest = hashlib.sha256(str([frames.shape for frames in self.recordings]).encode())
        for frames in self.recordings[:: 1 + len(self.recordings) // 64]:
            digest.update(np.ascontiguousarray(frames[:: 1 + len(frames) // 4]).data)
        return f"{len(self.recordings)} recordings {digest.hexdigest()[:16]}"


def read_recordings(file: Path, size: int) -> list[np.ndarray]:
    """Read one file as a list of (frames, size, size, 3) uint8 arrays."""
    try:
        if file.suffix.lower() == ".npy":
            frames = np.load(file, mmap_mode="r", allow_pickle=False)
        else:
            frames = read_video(file, size)
    except (ValueError, OSError, EOFError, av.FFmpegError) as error:
        raise GenieError(f"{file} cannot be read: {error}") from error
    if not isinstance(frames, np.ndarray):
        raise GenieError(f"{file} cannot be read: it is an archive of arrays, not one array")
    if (
        frames.dtype != np.uint8
        or frames.ndim not in (4, 5)
        or frames.shape[-3:] != (size, size, 3)
    ):
        raise GenieError(
            f"{file} must hold bytes of shape (frames, {size}, {size}, 3) or (clips, frames, "
            f"{size}, {size}, 3), "
            f"got {frames.dtype} {frames.shape}"
        )
    return [frames] if frames.ndim == 4 else list(frames)


def read_video(file: Path, size: int) -> np.ndarray:
    """Decode a video to (frames, size, size, 3) uint8 at ten frames a second."""
    frames: list[np.ndarray] = []
    start = None
    with av.open(str(file)) as container:
        if not container.streams.video:
            raise GenieError("it has no pictures")
        for frame in container.decode(video=0):
            due = len(frames) / FRAMES_PER_SECOND
            moment = due if frame.time is None else frame.time
            start = moment if start is None else start
            # Slow videos repeat a frame, fast ones skip some; times are rounded to the container's
            # clock.
            while moment - start >= len(frames) / FRAMES_PER_SECOND - 0.002:
                frames.append(fit_picture(frame.to_image(), size))
    if not frames:
        raise GenieError("it has no frames")
    return np.stack(frames)
