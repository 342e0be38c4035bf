"""Clips cut from recordings: video files, sequences of pictures, and arrays of frames."""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from genie_mini.data.array_files import ARRAY_READERS
from genie_mini.data.films import PICTURE_ENDINGS, VIDEO_ENDINGS, read_animation, read_video
from genie_mini.data.pictures import Canvas, check_not_empty
from genie_mini.data.sequences import find_sequences, read_sequence
from genie_mini.data.videos import draw_starts
from genie_mini.errors import GenieError
from genie_mini.world.simulation import FRAMES_PER_SECOND

ENDINGS = (*ARRAY_READERS, *VIDEO_ENDINGS, *PICTURE_ENDINGS)

_NAMED = 10  # files of a kind that are named when they are skipped; the others are counted

_log = logging.getLogger(__name__)


class VideoFolder:
    """Clips cut at random from the recordings in a folder and its sub-folders, or from one file.

    Takes arrays of (frames, height, width, 3) or (clips, frames, height, width, 3) bytes at ten
    frames a second, from .npy files, as `genie-mini record` writes them, .npz or HDF5; numbered
    pictures, likewise ten a second (`data.sequences`); and video files and animated pictures, which
    are brought to ten frames a second. Hidden files and what lies in a folder `truth` are
    left alone. Files that cannot be read are skipped, and a warning names them.

    Args:
        path: the folder or file.
        size: height and width of the frames, pixels; one number for a square.
        fit: how recordings of another shape get it, one of `pictures.FITS`.

    Attributes:
        recordings: (frames, height, width, 3) uint8 each.
        skipped: the files that were not read, and why.

    Raises:
        GenieError: there is nothing to read.
    """

    def __init__(self, path: str | Path, size: int | tuple[int, int], fit: str = "crop"):
        path, canvas = Path(path), Canvas(size, fit)
        files, self.skipped = find_files(path)
        self.recordings: list[np.ndarray] = []
        reading = read_files(path, files, self.skipped, canvas, FRAMES_PER_SECOND)
        for _, recordings in tqdm(reading, "reading", len(files), unit="file", delay=5):
            self.recordings += recordings

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Cut a batch; see `Videos.batch`. Longer recordings are drawn from more often."""
        lengths = [len(recording) for recording in self.recordings]
        clips = draw_starts(lengths, num_clips, num_frames, key, "recording")
        cut = [
            self.recordings[index][start : start + num_frames]
            for index, start in zip(*clips, strict=True)
        ]
        return torch.from_numpy(np.stack(cut)).float() / 255

    @property
    def longest(self) -> int:
        """Frames of the longest recording."""
        return max(map(len, self.recordings))

    @property
    def description(self) -> str:
        """How many recordings there are, and a hash of all their lengths and of some frames of some
        of them, which tells them from others.
        """
        digest = hashlib.sha256(str([frames.shape for frames in self.recordings]).encode())
        for frames in self.recordings[:: 1 + len(self.recordings) // 64]:
            digest.update(np.ascontiguousarray(frames[:: 1 + len(frames) // 4]).data)
        return f"{len(self.recordings)} recordings {digest.hexdigest()[:16]}"


def find_files(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """The files that may hold recordings: one file, or those in a folder and its sub-folders, in
    the order of their names; and the folder's other files, with the reason why they do not.

    Hidden files and folders are in neither, nor is what `genie-mini record` writes beside the
    clips: a folder `truth`, and `preview` next to it.

    Raises:
        GenieError: there is no such file or folder, or nothing in it that may hold recordings.
    """
    if not path.exists():
        raise GenieError(f"{path} does not exist")
    if not path.is_dir():
        return [path], {}
    files, skipped = _walk(path)
    if not files:
        told = tell_skipped(path, skipped)
        endings = f"files that end in {', '.join(ENDINGS)}"
        raise GenieError(f"{path} holds no recordings, {endings}{told and f': {told}'}")
    return files, skipped


def read_files(
    path: Path,
    files: list[Path],
    skipped: dict[Path, str],
    canvas: Canvas,
    frames_per_second: float,
) -> Iterator[tuple[Path, list[np.ndarray]]]:
    """The recordings in each of the files that `find_files` found at `path`, (frames, height,
    width, 3) uint8 each; those of a sequence of pictures stand with its first file. Files that
    cannot be read have none; they are added to `skipped`, and at the end a warning names all that
    is there.

    Raises:
        GenieError: none can be read.
    """
    found = False
    sequences = find_sequences(files)
    within = {file for sequence in sequences.values() for file in sequence[1:]}
    for file in files:
        if file in within:  # read with the first of them
            continue
        recordings = []
        try:
            if file in sequences:
                recordings = read_sequence(sequences[file], skipped, canvas)
            else:
                recordings = read_recordings(file, canvas, frames_per_second)
        except GenieError as error:
            if file == path:
                raise GenieError(f"{file} {error}") from error
            skipped[file] = str(error)
        found = found or bool(recordings)
        yield file, recordings
    if not found:
        told = tell_skipped(path, skipped)
        raise GenieError(f"{path} holds no recordings that can be read: {told}")
    if skipped:
        told = tell_skipped(path, skipped)
        _log.warning("%s: %d files are skipped: %s", path, len(skipped), told)


def _walk(folder):
    files, skipped, seen = [], {}, set()

    def cannot_be_listed(error):
        skipped[Path(error.filename)] = f"cannot be read: {error.strerror}"

    for here, folders, names in os.walk(folder, onerror=cannot_be_listed, followlinks=True):
        if os.path.realpath(here) in seen:  # a link to a folder that we are in, or were
            folders.clear()
            continue
        seen.add(os.path.realpath(here))
        hidden = {name for name in folders if _is_left_alone(Path(here, name))}
        if any(not name.startswith(".") for name in hidden):
            hidden.add("preview")
        folders[:] = sorted(set(folders) - hidden)
        for file in (Path(here, name) for name in names if not name.startswith(".")):
            if file.suffix.lower() not in ENDINGS:
                skipped[file] = "is of no kind that is read"
            else:
                files.append(file)
    # the same order on every machine, since the clips of a key follow from it
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix()), skipped


def _is_left_alone(folder):
    """Whether a folder is hidden or holds the truth, by whatever link one comes to it."""
    names = {folder.name.casefold(), folder.resolve().name.casefold()}
    return folder.name.startswith(".") or "truth" in names


def tell_skipped(folder: Path, skipped: dict[Path, str]) -> str:
    """Why files of a folder were skipped, in a line: each reason with the files that it holds for,
    the rarest first. Ten reasons and ten files of each are named, the others counted.
    """
    by_reason: dict[str, list[str]] = {}
    for file in sorted(skipped):
        by_reason.setdefault(skipped[file], []).append(file.relative_to(folder).as_posix())
    sentences = []
    for reason, (first, *others) in sorted(by_reason.items(), key=lambda item: len(item[1])):
        more = [f"{len(others) - _NAMED + 1} more"] if len(others) >= _NAMED else []
        also = ", ".join(others[: _NAMED - 1] + more)
        sentences.append(f"{first} {reason}" + (f" (also {also})" if also else ""))
    if len(sentences) > _NAMED:
        sentences[_NAMED:] = [f"{len(sentences) - _NAMED} more reasons"]
    return "; ".join(sentences)


def read_recordings(file: Path, canvas: Canvas, frames_per_second: float) -> list[np.ndarray]:
    """Read one file as recordings, (frames, height, width, 3) uint8 each; at so many frames a
    second, unless it is an array, of which nobody knows.

    Raises:
        GenieError: the file cannot be used. The message goes on from the file's name.
    """
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise GenieError("is of no kind that is read")
    check_not_empty(file)
    try:
        if ending in ARRAY_READERS:
            return ARRAY_READERS[ending](file, canvas)
        read = read_animation if ending in PICTURE_ENDINGS else read_video
        return read(file, canvas, frames_per_second)
    except (OSError, av.FFmpegError) as error:
        raise GenieError(f"cannot be read: {error.strerror or error}") from error
