"""Where did each part of a frame come from, and where does it go? Neither knows a game: as in
optical flow, a square neighbourhood is compared at several scales, and kernels that are learnt move
the picture.

Lengths are counted in cells, about a 32nd of the picture's side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.device import in_float32

CELLS = 32  # in the picture's side
SCALES = 3  # at which frames are compared; the cells of each are twice as long as of the one before
RADIUS = 3  # of the neighbourhood, in cells of its scale: up to twelve 32nds of the side
REACH = 8  # how far a kernel moves a patch, each way, in cells
# For each scale two logarithms of how much a misfit (mean squared difference) counts, to begin
# with; they are learnt.
_SHARPNESS = (6.0, 8.0)
# Frames that a CPU compares at a time: what they need lies in its cache, which is twice as fast.
_AT_ONCE = 16
_LIKE_A_PIXEL = 4.0  # shares of many displacements are small; this brings them near the pixels


def cell_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a cell in a picture of (height, width) pixels, pixels."""
    height, width = (max(1, round(side / CELLS)) for side in image_size)
    return height, width


class Matching(nn.Module):
    """How well each place of a frame fits each place around it in the frame before, at several
    scales.

    Args:
        image_size: (height, width) of a frame, pixels.
        grid: (rows, columns) of what comes out.
        channels: features of what comes out.
    """

    def __init__(self, image_size: tuple[int, int], grid: tuple[int, int], channels: int):
        super().__init__()
        self.cell_size, self.grid = cell_size(image_size), grid
        self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS).repeat(SCALES, 1))
        shares = SCALES * len(_SHARPNESS) * (2 * RADIUS + 1) ** 2
        self.embed = nn.Conv2d(shares, channels, 1)
        # Blocks overlap by half, so that a thing is seen wherever it falls on the grid.
        self.join = nn.Sequential(
            nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.MaxPool2d(2)
        )

    @torch.no_grad()
    def costs(self, frames: Tensor, before: Tensor) -> Tensor:
        """Mean squared difference of blocks of two frames, (n, height, width, 3) each: (n, SCALES,
        displacements, 2 * rows, 2 * columns). Displacements are the square's, row by row; with the
        first the picture moves RADIUS cells down and RADIUS to the right.
        """
        if frames.device.type != "cpu" or torch.compiler.is_compiling():
            return self._costs_at_once(frames, before)
        parts = zip(frames.split(_AT_ONCE), before.split(_AT_ONCE), strict=True)
        return torch.cat([self._costs_at_once(*part) for part in parts])

    def _costs_at_once(self, frames: Tensor, before: Tensor) -> Tensor:
        """`costs`, of all frames together."""
        now, last = (x.permute(0, 3, 1, 2).contiguous() for x in (frames, before))
        now, last = (F.avg_pool2d(x, self.cell_size, ceil_mode=True) for x in (now, last))
        places, costs = (2 * self.grid[0], 2 * self.grid[1]), []
        for scale in range(SCALES):
            if scale:
                now, last = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (now, last))
            height, width = now.shape[2:]
            around = F.pad(last, (RADIUS,) * 4, mode="replicate")
            # (n, 3, displacements down, to the right, height, width), without a copy
            around = around.unfold(2, height, 1).unfold(3, width, 1)
            # a colour at a time, which is twice as fast
            misfits, *others = (
                (now[:, color, None, None] - around[:, color]).square_() for color in range(3)
            )
            for other in others:
                misfits += other
            blocks = F.avg_pool2d(misfits.flatten(1, 2) / 3, 3, 1, 1, count_include_pad=False)
            costs.append(F.adaptive_avg_pool2d(blocks, places))
        return torch.stack(costs, dim=1)

    def forward(self, frames: Tensor, before: Tensor) -> Tensor:
        """Compare frames with those before them.

        Args:
            frames, before: (n, height, width, 3) float in [0, 1].

        Returns:
            (n, channels, rows, columns).
        """
        costs = self.costs(frames, before)
        # Like a soft choice of where each place came from: only differences of misfits count.
        shares = [
            (-sharpness[:, None, None, None] * costs).softmax(dim=2).flatten(1, 2)
            for sharpness in self.sharpness.exp().unbind(1)
        ]
        return self.join(self.embed(_LIKE_A_PIXEL * torch.cat(shares, dim=1)))


class KernelWarp(nn.Module):
    """Moves each patch of a frame by a kernel along the rows and one along the columns, as its
    features say.

    Args:
        width: features of a patch.
        image_size: (height, width) of a frame, pixels.
        patch_size: side of a patch, pixels.
    """

    bands_0: Tensor
    bands_1: Tensor

    def __init__(self, width: int, image_size: tuple[int, int], patch_size: int):
        super().__init__()
        self.patch_size = patch_size
        self.to_kernels = nn.Linear(width, 2 * (2 * REACH + 1))
        nn.init.zeros_(self.to_kernels.weight)  # the first guess is that nothing moves
        nn.init.zeros_(self.to_kernels.bias)
        self.to_kernels.bias.data[[REACH, 3 * REACH + 1]] = 4.0
        for axis, size in enumerate(cell_size(image_size)):
            # where each weight of a kernel stands in the matrix that moves a patch along this axis
            weight, to = torch.meshgrid(
                torch.arange(2 * REACH + 1), torch.arange(patch_size), indexing="ij"
            )
            places = torch.arange(patch_size + 2 * REACH * size)
            bands = ((to + weight * size)[..., None] == places).float()
            self.register_buffer(f"bands_{axis}", bands, persistent=False)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Move the patches.

        Args:
            x: (n, patches, width), their features.
            frames: (n, height, width, 3).

        Returns:
            (n, patches, patch_size * patch_size * 3), as `patches.unfold` has them.
        """
        size = self.patch_size
        rows, columns = self.to_kernels(x).float().unflatten(-1, (2, -1)).softmax(-1).unbind(-2)
        tall, wide = (bands.shape[-1] for bands in (self.bands_0, self.bands_1))
        down, right = ((length - size) // 2 for length in (tall, wide))
        pixels = F.pad(frames.permute(0, 3, 1, 2), (right, right, down, down), mode="replicate")
        around = pixels.unfold(2, tall, size).unfold(3, wide, size).permute(0, 2, 3, 4, 1, 5)
        around = around.flatten(1, 2)  # (n, patches, rows, 3, columns)
        with in_float32(x.device):  # pixels, not features
            to_rows = (rows @ self.bands_0.flatten(1)).unflatten(-1, (size, tall))
            to_columns = (columns @ self.bands_1.flatten(1)).unflatten(-1, (size, wide))
            moved = to_rows @ around.flatten(3)  # (n, patches, size, 3 * columns)
            moved = moved.unflatten(-1, (3, wide)) @ to_columns[:, :, None].transpose(-1, -2)
        return moved.transpose(-1, -2).flatten(2)
