"""Training in less memory: what a network needs for its backward pass is computed again there, not
kept.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def recomputed(function: Callable[..., Result], *inputs: Any, **more: Any) -> Result:
    """What a function returns, its inner results being dropped and computed again in the backward
    pass (activation checkpointing, Chen et al. 2016).

    The function must draw nothing at random.
    """
    if not torch.is_grad_enabled():
        return function(*inputs, **more)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False, **more)


def in_parts(function: Callable[..., Tensor], num_parts: int, *inputs: Tensor) -> Tensor:
    """What a function makes of a batch, computed for some of its clips at a time.

    Only the results of a part are kept. The backward pass computes one part after the other again,
    and their gradients add up (gradient accumulation). So memory is needed for one part, and what
    comes between two such functions may look at the whole batch, as a normalisation does.

    Args:
        function: computes each clip for itself; no draws at random.
        num_parts: how many parts, at most; 1 computes all at once and keeps everything.
        inputs: each with a row a clip.

    Returns:
        The results of the parts, joined along their first axis.
    """
    if num_parts == 1:
        return function(*inputs)
    parts = zip(*(tensor.chunk(num_parts) for tensor in inputs), strict=True)
    return torch.cat([recomputed(function, *part) for part in parts])
