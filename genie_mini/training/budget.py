"""Minutes instead of steps: a few steps of each network are timed on this machine, and the time is
shared out.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import cast

import torch
from tqdm.auto import tqdm

from genie_mini.data.videos import Videos
from genie_mini.device import choose_precision, clip_workers
from genie_mini.genie import Genie
from genie_mini.training.config import MOST, TrainingConfig
from genie_mini.training.distributed import greatest, is_first
from genie_mini.training.phases import Phase, build_phases
from genie_mini.training.request import Request
from genie_mini.training.step import left_as_it_was, make_optimizer, repeatable, take_step

_NETWORKS = ("tokenizer", "latent action model", "dynamics model")  # in the order of the shares
# The timed steps lie evenly in a schedule of so many of each network: short clips and long ones,
# and steps before and after a restart, are among them nearly as often as in the training.
_TRIAL = 1000
_PLACES = (125, 375, 625, 875)
# At least so many rounds of them, and so many seconds, after a first round that does not count.
_ROUNDS, _SECONDS = 3, 1.0


def decide_steps(
    request: Request, genie: Genie, videos: Videos, config: TrainingConfig, *, progress: bool
) -> Request:
    """Turn the last minutes of a request into steps of each network.

    The networks learn one after the other, each for its share of the time, so that no dynamics
    model is taught by latent actions that still change. What the measurement takes is part of the
    minutes.

    Args:
        request: an undecided one.
        genie, videos, config: of the training. Not the steps of the config count but its shares.
            The Genie is left as it was.
        progress: say what was decided.

    Returns:
        The same request with lengths. A network that has a share learns for one step at least.
    """
    began = time.monotonic()
    shares = astuple(config.shares)
    trial = _lengths([_TRIAL if share else 0 for share in shares])
    seconds = time_steps(genie, videos, request.decided(trial).legs(genie, config)[-1])
    minutes = cast(list[float], request.leg_minutes)[-1]
    left = 60 * minutes - greatest(time.monotonic() - began, genie.device)
    steps = [
        min(MOST, max(1, round(share * left / one))) if share else 0
        for share, one in zip(shares, seconds, strict=True)
    ]
    if progress and is_first():
        told = ", ".join(
            f"{count} steps of the {network} at {one:.2g} s"
            for count, network, one in zip(steps, _NETWORKS, seconds, strict=True)
            if count
        )
        tqdm.write(f"{minutes:g} minutes are {told}", file=sys.stderr)
    return request.decided(_lengths(steps))


def _lengths(steps: Sequence[int]) -> tuple[int, ...]:
    """Steps of the three networks as `request.LENGTHS` has them."""
    tokenizer, latent_actions, dynamics = steps
    return tokenizer, latent_actions, latent_actions, dynamics


def time_steps(genie: Genie, videos: Videos, config: TrainingConfig) -> list[float]:
    """Seconds that a step of the tokenizer, of the latent action model and of the dynamics model
    takes, with what it waits for its clips, on average over their schedules; 0 for one that has no
    steps.

    The Genie is left as it was.
    """
    # At rates of zero the networks stay what they are, but for statistics and codes that move.
    still = replace(config, tokenizer_lr=0.0, latent_action_lr=0.0, dynamics_lr=0.0)
    tokenizer, world = build_phases(genie, videos, still)
    starts = (
        (tokenizer, 0, config.tokenizer_steps),
        (world, 0, config.latent_action_steps),
        (world, config.latent_action_steps, config.dynamics_steps),
    )
    weights = {name: tensor.clone() for name, tensor in genie.state_dict().items()}
    try:
        with left_as_it_was(genie), repeatable(genie.device):
            return [
                _time_step(genie, videos, still, phase, start) if steps else 0.0
                for phase, start, steps in starts
            ]
    finally:
        genie.load_state_dict(weights)
        genie.zero_grad(set_to_none=True)


def _time_step(genie, videos, config, phase: Phase, start: int) -> float:
    """Seconds of a step, on average over the places from the step `start` of the phase on."""
    genie.train()
    optimizer = make_optimizer(phase, config)
    precision = choose_precision(config.precision, genie.device)
    workers = clip_workers(genie.device)

    def timed(step):
        began, filmed, frames = time.monotonic(), 0.0, None
        if not phase.reuse.knows(step):
            frames = videos.batch(*phase.wish([config.seed], step)).to(genie.device)
            if workers:  # in the training they film while the device learns
                filmed, began = (time.monotonic() - began) / workers, time.monotonic()
        take_step(phase, step, frames, optimizer, precision, config)
        if genie.device.type != "cpu":  # it has only been told what to do
            torch.accelerator.synchronize(genie.device)
        # All processes take the steps that the slowest of them has time for.
        return greatest(max(time.monotonic() - began, filmed), genie.device)

    def at_place(step):
        """The first of a batch's uses, and one of those that follow."""
        phase.reuse.forget()
        return [timed(step) for _ in range(min(uses, 2))]

    uses = phase.reuse.uses if start >= phase.reuse.first else 1
    rounds: list[list[list[float]]] = []
    while len(rounds) <= _ROUNDS or torch.tensor(rounds[1:]).sum() < _SECONDS:
        rounds.append([at_place(start + place) for place in _PLACES])
    # In the first one memory is found, and where asked for the networks are translated. Of the
    # others the median: one step that had to wait for another program says nothing.
    seconds = torch.tensor(rounds[1:], dtype=torch.float64).quantile(0.5, dim=0).mean(dim=0)
    return (seconds[0] + (uses - 1) * seconds[-1]).item() / uses
