"""A batch that several processes share ("ranks", as torch calls them): what a training step must
know of the whole of it.

Each rank computes with its own rows, an equal share of the clips, and its loss is such that the
mean over the ranks is the loss of the whole batch; the gradients are averaged. Most losses are
means over clips and need nothing for that. The others (a normalisation over the batch, a sum
divided by a count, codes that move to where vectors lie) ask here. The functions that pass
gradients on expect that every rank calls them, in the same order.

Outside of `shared_batch`, and where there is one process, each gives back what it was given, to the
bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genie_mini.errors import GenieError

# Not a context variable: on a GPU torch computes the backward pass in threads of its own.
_sharing = False


@contextmanager
def shared_batch() -> Iterator[None]:
    """A context in which the ranks share a batch, if there are several."""
    global _sharing
    before, _sharing = _sharing, num_ranks() > 1
    try:
        yield
    finally:
        _sharing = before


def num_ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rows(whole: Tensor) -> Tensor:
    """Of a tensor that has a row for each clip of the whole batch, those of this rank.

    Raises:
        GenieError: they cannot be divided evenly.
    """
    if not _sharing:
        return whole
    ranks = dist.get_world_size()
    if len(whole) % ranks:
        raise GenieError(
            f"a batch of {len(whole)} clips cannot be divided among {ranks} processes evenly"
        )
    return whole.chunk(ranks)[dist.get_rank()]


def whole_batch(rows: Tensor) -> Tensor:
    """The rows of all ranks one after the other, of each equally many; gradients flow back."""
    if not _sharing:
        return rows
    rows = rows.contiguous()
    if torch.is_grad_enabled() and rows.requires_grad:
        from torch.distributed.nn.functional import all_gather  # slow to import

        return torch.cat(all_gather(rows))
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach())
    return torch.cat(parts)


def batch_mean(mean: Tensor) -> Tensor:
    """The mean over the whole batch, given that over this rank's rows; gradients flow back."""
    return whole_batch(mean[None]).mean(dim=0) if _sharing else mean


def batch_ratio(total: Tensor, count: Tensor, least: int = 0) -> Tensor:
    """A sum over the batch divided by a count, as this rank's share: the mean over the ranks is the
    quotient of the whole batch.

    Args:
        total, count: of this rank's rows. No gradient flows into the count.
        least: what to divide by where the count is less.
    """
    if _sharing:
        total, count = total * dist.get_world_size(), whole_batch(count.detach()[None]).sum()
    return total / count.clamp(min=least)


def over_batch(norm: Callable[[Tensor], Tensor], rows: Tensor, training: bool) -> Tensor:
    """What a normalisation makes of this rank's rows, its statistics being of the whole batch in
    training.
    """
    return own_rows(norm(whole_batch(rows))) if _sharing and training else norm(rows)


def uniform(*shape: int) -> Tensor:
    """Random numbers in [0, 1) on the CPU, float32, for this rank's rows: those that one process
    would draw for them.
    """
    if not _sharing:
        return torch.rand(shape, dtype=torch.float32)
    return own_rows(torch.rand(shape[0] * dist.get_world_size(), *shape[1:], dtype=torch.float32))


def uniform_where(mask: Tensor) -> Tensor:
    """As `uniform`, a number for each place of a bool tensor that is true, in their order."""
    counts = [int(count) for count in whole_batch(mask.sum()[None])]
    numbers = torch.rand(sum(counts), dtype=torch.float32)
    return numbers.split(counts)[dist.get_rank() if _sharing else 0]


def batch_metrics(metrics: dict[str, float], device: torch.device) -> dict[str, float]:
    """The means over the ranks of what each has measured."""
    if not _sharing:
        return metrics
    values = torch.tensor(list(metrics.values()), device=device)
    return dict(zip(metrics, batch_mean(values).tolist(), strict=True))


def whole_weight(weight: Any) -> Tensor:
    """A weight of which each rank may hold a part."""
    return weight.full_tensor() if hasattr(weight, "full_tensor") else weight


@torch.no_grad()
def set_rows(weight: Any, rows: int | Tensor, values: Tensor) -> None:
    """Replace rows of a weight of which each rank may hold a part; every rank has the values, and
    those of the first count.
    """
    if not hasattr(weight, "full_tensor"):
        weight[rows] = values
        return
    from torch.distributed.tensor import distribute_tensor  # slow to import

    whole = weight.full_tensor()
    whole[rows] = values
    weight.copy_(distribute_tensor(whole, weight.device_mesh, weight.placements))
