"""Training in two phases, as in the paper (Section 2.1): the tokenizer; then latent actions and
dynamics together.

Everything random in a step (which clips, which tokens are hidden) follows from the seed and the
step's number alone. So a run that was stopped goes on exactly as if it had not been, and the same
seed gives the same losses on a CPU.
"""

import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from genie_mini.data.videos import Source, Videos
from genie_mini.device import choose_precision, computing_in
from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_folder, sole_writer
from genie_mini.training.checkpoint import read_checkpoint, restore, write_checkpoint
from genie_mini.training.config import TrainingConfig
from genie_mini.training.folder import CHECKPOINT, claim
from genie_mini.training.log import keep_rows, write_row
from genie_mini.training.phases import Phase, build_phases
from genie_mini.training.request import Request


class Interrupted(Exception):
    """Training was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Run:
    """What every step of a run needs: see `train`."""

    genie: Genie
    videos: Videos
    config: TrainingConfig
    folder: Path
    request: Request
    progress: bool

    @property
    def checkpoint(self) -> Path:
        """The file of its state."""
        return self.folder / CHECKPOINT


def train(
    genie: Genie,
    videos: Videos,
    config: TrainingConfig,
    folder: Path,
    *,
    origin: str = "",
    progress: bool = True,
) -> None:
    """Train all parts, from the last checkpoint in `folder` if there is one, and save the result
    there.

    A checkpoint holds what its run was asked for. Asked for the same, the run goes on; asked for
    more steps, it goes on and then learns what came on top, each network again in its phase.

    Args:
        genie: the networks, changed in place, on the device that is to train them.
        videos: where clips come from.
        config: lengths and rates.
        folder: receives checkpoint.safetensors, tokenizer.csv and world.csv (the losses), and the
            trained Genie.
        origin: what the networks began as, such as "preset pocket"; empty if it does not matter.
        progress: show a bar with the losses and the time left.

    Raises:
        Interrupted: Ctrl-C was pressed; the same call goes on where it stopped.
        GenieError: the folder is another run's, or holds files of somebody's, or cannot be written
            into; another training is writing into it; the videos have no clips that are long
            enough; a loss is no number any more.
    """
    prepare_folder(folder)
    with sole_writer(folder):
        request = claim(folder, Request.of(genie, config, videos, origin))
        run = Run(genie, videos, config, folder, request, progress)
        phases = [
            phase
            for leg in request.legs(genie, config)
            for phase in build_phases(genie, videos, leg)
        ]
        _check_clips(videos, phases)
        if config.compile:
            _compile(genie)
        if not run.checkpoint.exists():
            write_checkpoint(run.checkpoint, genie, None, 0, 0, request)
        _run_phases(run, phases)
        genie.eval()
        genie.save(folder)


def _check_clips(videos: Videos, phases: list[Phase]) -> None:
    """Make sure before the first step that there are clips for the last one."""
    needed = max(
        (phase.clips(step)[1] for phase in phases if phase.steps for step in (0, phase.steps - 1)),
        default=0,
    )
    if isinstance(videos, Source) and videos.longest is not None and videos.longest < needed:
        raise GenieError(
            f"clips of {needed} frames are needed, but the longest recording has {videos.longest}"
        )


def _compile(genie: Genie) -> None:
    for module in (genie.tokenizer, genie.latent_action_model, genie.dynamics):
        for name, block in module.named_modules():
            if name.rpartition(".")[0].endswith("blocks"):
                block.compile()


def _run_phases(run: Run, phases: list[Phase]) -> None:
    """Run what is left of the phases; those of one name continue one log."""
    genie, config, path = run.genie, run.config, run.checkpoint
    tensors, where = read_checkpoint(path)
    current = where["phase"]
    if not 0 <= current <= len(phases) or not (
        0 <= where["step"] <= (phases[current].steps if current < len(phases) else 0)
    ):
        raise GenieError(f"{path} is of no moment of this run: {where}; move it away")
    if current == len(phases):  # finished before
        restore(genie, None, tensors, path)
    logged: Counter[str] = Counter()
    for index, phase in enumerate(phases):
        if index >= current:
            optimizer = torch.optim.AdamW(
                [{"params": list(part.module.parameters())} for part in phase.parts],
                lr=0.0,
                betas=config.betas,
                weight_decay=config.weight_decay,
            )
            genie.train()  # the second phase leaves frozen networks as they are at play
            first = where["step"] if index == current else 0
            if index == current:
                restore(genie, optimizer, tensors, path)
                tensors = {}  # they are as large as the networks, three times
            run_phase(run, phase, index, first, optimizer, logged[phase.name])
            # The next phase starts with a fresh optimizer.
            write_checkpoint(path, genie, None, index + 1, 0, run.request)
        logged[phase.name] += phase.steps


def run_phase(
    run: Run,
    phase: Phase,
    index: int,
    first: int,
    optimizer: torch.optim.Optimizer,
    logged: int = 0,
) -> None:
    """Run the steps of one phase from `first` on, logging each and saving the state from time to
    time.

    Args:
        run: what the steps need.
        phase: the phase, the one of number `index`.
        first: the first step to run, from 0.
        optimizer: in the state of this step.
        logged: lines of the log that earlier legs have written.
    """
    genie, videos, config = run.genie, run.videos, run.config
    log = run.folder / f"{phase.name}.csv"
    keep_rows(log, logged + first)
    precision = choose_precision(config.precision, genie.device)
    saved, began = time.monotonic(), time.monotonic()
    bar = tqdm(
        range(first, phase.steps),
        desc=phase.name,
        initial=first,
        total=phase.steps,
        disable=not run.progress,
    )
    with (
        repeatable(genie.device),
        postponed_interrupt() as asked,
        log.open("a", newline="") as file,
    ):
        for step in bar:
            frames = videos.batch(*phase.clips(step), [config.seed, index, step]).to(genie.device)
            torch.manual_seed(hash((config.seed, index, step)) % 2**63)
            with computing_in(precision, genie.device):
                losses, metrics, after_step = phase.losses(frames, step)
            loss = sum(losses[1:], losses[0])
            metrics = {"loss": loss.item(), **metrics}
            _check_finite(metrics["loss"], step, phase)
            _descend(loss, optimizer, phase, step, config)
            after_step()
            write_row(file, logged + step, metrics, time.monotonic() - began)
            bar.set_postfix(
                {name: f"{value:.4g}" for name, value in metrics.items()}, refresh=False
            )
            if asked.is_set() or time.monotonic() - saved > config.checkpoint_seconds:
                file.flush()
                write_checkpoint(run.checkpoint, genie, optimizer, index, step + 1, run.request)
                saved = time.monotonic()
            if asked.is_set():
                raise Interrupted(
                    f"stopped after step {step + 1} of {phase.name}; run the same command again "
                    "to go on"
                )


def _check_finite(loss, step, phase):
    if not math.isfinite(loss):
        raise GenieError(
            f"at step {step + 1} of {phase.name} the loss is {loss}: the run cannot go on with "
            "these clips and learning rates"
        )


def _descend(loss, optimizer, phase, step, config):
    """One step of the optimizer, each network at its own rate."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for part, group in zip(phase.parts, optimizer.param_groups, strict=True):
        group["lr"] = part.lr_at(step, config.warmup_steps)
        nn.utils.clip_grad_norm_(part.module.parameters(), config.max_grad_norm)
    optimizer.step()


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Make torch compute the same numbers every time: otherwise several threads add up a codebook's
    gradient in any order.

    On a GPU some operations know no such way; torch warns of them there.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def postponed_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event to look at between steps, so that no step is left half
    done.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(signum, frame):
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, previous)
