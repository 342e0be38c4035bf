"""What temporal attention keeps of earlier frames: their keys and values, one pair a block."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.models.lookback import Lookback


@dataclass
class KVCache:
    """Keys and values of earlier frames, one pair a block, each (batch * N, heads, frames, head
    width).

    `position` is the time index of the next frame: it goes on growing when old frames are dropped,
    which rotary embeddings allow, since only differences in time count. The last `free` frames of
    keys and values are not filled yet.
    """

    keys: list[Tensor]
    values: list[Tensor]
    position: int = 0
    free: int = 0

    @property
    def ages(self) -> list[int]:
        """How long ago each frame in it was, the oldest first; the frame before the next one has
        the age 1.
        """
        return list(range(self.keys[0].shape[2] - self.free, 0, -1))

    def append(self, present: "KVCache", window: int) -> "KVCache":
        """Return a cache that also holds the frames of `present`, and of all no more than the last
        `window`.
        """

        def joined(old, new):
            return [torch.cat(pair, dim=2) for pair in zip(old, new, strict=True)]

        keys, values = joined(self.keys, present.keys), joined(self.values, present.values)
        return KVCache(keys, values, present.position).last(window)

    def last(self, window: int) -> "KVCache":
        """The cache of the last `window` frames alone, none of them if it is 0."""

        def kept(tensors):
            # counted from the front, since -0 would keep them all
            return [tensor[:, :, max(0, tensor.shape[2] - window) :] for tensor in tensors]

        return KVCache(kept(self.keys), kept(self.values), self.position)

    def preallocate(self, num_frames: int) -> "KVCache":
        """The same cache with free places at its end, for passing over the same frames many times:
        see `join`.
        """

        def widen(tensors):
            return [F.pad(tensor, (0, 0, 0, num_frames)) for tensor in tensors]

        return KVCache(widen(self.keys), widen(self.values), self.position, num_frames)

    def layer(self, index: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """A function that puts one block's cached keys and values in front of those it is given;
        see `join`.
        """
        return partial(join, self.keys[index], self.values[index], self.free)

    @classmethod
    def empty_like(cls, other: "KVCache") -> "KVCache":
        """A cache of no frames, for a video that begins."""
        return cls(
            [key[:, :, :0] for key in other.keys], [value[:, :, :0] for value in other.values]
        )


def check_cache(cache: Any, num_blocks: int, wanted: tuple) -> None:
    """Raise a GenieError unless it is a `KVCache` of so many blocks, whose keys and values are
    (videos times tokens, heads, head width, device) as `wanted` says.
    """
    if not isinstance(cache, KVCache) or len(cache.keys) != num_blocks:
        raise GenieError(f"a KVCache of this network is needed, got {type(cache).__name__}")
    for kept in (*cache.keys, *cache.values):
        found = (kept.shape[0], kept.shape[1], kept.shape[3], kept.device)
        if found != wanted:
            raise GenieError(
                "the cache belongs to another network, or to another number of videos: (videos "
                f"times tokens, heads, head width, device) are {found}, {wanted} are needed"
            )


def join(
    cached_key: Tensor, cached_value: Tensor, free: int, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys and values of one block's cache, followed by those given: copied, or put where places
    are free for them.
    """
    if not free:
        return torch.cat([cached_key, key], dim=2), torch.cat([cached_value, value], dim=2)
    cached_key[:, :, -free:] = key
    cached_value[:, :, -free:] = value
    return cached_key, cached_value


@dataclass
class Archive:
    """What play keeps where a frame chooses its past: keys and values of the last frames, and their
    tokens, (batch, frames, N).

    It stands in for a `KVCache`, in `DynamicsModel.sample` and `append`.
    """

    cache: KVCache
    tokens: Tensor
    lookback: Lookback

    @cached_property
    def _choice(self) -> Tensor:
        """The places of those frames that the next frame attends to, (batch, frames) int64."""
        batch, num_frames, _ = self.tokens.shape
        choice = self.lookback.choose(self.tokens, self.cache.position - num_frames)
        return choice.nonzero()[:, 1].view(batch, -1)

    @property
    def ages(self) -> list[int]:
        """See `KVCache.ages`; in the first video."""
        return (self.tokens.shape[1] - self._choice[0]).cpu().tolist()

    @cached_property
    def chosen(self) -> KVCache:
        """The cache of those frames alone that the next frame attends to."""
        batch = len(self.tokens)
        index = self._choice[:, None, None, :, None]

        def pick(tensor):  # (batch * N, heads, frames, head width)
            by_video = tensor.unflatten(0, (batch, -1))
            return by_video.gather(
                3, index.expand(*by_video.shape[:3], -1, by_video.shape[4])
            ).flatten(0, 1)

        return KVCache(
            [*map(pick, self.cache.keys)], [*map(pick, self.cache.values)], self.cache.position
        )

    def preallocate(self, num_frames: int) -> KVCache:
        """See `KVCache.preallocate`."""
        return self.chosen.preallocate(num_frames)

    def append(self, present: KVCache, tokens: Tensor) -> "Archive":
        """The archive with a frame more, tokens (batch, 1, N), and no more than `reach` of all."""
        reach = self.lookback.reach
        cache = self.cache.append(present, reach)
        kept = torch.cat([self.tokens, tokens], dim=1)
        return Archive(cache, kept[:, max(0, kept.shape[1] - reach) :], self.lookback)
