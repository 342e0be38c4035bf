"""What training asks of a source of clips."""

from typing import Protocol

from torch import Tensor


class Videos(Protocol):
    """Anything that can deal out clips."""

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Return (num_clips, num_frames, height, width, 3) float in [0, 1]; the same key, integers
        of any number, gives the same clips.
        """
