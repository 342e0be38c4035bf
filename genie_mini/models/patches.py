"""Cutting frames into square patches, putting them together again, and looking at them in
overlapping windows.
"""

from torch import Tensor, nn

from genie_mini.errors import GenieError

MOST_TOKENS = 2**14  # of a frame; the paper's have 920


def check_grid(image_size: tuple[int, int], patch_size: int) -> None:
    """Raise a GenieError unless a picture of this size, (height, width) in pixels, can be cut into
    patches, and not into too many.
    """
    if any(side % patch_size for side in image_size):
        raise GenieError(
            f"image_size {image_size} is not a multiple of patch_size {patch_size} on both sides"
        )
    num_tokens = image_size[0] * image_size[1] // patch_size**2
    if num_tokens > MOST_TOKENS:
        raise GenieError(
            f"pictures of {image_size} pixels in patches of {patch_size} have {num_tokens} tokens, "
            f"and at most {MOST_TOKENS} are accepted"
        )


def unfold(frames: Tensor, patch_size: int) -> Tensor:
    """(batch, T, height, width, 3) -> (batch, T, N, patch_size^2 * 3), patches in reading order."""
    batch, time, height, width, channels = frames.shape
    rows, columns = height // patch_size, width // patch_size
    patches = frames.reshape(batch, time, rows, patch_size, columns, patch_size, channels)
    return patches.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, time, rows * columns, -1)


def fold(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `unfold`: (batch, T, N, patch_size^2 * 3) -> (batch, T, height, width, 3)."""
    batch, time = patches.shape[:2]
    rows, columns = grid
    patches = patches.reshape(batch, time, rows, columns, patch_size, patch_size, 3)
    return patches.permute(0, 1, 2, 4, 3, 5, 6).reshape(
        batch, time, rows * patch_size, columns * patch_size, 3
    )


def stem(num_inputs: int, channels: int, patch_size: int, num_convolutions: int) -> nn.Sequential:
    """Convolutions in front of patches, (n, num_inputs, height, width) -> (n, channels, rows,
    columns): overlapping windows see a movement wherever it falls on the grid.
    """
    layers = [nn.Conv2d(num_inputs, channels, 5, stride=2, padding=2), nn.GELU()]
    for _ in range(num_convolutions - 1):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.GELU()]
    return nn.Sequential(*layers, nn.MaxPool2d(patch_size // 2))
