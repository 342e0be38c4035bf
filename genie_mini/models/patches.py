"""Cutting frames into square patches, putting them together again, and checking what comes in."""

from torch import Tensor

from genie_mini.errors import GenieError


def check_frames(frames: Tensor, image_size: tuple[int, int]) -> None:
    """Raise a ValueError unless frames are (batch, time, height, width, 3) floats of this image
    size.
    """
    expected = f"(batch, time, {image_size[0]}, {image_size[1]}, 3) floats in [0, 1]"
    if frames.ndim != 5 or tuple(frames.shape[2:]) != (*image_size, 3) or not frames.numel():
        raise GenieError(f"frames must be {expected}, got shape {tuple(frames.shape)}")
    if not frames.is_floating_point():
        raise GenieError(
            f"frames must be {expected}, got {frames.dtype}; divide bytes by 255 first"
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
