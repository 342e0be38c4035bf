"""Pictures of what a run has learnt so far, by which one sees whether it is worth waiting."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from genie_mini.files import write_atomic
from genie_mini.genie import Genie
from genie_mini.training.step import left_as_it_was

PREVIEW = "preview.png"
DrawPreview = Callable[[Genie, frozenset[str]], bytes]
"""From a Genie and the names of its parts that have learnt already (of `files.PARTS`), a PNG."""

_TRAINED_PER_PREVIEW = 50  # times as long as a preview takes is trained before the next one


class Previews:
    """Draws into `PREVIEW` in the folder of a run, now and then. Nothing of the run changes by it.

    Args:
        draw: what is drawn; None for nothing.
        folder: of the run.
        seconds: at least so long there is between two previews; and a fiftieth of the time is the
            most that they take.
    """

    def __init__(self, draw: DrawPreview | None, folder: Path, seconds: float):
        self._draw, self._path, self._seconds = draw, folder / PREVIEW, seconds
        self._due = time.monotonic() + seconds

    @property
    def due(self) -> bool:
        """Whether it is time for one."""
        return self._draw is not None and time.monotonic() > self._due

    def draw(self, genie: Genie, learnt: frozenset[str]) -> None:
        """Draw one, whole or not at all, in place of the last."""
        if self._draw is None:
            return
        began = time.monotonic()
        with torch.compiler.set_stance("force_eager"), left_as_it_was(genie):
            genie.eval()  # or the statistics that play normalises with would learn from it
            picture = self._draw(genie, learnt)
        write_atomic(self._path, picture)
        took = time.monotonic() - began
        self._due = began + took + max(self._seconds, _TRAINED_PER_PREVIEW * took)
