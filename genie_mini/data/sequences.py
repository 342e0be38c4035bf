"""Films that lie in a folder frame by frame: pictures with numbers, as ffmpeg, emulators and screen
recorders write them. They are taken to be ten a second.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genie_mini.data.films import PICTURE_ENDINGS
from genie_mini.data.pictures import (
    Canvas,
    check_not_empty,
    count_pictures,
    moving_pictures,
    open_picture,
)
from genie_mini.errors import GenieError

_STILL = set(PICTURE_ENDINGS) - {".gif", ".apng"}  # some of them may move, which is looked up
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


def find_sequences(files: Sequence[Path]) -> dict[Path, list[Path]]:
    """Pictures that differ in the number at the end of their names alone, in the order of their
    numbers, by the first of them.

    Two or more make a sequence. Where the first one moves, each is taken for a film of its own and
    none is found.
    """
    alike: dict[tuple[Path, str, str], list[tuple[int, Path]]] = {}
    for file in files:
        numbered = _NUMBERED.fullmatch(file.stem)
        if numbered and file.suffix.lower() in _STILL:
            name, number = numbered.groups()
            key = file.parent, name, file.suffix.lower()
            alike.setdefault(key, []).append((int(number), file))
    ordered = ([file for _, file in sorted(found)] for found in alike.values() if len(found) > 1)
    return {sequence[0]: sequence for sequence in ordered if not _moves(sequence[0])}


def _moves(file):
    try:
        with _opened(file) as picture:
            return count_pictures(picture) > 1
    except GenieError:  # reading it will say so
        return False


def _opened(file):
    check_not_empty(file)
    return open_picture(file)


def read_sequence(
    sequence: Sequence[Path], skipped: dict[Path, str], canvas: Canvas
) -> list[np.ndarray]:
    """One recording, (frames, height, width, 3) uint8. Pictures that cannot be read are left out
    and added to `skipped`.

    Raises:
        GenieError: none can be read. The message goes on from the first file's name.
    """
    frames = []
    for file in sequence:
        try:
            with _opened(file) as picture:
                shown, _ = next(moving_pictures(picture))
            frames.append(canvas.draw(shown))
        except GenieError as error:
            skipped[file] = str(error)
    if not frames:
        raise GenieError(skipped[sequence[0]])
    return [np.stack(frames)]
