"""Training in several processes ("ranks"), started by `torchrun`: who writes, what all agree on,
and how they divide the networks.

Every rank computes its clips of the same seeded batch (`genie_mini.ranks`). Weights, gradients and
the optimizer's averages are divided by torch's FSDP2 among as many ranks as `shards` says, and
groups of so many hold the same (with one shard: plain data parallelism). Files are read and written
by the first rank alone, as one process would write them, but for the parts of a divided checkpoint
(`genie_mini.training.sharded_checkpoint`). A run goes on with any number of ranks and shards.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.files import PARTS
from genie_mini.genie import Genie
from genie_mini.models.st_transformer import STTransformer
from genie_mini.ranks import num_ranks
from genie_mini.training.config import TrainingConfig
from genie_mini.training.phases import Phase

Result = TypeVar("Result")

# What a training step calls of each network beside `forward`: before it, FSDP gathers the weights.
_DOORS = {
    "tokenizer": ("encode",),
    "latent_action_model": ("settle", "infer", "encode_clips"),
    "dynamics": ("loss",),
}


class ToldElsewhere(GenieError):
    """The first rank has failed, and tells why."""


@contextmanager
def all_ranks(device: torch.device) -> Iterator[None]:
    """A context in which the processes that `torchrun` has started know each other; without
    `torchrun` there is one process.

    Raises:
        GenieError: they compute on a device over which torch cannot join processes.
    """
    if not _launched() or dist.is_initialized():
        yield
        return
    backends = {"cpu": "gloo", "cuda": "nccl"}
    if device.type not in backends:
        raise GenieError(
            f"torchrun's processes train on {' or '.join(backends)}, not on {device.type}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(backends[device.type])
    try:
        yield
    finally:
        dist.destroy_process_group()


def _launched():
    return dist.is_available() and dist.is_torchelastic_launched()


def is_first() -> bool:
    """Whether this rank writes the files and tells how it goes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return not _launched() or os.environ["RANK"] == "0"


def on_first(function: Callable[[], Result]) -> Result:
    """What a function returns on the first rank, where alone it runs; all ranks get it.

    Raises:
        ToldElsewhere: it has failed. On the first rank, what it failed with.
    """
    if num_ranks() == 1:
        return function()
    told: list[Any] = [None, None]
    if is_first():
        try:
            told = [function(), None]
        except Exception as error:
            dist.broadcast_object_list([None, str(error)])
            raise
    dist.broadcast_object_list(told)
    if told[1] is not None:
        raise ToldElsewhere(told[1])
    return told[0]


def on_all(function: Callable[[], None]) -> None:
    """Run a function on every rank; where it fails on one with a GenieError, it has failed on all.

    Raises:
        GenieError: on the first rank, what the function has failed with.
        ToldElsewhere: on the others.
    """
    if num_ranks() == 1:
        return function()
    failure = None
    try:
        function()
    except GenieError as error:
        failure = str(error)
    failures: list[Any] = [None] * num_ranks()
    dist.all_gather_object(failures, failure)
    told = next((failure for failure in failures if failure is not None), None)
    if told is not None:
        raise (GenieError if is_first() else ToldElsewhere)(told)


def greatest(number: float, device: torch.device) -> float:
    """The greatest of the numbers that the ranks have measured or wish for."""
    if num_ranks() == 1:
        return number
    values = torch.tensor(number, dtype=torch.float32, device=device)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return values.item()


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether it is true on any rank."""
    return greatest(float(flag), device) > 0


def check_shares(phases: list[Phase], config: TrainingConfig) -> None:
    """Make sure that batches and weights can be divided among the ranks.

    Raises:
        GenieError: they cannot be.
    """
    ranks = num_ranks()
    if ranks % config.shards:
        raise GenieError(
            f"networks cannot be divided into {config.shards} shards on {ranks} "
            f"process{'es' * (ranks > 1)}: start a multiple of {config.shards} with torchrun"
        )
    for phase in phases:
        counts = {phase.clips(step)[0] for step in range(phase.steps)} if ranks > 1 else set()
        uneven = sorted(count for count in counts if count % ranks)
        if uneven:
            raise GenieError(
                f"a batch of {uneven[0]} clips, in phase {phase.name}, cannot be divided among "
                f"{ranks} processes evenly: start as many as divide it"
            )


def divide(genie: Genie, shards: int) -> None:
    """Divide the weights of all networks among the ranks, in place, if there are several.

    Args:
        genie: the networks.
        shards: how many ranks hold the whole of them together.
    """
    if num_ranks() == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh  # these are slow to import
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    shape = (num_ranks() // shards, shards)
    mesh = init_device_mesh(genie.device.type, shape, mesh_dim_names=("replicate", "shard"))
    for part in PARTS:
        network = getattr(genie, part)
        for module in network.modules():
            if isinstance(module, STTransformer):
                for block in module.blocks:
                    fully_shard(block, mesh=mesh)
        # Codes move between steps, when each rank must hold its own shard of them again.
        fully_shard(network, mesh=mesh, reshard_after_forward=True)
        for door in _DOORS[part]:
            register_fsdp_forward_method(network, door)


def is_divided(genie: Genie) -> bool:
    """Whether no rank holds all of the weights."""
    weight: Any = next(genie.parameters())
    return hasattr(weight, "device_mesh") and weight.device_mesh["shard"].size() > 1


def own_state(genie: Genie) -> dict[str, Tensor]:
    """The weights of all networks, the tensors themselves: of each, every rank has what it holds
    (DTensor).
    """
    if num_ranks() == 1:
        return genie.state_dict()
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    return get_model_state_dict(genie)


def load_own_state(genie: Genie, weights: dict[str, Tensor]) -> None:
    """Fill the networks with weights of which every rank has what it holds."""
    if num_ranks() == 1:
        genie.load_state_dict(weights)
        return
    from torch.distributed.checkpoint.state_dict import set_model_state_dict

    set_model_state_dict(genie, weights)


def whole_state(genie: Genie) -> dict[str, Tensor]:
    """The weights of all networks, whole; empty on all ranks but the first."""
    if num_ranks() == 1:
        return genie.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(genie, options=options)


def load_whole_state(genie: Genie, weights: dict[str, Tensor]) -> None:
    """Fill the networks of all ranks with weights that the first one has."""
    if num_ranks() == 1:
        genie.load_state_dict(weights)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(genie, weights, options=options)


def undivided(genie: Genie) -> Genie | None:
    """A Genie with the same weights that one process can use: itself where there is one process,
    else a copy, which only the first rank gets.
    """
    if num_ranks() == 1:
        return genie
    weights = whole_state(genie)
    if not is_first():
        return None
    with torch.random.fork_rng(devices=[]):
        copy = Genie(genie.config)
    copy.load_state_dict(weights)
    return copy.to(genie.device).eval()


def whole_average(average: Any) -> Tensor:
    """One of the optimizer's averages, whole, where each rank may hold a part of it."""
    average = torch.as_tensor(average)
    return average.full_tensor().cpu() if hasattr(average, "full_tensor") else average


def divided_like(weight: Any, average: Tensor | None) -> Tensor:
    """An average of a weight, of which every rank holds the same part as of the weight.

    Args:
        weight: that it belongs to.
        average: whole; only the first rank needs to have it.
    """
    if num_ranks() == 1 and average is not None:
        return average
    from torch.distributed.tensor import distribute_tensor

    whole = torch.empty(weight.shape, device=weight.device)
    if average is not None:
        whole.copy_(average)
    return distribute_tensor(whole, weight.device_mesh, weight.placements)
