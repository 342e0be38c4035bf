"""What training asks of a source of clips."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from genie_mini.errors import GenieError


class Videos(Protocol):
    """Anything that can deal out clips."""

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Return (num_clips, num_frames, height, width, 3) float in [0, 1]; the same key, integers
        of any number, gives the same clips.
        """


@runtime_checkable
class Source(Videos, Protocol):
    """Videos that say of themselves what a run must know before it begins.

    Attributes:
        description: by which a run knows that it goes on with the same clips.
        longest: frames of the longest clip that there is; None if there is no longest.
    """

    description: str
    longest: int | None


def draw_starts(
    lengths: Sequence[int], num_clips: int, num_frames: int, key: list[int], what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Where the clips of a key begin. Longer recordings are drawn from more often.

    Args:
        lengths: frames of each recording.
        num_clips, num_frames: how many clips, and frames in each.
        key: the same one, the same clips.
        what: how the error calls a recording.

    Returns:
        Of each clip the number of its recording and the number of its first frame there, both
        (num_clips,) int64.

    Raises:
        GenieError: no recording is as long as that.
    """
    places = np.array([max(0, length - num_frames + 1) for length in lengths])
    if not places.any():
        raise GenieError(
            f"clips of {num_frames} frames are needed, but the longest {what} has "
            f"{max(lengths, default=0)}"
        )
    rng = np.random.default_rng(key)
    chosen = rng.choice(len(places), size=num_clips, p=places / places.sum())
    return chosen, rng.integers(places[chosen])
