"""A codebook that is looked up, not learnt: the most frequent patches of the films themselves
(Dedieu et al. 2025).

Where a game puts everything on whole pixels, the same few patches come back in film after film,
and a token can be the number of one. Then there is nothing to train before the dynamics model can
begin, and what stands still has the same tokens for ever. Where things stand between pixels every
place makes patches of its own, and the paper's `VideoTokenizer` is needed
(`training.patch_choice` finds out which).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_frames
from genie_mini.device import float32_weights, in_float32
from genie_mini.models.patches import unfold
from genie_mini.models.tokenizer import Tokenizer, TokenizerConfig

_ROWS = 2**12  # patches that are compared with the codebook at a time
_MIDDLE = 128  # of the levels of a colour


class PatchTokenizer(Tokenizer):
    """Tokens are the numbers of the nearest `patches`; the decoder learns what to add to them.

    Attributes:
        patches: (num_codes, patch_size^2 * 3) uint8, the codes: black until they are filled with
            those of `frequent_patches`. They are kept with the weights.
    """

    patches: Tensor

    @float32_weights()
    def __init__(self, config: TokenizerConfig):
        super().__init__(config)
        features = config.patch_size**2 * 3
        shape = (config.quantizer.num_codes, features)
        self.register_buffer("patches", torch.zeros(shape, dtype=torch.uint8))
        self._add_decoder(features)
        # So it begins by drawing the patches as they are.
        nn.init.zeros_(self.to_patch.weight)
        nn.init.zeros_(self.to_patch.bias)

    def nearest(self, frames: Tensor) -> Tensor:
        """See `Tokenizer.nearest`."""
        return nearest_patches(to_levels(frames, self.config.patch_size), self.patches)

    def base(self, tokens: Tensor) -> Tensor:
        """The patches of these numbers, in [0, 1]."""
        return self.patches[tokens].float() / 255

    def lookup(self, tokens: Tensor) -> Tensor:
        """The patches of these numbers, in [-1, 1]."""
        return 2 * self.base(tokens) - 1

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """One training pass of the decoder.

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1].

        Returns:
            `loss` (scalar) = `reconstruction` (mean squared error) x 10; also `tokens` (batch, T,
            N) and the `decoded` frames.
        """
        frames = check_frames(frames, self.config.image_size, self.decoder_position.device)
        with torch.no_grad(), in_float32(frames.device):
            tokens = self.nearest(frames)
        decoded = self._decode_all(self.lookup(tokens), tokens)
        reconstruction = F.mse_loss(decoded, frames)
        return {
            "loss": 10 * reconstruction,
            "reconstruction": reconstruction,
            "tokens": tokens,
            "decoded": decoded,
        }


def to_levels(frames: Tensor, patch_size: int) -> Tensor:
    """The patches of frames, (batch, T, height, width, 3) in [0, 1], as levels from 0 to 255:
    (batch, T, N, patch_size^2 * 3) uint8.
    """
    return (unfold(frames, patch_size) * 255).round().to(torch.uint8)


def nearest_patches(levels: Tensor, patches: Tensor) -> Tensor:
    """Number of the patch with the smallest squared distance, the first of equals: (..., features)
    uint8 -> (...) int64.

    Levels are whole numbers, so that with patches of up to 10 pixels a side each sum here is one
    that float32 holds exactly: the same patch has the same token in every batch and on every
    device.
    """
    centred = patches.float() - _MIDDLE
    squares = centred.square().sum(dim=-1)
    rows = levels.flatten(0, -2).split(_ROWS)
    found = [(2 * (row.float() - _MIDDLE) @ centred.t() - squares).argmax(dim=-1) for row in rows]
    return torch.cat(found).view(levels.shape[:-1])


def frequent_patches(levels: Tensor, most: int) -> Tensor:
    """The most frequent of some patches, the most frequent first.

    Args:
        levels: (..., features) uint8.
        most: how many are wanted.

    Returns:
        (most or fewer, features) uint8, all different.
    """
    rows = np.ascontiguousarray(levels.flatten(0, -2).numpy())
    features = rows.shape[1]
    # As one value each, which sorts a hundred times as fast as rows of numbers do.
    different, counts = np.unique(rows.view(f"V{features}"), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return torch.from_numpy(different[order].view(np.uint8).reshape(-1, features))
