"""What happened that was not to be expected? All that a latent action can have said.

Where an action pushes a thing instead of moving it, two frames show how fast it is, and hardly
what was done: the news is in the difference of differences. So the encoder is also shown the frame
beside the one that the decoder expects of the past alone, without a code. The paper's is not.
"""

import torch
from torch import Tensor, nn

from genie_mini.models.matching import Matching
from genie_mini.models.patches import stem
from genie_mini.ranks import over_batch


class Surprise(nn.Module):
    """Features of each patch that show how a frame differs from the one that was expected.

    Args:
        image_size: (height, width) of a frame, pixels. patch_size: side of a patch, pixels.
        grid: (rows, columns) of patches in a frame.
        channels: features inside. width: features of what comes out.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        patch_size: int,
        grid: tuple[int, int],
        channels: int,
        width: int,
    ):
        super().__init__()
        # How large surprises are is the world's; which of them are large is news.
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.stem = stem(6, channels, patch_size, 2)
        self.matching = Matching(image_size, grid, channels)
        self.embed = nn.Linear(2 * channels, width)

    def news(self, frames: Tensor, expected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` is to see: both, (batch, T, height, width, 3), and their difference, whose
        colours are centred and scaled over the batch.
        """
        unexpected = (frames - expected).flatten(0, 1).permute(0, 3, 1, 2)
        scaled = over_batch(self.norm, unexpected, self.training)
        return frames, expected, scaled.permute(0, 2, 3, 1).unflatten(0, frames.shape[:2])

    def forward(self, frames: Tensor, expected: Tensor, unexpected: Tensor) -> Tensor:
        """Compare frames with those that were expected.

        Args:
            frames, expected, unexpected: (batch, T, height, width, 3), the first two in [0, 1]; see
                `news`.

        Returns:
            (batch, T, patches, width).
        """
        pixels, news = (x.flatten(0, 1).permute(0, 3, 1, 2) for x in (frames, unexpected))
        inputs = torch.cat([news, 2 * pixels - 1], dim=1)
        seen = self.stem(inputs.contiguous(memory_format=torch.channels_last))
        matched = self.matching(frames.flatten(0, 1), expected.flatten(0, 1))
        features = torch.cat([seen, matched], dim=1).flatten(2).transpose(1, 2)
        return self.embed(features.unflatten(0, frames.shape[:2]))
