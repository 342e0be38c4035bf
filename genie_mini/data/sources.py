"""From what a person types to films that lie decoded in a cache: a path, gymnasium:ENV_ID or
procgen:GAME.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genie_mini.data.cache import Film, FilmSource, fill_cache
from genie_mini.data.film_actions import actions_file, read_film_actions
from genie_mini.data.gymnasium_envs import USUAL_POLICY, GymnasiumSource
from genie_mini.data.pictures import Canvas
from genie_mini.data.procgen_games import PROCGEN
from genie_mini.data.video_files import find_files, read_files
from genie_mini.outputs import user_cache
from genie_mini.world.simulation import FRAMES_PER_SECOND

GYMNASIUM = "gymnasium:"
GYMNASIUM_FRAMES = 20_000  # that are recorded of an environment
# Every level of Procgen looks different, so there are many, each left while it is new.
PROCGEN_FRAMES, PROCGEN_LONGEST = 100_000, 200


class VideoFiles:
    """The recordings in a folder and its sub-folders, or in one file; see `data.cache.FilmSource`.

    Reads what `VideoFolder` reads, a file at a time, so that they need not fit into memory
    together. They are the same films as long as names, sizes and times of change of the files stay.
    True actions may lie beside them (`data.film_actions`).

    Args:
        path: the folder or file.
        canvas: size and fit of the frames.
        frames_per_second: that video files and animated pictures are brought to.

    Raises:
        GenieError: there is nothing of a kind that is read.
    """

    def __init__(
        self,
        path: str | Path,
        canvas: Canvas,
        frames_per_second: float = FRAMES_PER_SECOND,
    ):
        self._path, self._canvas = Path(path), canvas
        self._files, self._skipped = find_files(self._path)
        folder = self._path if self._path.is_dir() else self._path.parent
        self._actions = {file: actions_file(folder, file) for file in self._files}
        self.image_size = (canvas.height, canvas.width)
        self.frames_per_second = float(frames_per_second)
        self.identity: dict[str, Any] = {
            "kind": "files",
            "files": [[self._name(file), *_size_and_time(file)] for file in self._files],
            "image_size": list(self.image_size),
            "fit": canvas.fit,
        }
        if frames_per_second != FRAMES_PER_SECOND:
            self.identity["frames_per_second"] = self.frames_per_second
        known = {file: told for file, told in self._actions.items() if told.exists()}
        if known:
            self.identity["truth"] = [
                [self._name(file), *_size_and_time(told)] for file, told in known.items()
            ]

    def films(self) -> Iterator[Film]:
        """One film a recording, named after its file. Files that cannot be read are skipped, and a
        warning names them.

        Raises:
            GenieError: none can be read, or true actions do not fit their film.
        """
        skipped = dict(self._skipped)
        rate = self.frames_per_second
        for file, recordings in read_files(self._path, self._files, skipped, self._canvas, rate):
            actions = read_film_actions(self._actions[file], list(map(len, recordings)))
            for number, moments in enumerate(zip(recordings, actions, strict=True), start=1):
                name = self._name(file) + (f" ({number})" if len(recordings) > 1 else "")
                yield Film(name, zip(*moments, strict=True))

    def _name(self, file):
        """How people call a file of the folder."""
        return file.name if file == self._path else file.relative_to(self._path).as_posix()


def _size_and_time(file):
    """Bytes, and when they were changed last, nanoseconds; zeros if nobody may look."""
    try:
        status = file.stat()
    except OSError:  # a dangling link, say: reading it will say so
        return 0, 0
    return status.st_size, status.st_mtime_ns


def is_game(text: str) -> bool:
    """Whether a text names what is played to be filmed, and no path."""
    return text.startswith((GYMNASIUM, PROCGEN))


def usual_fit(text: str) -> str:
    """How pictures get another shape where nothing else is asked: a film's middle is cut out. Of a
    game nothing is, since what is played may stand at the edge, as the paddle of Breakout does.
    """
    return "stretch" if is_game(text) else "crop"


def source_from(
    text: str,
    image_size: tuple[int, int],
    fit: str | None = None,
    policy: str = USUAL_POLICY,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> FilmSource:
    """The films that a text names.

    Args:
        text: the path of a recording or of a folder of them; "gymnasium:ENV_ID", of which
            `GYMNASIUM_FRAMES` frames are recorded; or "procgen:GAME", of which `PROCGEN_FRAMES`
            are, at most `PROCGEN_LONGEST` of a level.
        image_size: (height, width) of the frames, pixels.
        fit: how pictures of another shape get it, one of `pictures.FITS`; `usual_fit` by default.
        policy: who plays a game, one of `gymnasium_envs.POLICIES`.
        frames_per_second: of films; a game is filmed at every step.

    Raises:
        GenieError: there is no such thing, or nothing to see in it.
    """
    canvas = Canvas(image_size, fit or usual_fit(text))
    if text.startswith(GYMNASIUM):
        return GymnasiumSource(text.removeprefix(GYMNASIUM), canvas, GYMNASIUM_FRAMES, policy)
    if text.startswith(PROCGEN):
        return GymnasiumSource(text, canvas, PROCGEN_FRAMES, policy, longest=PROCGEN_LONGEST)
    return VideoFiles(text, canvas, frames_per_second)


def cached_films(
    text: str,
    image_size: tuple[int, int],
    root: Path | None = None,
    *,
    fit: str | None = None,
    policy: str = USUAL_POLICY,
    frames_per_second: float = FRAMES_PER_SECOND,
    progress: bool = True,
) -> Path:
    """The folder of the cache that holds the films which a text names, filled if need be.

    Args:
        text, image_size, fit, policy, frames_per_second: see `source_from`.
        root: folder of all caches; `user_cache` by default.
        progress: show how many frames there are.

    Raises:
        GenieError: see `source_from`, or there are no frames.
    """
    source = source_from(text, image_size, fit, policy, frames_per_second)
    return fill_cache(source, root or user_cache(), progress=progress)
