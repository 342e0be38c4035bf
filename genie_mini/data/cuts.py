"""Where a film is cut: a new level, another camera. No clip may run across."""

import numpy as np

# A cut changes a pixel by so many of 255 on average, and so many times more than the frames around
# it do. Measured on the platformer, levels spliced in a row: cuts 11 and more, 3.6 times and more;
# play without a cut at most 9.5, 3.2 times. A false cut loses a clip or two, a missed one teaches
# that the world leaps.
_LEAST_CHANGE = 10.0
_TIMES_USUAL = 3.0
_AROUND = 8  # frames on each side


class CutFinder:
    """Looks at a film frame by frame and tells afterwards where it was cut."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._changes: list[float] = []

    def see(self, frame: np.ndarray) -> None:
        """Look at the next frame, (height, width, 3) uint8."""
        pixels = frame.astype(np.int16)
        if self._before is not None:
            self._changes.append(float(np.abs(pixels - self._before).mean()))
        self._before = pixels

    def cuts(self) -> list[int]:
        """The frames, counted from 0, at which something new begins."""
        found = []
        for index, change in enumerate(self._changes):
            near = self._changes[max(0, index - _AROUND) : index + _AROUND + 1]
            if change > max(_LEAST_CHANGE, _TIMES_USUAL * float(np.median(near))):
                found.append(index + 1)
        return found
