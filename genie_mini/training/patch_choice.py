"""Whether the tokens of a world can be patches that are looked up, or must be learnt: found out by
looking at its films.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genie_mini.data.videos import Videos
from genie_mini.genie import Genie
from genie_mini.models.patch_tokenizer import (
    PatchTokenizer,
    frequent_patches,
    nearest_patches,
    to_levels,
)
from genie_mini.training.config import PATCH_SHARES, TrainingConfig

# What a dynamics model of the smaller presets tells apart at no great cost.
MOST_PATCHES = 2**11
# Two frames are enough to see what changes, and then there are most places.
_FRAMES, _PER_BATCH = 2, 64
_COUNTED, _CHECKED = 2048, 512  # clips
_KEYS = (2**20, 2**20 + 1)  # no run has as many phases, from whose numbers its clips follow


@dataclass(frozen=True)
class PatchView:
    """What a codebook of patches keeps of films that it was not counted on.

    Attributes:
        changed: share of the patches which changed since the frame before that are a code, exactly.
        exact: the same of all patches.
        psnr: of pictures that are put together from codes, dB.
    """

    changed: float
    exact: float
    psnr: float

    @property
    def fits(self) -> bool:
        """Whether patches will do, which is where what changes is more often a code than not.

        What stands still says nothing, since any codebook that is large enough holds it. Where
        things move by whole pixels, what changes looks like something that was seen elsewhere
        (0.94 of it in the platformer, 0.88 in Ms. Pac-Man, 0.99 in Pong, at 32 pixels); where they
        stand between pixels, all of it is new (0.00 in a world of inertia).
        """
        return self.changed > 0.5

    def __str__(self) -> str:
        return (
            f"of what changes in other clips {self.changed:.1%} are codes exactly, of all "
            f"{self.exact:.1%}, {self.psnr:.1f} dB"
        )


def count_patches(videos: Videos, patch_size: int, seed: int) -> Tensor:
    """The most frequent patches of some clips; see `frequent_patches`."""
    levels = _levels(videos, patch_size, _COUNTED, [seed, _KEYS[0]])
    return frequent_patches(levels, MOST_PATCHES)


def view_patches(patches: Tensor, others: Videos, patch_size: int, seed: int) -> PatchView:
    """Look at other videos through the patches that were counted in some.

    Args:
        patches: from `count_patches`.
        others: with no frame of the counted ones, none of them held out for evaluation.
        patch_size: side of a patch, pixels.
        seed: of the clips.
    """
    levels = _levels(others, patch_size, _CHECKED, [seed, _KEYS[1]])
    drawn = patches[nearest_patches(levels, patches)]
    exact = (drawn == levels).all(dim=-1)
    changed = (levels[:, 1:] != levels[:, :-1]).any(dim=-1)
    error = (drawn.float() - levels.float()).div(255).square().mean().clamp(min=1e-12)
    return PatchView(
        changed=(exact[:, 1:] & changed).sum().item() / max(1, int(changed.sum())),
        exact=exact.float().mean().item(),
        psnr=-10 * error.log10().item(),
    )


def _levels(videos, patch_size, num_clips, key):
    """The patches of clips, (clips, frames, N, features) uint8."""
    return torch.cat(
        [
            to_levels(videos.batch(_PER_BATCH, _FRAMES, [*key, number]), patch_size)
            for number in range(num_clips // _PER_BATCH)
        ]
    )


def with_patches(
    genie: Genie, config: TrainingConfig, num_codes: int
) -> tuple[Genie, TrainingConfig]:
    """An untrained Genie of the same sizes whose tokens are so many patches, black ones as yet,
    and how it shares out its minutes.
    """
    torch.manual_seed(config.seed)
    fresh = Genie(genie.config.with_patches(num_codes)).eval()
    return fresh, replace(config, shares=PATCH_SHARES)


def choose_patches(
    genie: Genie,
    config: TrainingConfig,
    patches: Tensor,
) -> tuple[Genie, TrainingConfig]:
    """As `with_patches`, with patches that were counted (`count_patches`)."""
    genie, config = with_patches(genie, config, len(patches))
    if isinstance(genie.tokenizer, PatchTokenizer):
        genie.tokenizer.patches.copy_(patches)
    return genie, config
