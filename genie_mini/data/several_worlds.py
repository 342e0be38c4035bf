"""Several worlds in one training, as the paper's platform games are: each has the same share of the
clips, however long its films are.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import shown
from genie_mini.data.cache import CachedVideos
from genie_mini.errors import GenieError


class SeveralWorlds:
    """Clips of several worlds, as alike in number as can be; see `data.videos.Source`.

    Args:
        worlds: their films, two or more, of one size.

    Attributes:
        worlds: as given.
        description: what all of them say of themselves.
        longest: frames that every world has in a row somewhere.

    Raises:
        GenieError: they are fewer, or of several sizes.
    """

    def __init__(self, worlds: Sequence[CachedVideos]):
        sizes = {world.image_size for world in worlds}
        if len(worlds) < 2 or len(sizes) > 1:
            raise GenieError(
                "several worlds are two or more whose frames have one size, got "
                f"{len(worlds)} with frames of {shown(sorted(sizes))}"
            )
        self.worlds = tuple(worlds)
        self.description = "; ".join(world.description for world in worlds)
        self.longest = min(world.longest for world in worlds)

    def divided(self, share: float) -> tuple["SeveralWorlds", "SeveralWorlds"]:
        """Two that have no frame in common: this share of each world, and what is left of it."""
        first, then = zip(*(world.divided(share) for world in self.worlds), strict=True)
        return SeveralWorlds(first), SeveralWorlds(then)

    def batch(self, num_clips: int, num_frames: int, key: list[int]) -> Tensor:
        """Cut a batch; see `Videos.batch`. The worlds take turns, in an order that the key decides:
        where they do not come out even, it says whose clip is missing.
        """
        order = np.random.default_rng(key).permutation(len(self.worlds))
        world_of = torch.from_numpy(order[np.arange(num_clips) % len(order)])
        clips = torch.empty(num_clips, num_frames, *self.worlds[0].image_size, 3)
        for number, world in enumerate(self.worlds):
            mine = world_of == number
            if mine.any():
                clips[mine] = world.batch(int(mine.sum()), num_frames, [*key, number])
        return clips
