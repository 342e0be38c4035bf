"""Films decoded once, kept as one memory-mapped file with a manifest, and dealt out as clips.

A cache is a folder: `frames.bin`, all frames in a row, uint8; `manifest.json`, where they come from
and which of them hang together; and, where the source knows them, the true actions in a folder
`truth` of their own. Those score a model; nothing that trains reads them.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from genie_mini.data.cuts import CutFinder
from genie_mini.data.videos import draw_starts
from genie_mini.errors import GenieError
from genie_mini.files import write_atomic
from genie_mini.outputs import fill_once

_FORMAT = 2  # of the manifest; 1 was before cuts were told from scrolls
_HELD_OUT = 0.1  # share of the frames that are kept for scoring
_MANY_FILMS = 10  # of fewer, a whole one would be too much to lose
_LONG_FILM = 160  # frames: the end of a shorter one would hold no clip
NO_ACTION = -1  # where nobody knows what was done

SPLITS = ("train", "held out")


@dataclass
class Film:
    """One film of a source.

    Attributes:
        name: which, as people say it: a file, an episode.
        moments: its frames, (height, width, 3) uint8, each with the true action that was taken
            there, or `NO_ACTION`.
    """

    name: str
    moments: Iterator[tuple[np.ndarray, int]]


class FilmSource(Protocol):
    """Where films come from.

    Attributes:
        identity: all that decides what its films show, as JSON: the same identity, the same films.
        image_size: (height, width) of the frames, pixels.
        frames_per_second: of the films.
    """

    identity: dict
    image_size: tuple[int, int]
    frames_per_second: float

    def films(self) -> Iterator[Film]:
        """All films, one after the other."""


@dataclass(frozen=True)
class Stretch:
    """Frames in a row without a cut.

    Attributes:
        film: whose they are.
        start, frames: the first one's place in the cache, and how many they are.
        split: one of `SPLITS`.
    """

    film: str
    start: int
    frames: int
    split: str


def cache_folder(source: FilmSource, root: Path) -> Path:
    """Where the films of a source are kept under `root`; the folder need not be there yet."""
    identity = json.dumps([_FORMAT, source.identity], sort_keys=True)
    return root / hashlib.sha256(identity.encode()).hexdigest()[:16]


def fill_cache(source: FilmSource, root: Path, *, progress: bool = True) -> Path:
    """Decode all films of a source into a cache, if that was not done before, and return its
    folder.

    A tenth of the frames is held out: whole films where there are ten or more, else the end of
    each that is long enough, 160 frames.

    Args:
        source: where the films come from.
        root: folder of all caches, made if it is missing.
        progress: show how many frames there are.

    Raises:
        GenieError: the source has no frames.
    """
    folder = cache_folder(source, root)
    # The processes of a training all come for the same films: the first decodes, the others wait.
    fill_once(
        folder,
        (folder / "manifest.json").exists,
        lambda partial: _fill(source, partial, progress),
    )
    return folder


def _fill(source, folder, progress):
    """Decode all films into an empty folder."""
    content = _write_films(source, folder, progress)
    write_atomic(folder / "manifest.json", json.dumps(content, indent=1).encode() + b"\n")


def _write_films(source, folder, progress):
    """Write frames and true actions; return the manifest."""
    lengths: dict[str, list[int]] = {}  # of the stretches of each film
    actions: list[int] = []
    digest = hashlib.sha256()
    bar = tqdm(desc="decoding", unit="frame", disable=not progress, delay=2)
    with open(folder / "frames.bin", "wb") as file, bar:
        for film in source.films():
            finder, begin = CutFinder(), len(actions)
            for frame, action in film.moments:
                pixels = np.ascontiguousarray(frame, dtype=np.uint8)
                file.write(pixels)
                digest.update(pixels)
                finder.see(pixels)
                actions.append(action)
                bar.update()
            ends = [*finder.cuts(), len(actions) - begin]
            lengths[film.name] = [int(n) for n in np.diff([0, *ends]) if n]
    if not actions:
        raise GenieError("the source holds no frames")
    if any(action != NO_ACTION for action in actions):
        (folder / "truth").mkdir()
        np.save(folder / "truth" / "actions.npy", np.array(actions, dtype=np.int64))
    return {
        "format": _FORMAT,
        "source": source.identity,
        "sha256": digest.hexdigest(),
        "image_size": list(source.image_size),
        "frames_per_second": source.frames_per_second,
        "stretches": [asdict(stretch) for stretch in _split(lengths)],
    }


def _split(lengths: dict[str, list[int]]) -> list[Stretch]:
    """Hold out whole films, drawn by lot, until they make up the share; of a few films the ends of
    the long ones.

    The lot falls by the films' names, so that a folder that gains films keeps most of its choice.
    """
    whole = _held_out_films(lengths) if len(lengths) >= _MANY_FILMS else set()
    stretches, start = [], 0
    for name, parts in lengths.items():
        end = 0 if whole or sum(parts) < _LONG_FILM else round(_HELD_OUT * sum(parts))
        left = 0 if name in whole else sum(parts) - end  # frames that are trained on
        for frames in parts:
            first = min(frames, left)
            for split, begin, count in (
                (SPLITS[0], start, first),
                (SPLITS[1], start + first, frames - first),
            ):
                if count:
                    stretches.append(Stretch(name, begin, count, split))
            start, left = start + frames, left - first
    return stretches


def _held_out_films(lengths):
    wanted, chosen = _HELD_OUT * sum(map(sum, lengths.values())), set()
    for name in sorted(lengths, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if wanted <= 0:
            break
        chosen.add(name)
        wanted -= sum(lengths[name])
    return chosen


class CachedVideos:
    """Clips cut at random from one split of a cache, never across a cut.

    Args:
        folder: of the cache, from `fill_cache`.
        split: "train" or "held out".

    Attributes:
        split: the one given.
        source: the identity of what the films come from.
        sha256: of all frames of the cache.
        image_size: (height, width) of the frames, pixels.
        frames_per_second: of the films.
        stretches: what the clips are cut from.

    Raises:
        GenieError: the folder is no whole cache.
    """

    def __init__(self, folder: Path, split: str = "train"):
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.source: dict = manifest["source"]
            self.sha256 = str(manifest["sha256"])
            self.image_size: tuple[int, int] = tuple(manifest["image_size"])
            self.frames_per_second = float(manifest["frames_per_second"])
            stretches = [Stretch(**stretch) for stretch in manifest["stretches"]]
            shape = (sum(stretch.frames for stretch in stretches), *self.image_size, 3)
            self._frames = np.memmap(folder / "frames.bin", np.uint8, "r", shape=shape)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GenieError(f"{folder} is not a whole cache of films: {error}") from error
        self.split = split
        self.stretches = [stretch for stretch in stretches if stretch.split == split]

    @property
    def description(self) -> str:
        """By which a training run knows that it goes on with the same clips."""
        films = len({stretch.film for stretch in self.stretches})
        return f"{films} films ({self.split}), SHA-256 {self.sha256[:16]} in all"

    @property
    def longest(self) -> int:
        """Frames of the longest stretch; 0 if there is none."""
        return max((stretch.frames for stretch in self.stretches), default=0)

    def divided(self, share: float) -> tuple["CachedVideos", "CachedVideos"]:
        """Two that have no frame in common: this share of the frames, the first ones, and the
        others. A film may be divided.
        """
        left = round(share * sum(stretch.frames for stretch in self.stretches))
        first, then = copy.copy(self), copy.copy(self)
        first.stretches, then.stretches = [], []
        for stretch in self.stretches:
            count = min(stretch.frames, left)
            left -= count
            if count:
                first.stretches.append(replace(stretch, frames=count))
            if count < stretch.frames:
                start, rest = stretch.start + count, stretch.frames - count
                then.stretches.append(replace(stretch, start=start, frames=rest))
        return first, then

    def films(self, starts: np.ndarray) -> np.ndarray:
        """The names of the films that hold these places of the cache, (clips,) strings."""
        begins = [stretch.start for stretch in self.stretches]
        names = np.array([stretch.film for stretch in self.stretches])
        return names[np.searchsorted(begins, starts, side="right") - 1]

    def starts(self, num_clips: int, num_frames: int, key: list[int]) -> np.ndarray:
        """Where the clips of a key begin, (num_clips,) int64 places in the cache. Longer stretches
        are drawn from more often.

        Raises:
            GenieError: no stretch is as long as that.
        """
        lengths = [stretch.frames for stretch in self.stretches]
        what = "recording without a cut"
        chosen, first = draw_starts(lengths, num_clips, num_frames, key, what)
        return np.array([stretch.start for stretch in self.stretches])[chosen] + first

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Cut a batch; see `Videos.batch`."""
        return self.clips(self.starts(num_clips, num_frames, key), num_frames)

    def clips(self, starts: np.ndarray, num_frames: int) -> Tensor:
        """The clips that begin at these places: (clips, num_frames, height, width, 3) float in
        [0, 1].
        """
        return torch.from_numpy(self._frames[starts[:, None] + np.arange(num_frames)]).float() / 255


def true_actions(folder: Path, starts: np.ndarray, num_frames: int) -> np.ndarray | None:
    """The true actions of clips from a cache, to score with: (clips, num_frames - 1) int64, entry t
    leading from frame t to t + 1; None where nobody knows them.
    """
    file = folder / "truth" / "actions.npy"
    if not file.exists():
        return None
    return np.load(file, mmap_mode="r")[starts[:, None] + np.arange(num_frames - 1)]
