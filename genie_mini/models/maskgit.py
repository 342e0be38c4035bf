"""MaskGIT (Chang et al. 2022): a frame's tokens, all masked at first, are predicted over a few steps, the surest first."""

import torch
from torch import Tensor


def still_hidden(num_tokens: int, step: int, num_steps: int) -> int:
    """How many of a frame's tokens stay hidden after round `step` (from 0) of `num_steps`: N (1 - (step + 1) / num_steps)^2.

    At least one token is shown a round and one is left for each round to come. (MaskGIT keeps few tokens first and many
    last, along a cosine; the paper names no schedule. Here the last ones are those that decide, and drawn together they gave half players.)
    """
    left = num_steps - step - 1
    return max(num_tokens * left**2 // num_steps**2, left)


def draw(logits: Tensor, temperature: float, generator=None) -> Tensor:
    """Draw one token from each distribution: (..., num_codes) -> (...) int64.

    The tokens share out the line from 0 to 1 by their probabilities; one random point on it falls to one of them.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    ends = (logits / temperature).softmax(dim=-1).cumsum(dim=-1)
    points = torch.rand(*logits.shape[:-1], 1, generator=generator, device=logits.device) * ends[..., -1:]
    return torch.searchsorted(ends, points, right=True)[..., 0].clamp(max=logits.shape[-1] - 1)
