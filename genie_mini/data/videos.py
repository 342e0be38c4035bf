"""What training asks of a source of clips."""

from typing import Protocol, runtime_checkable

from torch import Tensor


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
