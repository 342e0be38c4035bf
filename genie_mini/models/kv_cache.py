"""What temporal attention keeps of earlier frames: their keys and values, one pair a block."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.models.lookback import Lookback


@dataclass
class Past:
    """Keys and values of earlier frames, one pair a block, each (batch * N, heads, frames, head width).

    `position` is the time index of the next frame: it goes on growing when old frames are dropped, which rotary
    embeddings allow, since only differences in time count. The last `room` frames of keys and values are still free.
    """

    keys: list[Tensor]
    values: list[Tensor]
    position: int = 0
    room: int = 0

    def extend(self, present: "Past", window: int) -> "Past":
        """Return a past that also holds the frames of `present`, and of all no more than the last `window`."""

        def join(old, new):
            return [torch.cat(pair, dim=2)[:, :, -window:] for pair in zip(old, new, strict=True)]

        return Past(join(self.keys, present.keys), join(self.values, present.values), present.position)

    def with_room(self, num_frames: int) -> "Past":
        """The same past with free places at its end, for passing over the same frames many times: see `join`."""

        def widen(tensors):
            return [F.pad(tensor, (0, 0, 0, num_frames)) for tensor in tensors]

        return Past(widen(self.keys), widen(self.values), self.position, num_frames)

    def of_block(self, block: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """A function that puts the keys and values of this past in front of those it is given; see `join`."""
        return partial(join, self.keys[block], self.values[block], self.room)

    @classmethod
    def empty_like(cls, other: "Past") -> "Past":
        """A past of no frames, for a video that begins."""
        return cls([key[:, :, :0] for key in other.keys], [value[:, :, :0] for value in other.values])


def join(past_key: Tensor, past_value: Tensor, room: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of one block's past, followed by those given: copied, or put where there is room for them."""
    if not room:
        return torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
    past_key[:, :, -room:] = key
    past_value[:, :, -room:] = value
    return past_key, past_value


@dataclass
class Archive:
    """What play keeps where a frame chooses its past: keys and values of the last frames, and their tokens, (batch, frames, N).

    It stands in for a `Past`, in `DynamicsModel.sample` and `remember`.
    """

    past: Past
    tokens: Tensor
    lookback: Lookback

    @property
    def chosen(self) -> Past:
        """The past of those frames alone that the next frame attends to."""
        batch, num_frames, _ = self.tokens.shape
        choice = self.lookback.choose(self.tokens, self.past.position - num_frames)
        index = choice.nonzero()[:, 1].view(batch, 1, 1, -1, 1)

        def pick(tensor):  # (batch * N, heads, frames, head width)
            by_video = tensor.unflatten(0, (batch, -1))
            return by_video.gather(3, index.expand(*by_video.shape[:3], -1, by_video.shape[4])).flatten(0, 1)

        return Past([*map(pick, self.past.keys)], [*map(pick, self.past.values)], self.past.position)

    def with_room(self, num_frames: int) -> Past:
        """See `Past.with_room`."""
        return self.chosen.with_room(num_frames)

    def extend(self, present: Past, tokens: Tensor) -> "Archive":
        """The archive with a frame more, tokens (batch, 1, N), and no more than `reach` of all."""
        reach = self.lookback.reach
        return Archive(
            self.past.extend(present, reach), torch.cat([self.tokens, tokens], dim=1)[:, -reach:], self.lookback
        )
