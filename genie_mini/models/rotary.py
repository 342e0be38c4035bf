"""Rotary embeddings (RoPE): pairs of features turn with the position, so that a query and
a key are compared by how far apart they are.
"""

import torch
from torch import Tensor


def rotary_angles(positions: Tensor, num_angles: int, longest: float) -> Tensor:
    """Angles of the rotary embedding (RoPE): (positions, num_angles), wavelengths from 2 pi to 2 pi
    * longest.
    """
    exponents = torch.arange(num_angles, dtype=torch.float32, device=positions.device)
    exponents = exponents / max(1, num_angles - 1)
    return positions[:, None].float() * longest ** -exponents[None]


def rotation(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine for `rotate`, each (positions, head width), of angles (positions, head width
    / 2).
    """
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], dim=-1), torch.cat([-sine, sine], dim=-1)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs of features i and i + head width / 2 of x (..., positions, head width) by
    their angles (`rotation`).
    """
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * cosine, torch.cat([second, first], dim=-1), sine)
