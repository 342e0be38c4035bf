"""The true actions of films, where somebody kept them beside the files. They score a model; nothing
that trains reads them.

The actions of `FOLDER/game/run.mp4` lie in `FOLDER/truth/game/run.mp4.npy`.
"""

from pathlib import Path

import numpy as np

from genie_mini.data.cache import NO_ACTION
from genie_mini.errors import GenieError

MOST_ACTIONS = 1024  # that a world may know


def actions_file(folder: Path, film: Path) -> Path:
    """Where the true actions of a film of a folder are looked for."""
    return folder / "truth" / f"{film.relative_to(folder).as_posix()}.npy"


def read_film_actions(file: Path, lengths: list[int]) -> list[np.ndarray]:
    """The true actions of the recordings in a film: (frames,) int64 each, entry t taken at frame t,
    `NO_ACTION` where nobody knows; without the file everywhere.

    Args:
        file: an array of integers, one for each frame at ten a second, of any shape: the recordings
            of the film in a row.
        lengths: frames of each recording.

    Raises:
        GenieError: the file holds something else, or another number of actions.
    """
    if not lengths or not file.exists():
        return [np.full(length, NO_ACTION) for length in lengths]
    try:
        actions = np.load(file, allow_pickle=False)
    except Exception as error:  # NumPy's parser raises nearly everything on a damaged header
        raise GenieError(f"{file} cannot be read: {error}") from error
    if not isinstance(actions, np.ndarray) or not np.issubdtype(actions.dtype, np.integer):
        kind = getattr(actions, "dtype", "an archive")
        raise GenieError(f"{file} must hold integers, the true actions of its film; got {kind}")
    if actions.size != sum(lengths):
        raise GenieError(
            f"{file} holds {actions.size} actions, but its film has {sum(lengths)} frames, at ten "
            "a second: one action for each is needed, taken at that frame"
        )
    lowest, highest = int(actions.min()), int(actions.max())
    if not NO_ACTION <= lowest <= highest < MOST_ACTIONS:
        raise GenieError(
            f"{file} holds actions from {lowest} to {highest}; they are numbers from 0 to "
            f"{MOST_ACTIONS - 1}, or {NO_ACTION} where nobody knows"
        )
    return np.split(actions.ravel().astype(np.int64), np.cumsum(lengths)[:-1])
