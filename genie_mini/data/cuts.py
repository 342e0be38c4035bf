"""Where a film is cut: a new level, another camera. No clip may run across."""

import numpy as np

# A cut brings what no scroll explains: so much of 255 on average, whichever way the frame before is
# shifted, and so many times more than the frames around it. Measured, the first and the last of a
# hundred, levels in a row: in the platformer cuts bring 5 to 131, play without a cut at most 10; in
# CoinRun, whose picture scrolls with the player and changes by up to 27, 10 to 91 and at most 10.
# Of 199 cuts between levels of the platformer, 64 pixels, 174 are found, and no false one; by the
# change alone 181, and 24 false ones. A false cut loses a clip or two, and all that moves fast; a
# missed one teaches that the world leaps.
_LEAST_NEWS = 10.0
_TIMES_USUAL = 3.0
_AROUND = 8  # frames on each side
_SIDE = 16  # pixels of the shorter side of what is shifted: many small shifts in one
_FARTHEST = 4  # of them, in each direction


class CutFinder:
    """Looks at a film frame by frame and tells afterwards where it was cut."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._news: list[float] = []

    def see(self, frame: np.ndarray) -> None:
        """Look at the next frame, (height, width, 3) uint8."""
        pixels = frame.astype(np.int16)
        if self._before is not None:
            news = float(np.abs(pixels - self._before).mean())
            if news > _LEAST_NEWS:  # else it is no cut, and need not be looked at closely
                news = min(news, _after_a_shift(_shrunk(self._before), _shrunk(pixels)))
            self._news.append(news)
        self._before = pixels

    def cuts(self) -> list[int]:
        """The frames, counted from 0, at which something new begins."""
        found = []
        for index, news in enumerate(self._news):
            near = self._news[max(0, index - _AROUND) : index + _AROUND + 1]
            if news > max(_LEAST_NEWS, _TIMES_USUAL * float(np.median(near))):
                found.append(index + 1)
        return found


def _shrunk(pixels):
    """The means of squares, about `_SIDE` along the shorter side."""
    square = max(1, min(pixels.shape[:2]) // _SIDE)
    rows, columns = pixels.shape[0] // square, pixels.shape[1] // square
    whole = pixels[: rows * square, : columns * square].astype(np.float32)
    return whole.reshape(rows, square, columns, square, 3).mean(axis=(1, 3))


def _after_a_shift(before, now):
    """How much a frame changes where it overlaps the one before, shifted so that it fits best."""
    height, width = now.shape[:2]
    far_down, far_right = min(_FARTHEST, height - 1), min(_FARTHEST, width - 1)
    return min(
        float(np.abs(_overlap(before, down, right) - _overlap(now, -down, -right)).mean())
        for down in range(-far_down, far_down + 1)
        for right in range(-far_right, far_right + 1)
    )


def _overlap(picture, down, right):
    """What is left of a picture that is shifted out of its frame."""
    height, width = picture.shape[:2]
    rows = slice(max(0, down), height + min(0, down))
    return picture[rows, max(0, right) : width + min(0, right)]
