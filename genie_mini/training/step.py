"""What a step of the optimizer is, and in which states of torch and of the networks it is taken."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genie_mini.data.videos import Videos
from genie_mini.device import choose_precision, computing_in
from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.ranks import batch_metrics, own_rows, shared_batch
from genie_mini.training.config import TrainingConfig
from genie_mini.training.phases import Phase


def make_optimizer(phase: Phase, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW for the networks of a phase; `take_step` sets its rates."""
    return torch.optim.AdamW(
        [{"params": list(part.module.parameters())} for part in phase.parts],
        lr=0.0,
        betas=config.betas,
        weight_decay=config.weight_decay,
    )


def take_step(
    phase: Phase,
    step: int,
    frames: Tensor | None,
    optimizer: torch.optim.Optimizer,
    precision: torch.dtype,
    config: TrainingConfig,
) -> dict[str, float]:
    """Learn from some clips, each network of the phase at its own rate; returns what is logged.

    Args:
        phase, step: what is learnt, and where in it.
        frames: (batch, T, height, width, 3), the clips of all processes that train together, on
            their device; this one learns from its share. None where the phase knows what it needs
            of them (`ClipReuse.knows`).
        optimizer, precision, config: how it is learnt.

    Raises:
        GenieError: the loss is no number any more.
    """
    device = next(phase.parts[0].module.parameters()).device
    with shared_batch():
        if frames is not None:
            frames = own_rows(frames)
        with computing_in(precision, device, keep_casts=config.shards == 1):
            losses, metrics, after_step = phase.losses(frames, step)
        loss = sum(losses[1:], losses[0])
        metrics = batch_metrics({"loss": loss.item(), **metrics}, device)
        if not math.isfinite(metrics["loss"]):
            raise GenieError(
                f"at step {step + 1} of {phase.name} the loss is {metrics['loss']}: the run cannot "
                "go on with these clips and learning rates"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for part, group in zip(phase.parts, optimizer.param_groups, strict=True):
            group["lr"] = part.lr_at(step, config.warmup_steps)
            nn.utils.clip_grad_norm_(part.module.parameters(), config.max_grad_norm)
        optimizer.step()
        after_step()
    return metrics


def take_all_steps(phase: Phase, videos: Videos, config: TrainingConfig) -> None:
    """Learn a whole phase in memory, for a study: nothing is logged, saved or shown.

    Args:
        phase: what is learnt, from its first step to its last.
        videos: where its clips come from; which ones follows from the seed.
        config: how it is learnt.
    """
    device = next(phase.parts[0].module.parameters()).device
    optimizer = make_optimizer(phase, config)
    precision = choose_precision(config.precision, device)
    with repeatable(device):
        for step in range(phase.steps):
            known = phase.reuse.knows(step)
            frames = None if known else videos.batch(*phase.wish([config.seed, 1], step))
            take_step(phase, step, frames, optimizer, precision, config)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Make torch compute the same numbers every time: otherwise several threads add up a codebook's
    gradient in any order.

    On a GPU some operations know no such way; torch warns of them there.
    """
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    # New memory is not filled with NaN first: nothing reads it before it is written.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled


@contextmanager
def left_as_it_was(genie: Genie) -> Iterator[None]:
    """A context that leaves no trace in the modes of the networks (training or evaluation) and in
    torch's generator on the CPU.

    Those of other devices are seeded anew at every step, as it is.
    """
    modes = {module: module.training for module in genie.modules()}
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
