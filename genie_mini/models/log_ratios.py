"""What the latent action model learns by: how well each transition is drawn, in a measure in which
small and large movements weigh alike.
"""

from torch import Tensor

from genie_mini.ranks import batch_mean

# Mean squared change of frames that stand still, but for what rounding to 8 bits does.
_LEAST_CHANGE = 1e-6


def log_ratios(predicted: Tensor, frames: Tensor, still: float) -> Tensor:
    """How badly each transition is drawn: the logarithm of its squared error, less that of
    repeating the frame before. As in PSNR, a jump, which moves one figure, weighs as much as a
    step, which moves the whole screen.

    Args:
        predicted: (batch, T - 1, height, width, 3), the frames after the first as they are drawn.
        frames: (batch, T, height, width, 3).
        still: share of the clips' mean squared change; what changes less counts less.

    Returns:
        (batch, T - 1).
    """
    error = (predicted - frames[:, 1:]).square().mean(dim=(2, 3, 4))
    change = (frames[:, 1:] - frames[:, :-1]).square().mean(dim=(2, 3, 4))
    floor = still * batch_mean(change.mean()).clamp(min=_LEAST_CHANGE)
    return ((error + floor) / (change + floor)).log()
