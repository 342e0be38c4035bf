"""Training in two phases, as in the paper (Section 2.1): the tokenizer; then latent actions and
dynamics together.

Everything random in a step (which clips, which tokens are hidden) follows from the seed and the
step's number alone. So a run that was stopped goes on exactly as if it had not been, and the same
seed gives the same losses on a CPU.
"""

import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from genie_mini.data.videos import Videos
from genie_mini.device import choose_precision, computing_in
from genie_mini.genie import Genie
from genie_mini.training.checkpoint import read_checkpoint, restore, write_checkpoint
from genie_mini.training.config import TrainingConfig
from genie_mini.training.log import keep_rows, write_row
from genie_mini.training.phases import build_phases


class Interrupted(Exception):
    """Training was asked to stop and has saved its state."""


def train(
    genie: Genie, videos: Videos, config: TrainingConfig, folder: Path, *, progress: bool = True
) -> None:
    """Train all parts, from the last checkpoint in `folder` if there is one, and save the result
    there.

    Args:
        genie: the networks, changed in place, on the device that is to train them.
        videos: where clips come from.
        config: lengths and rates.
        folder: receives checkpoint.safetensors, tokenizer.csv and world.csv (the losses), and the
            trained Genie.
        progress: show a bar with the losses and the time left.

    Raises:
        Interrupted: Ctrl-C was pressed; the same call goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.compile:
        for module in (genie.tokenizer, genie.latent_action_model, genie.dynamics):
            for name, block in module.named_modules():
                if name.rpartition(".")[0].endswith("blocks"):
                    block.compile()
    checkpoint = folder / "checkpoint.safetensors"
    resumed = read_checkpoint(checkpoint) if checkpoint.exists() else None
    genie.train()
    phases = build_phases(genie, videos, config)
    if resumed and resumed[1]["phase"] == len(phases):  # finished before
        restore(genie, None, resumed[0], checkpoint)
    for index, phase in enumerate(phases):
        if resumed and index < resumed[1]["phase"]:
            continue
        optimizer = torch.optim.AdamW(
            [{"params": list(part.module.parameters())} for part in phase.parts],
            lr=0.0,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        first = 0
        if resumed and index == resumed[1]["phase"]:
            first = resumed[1]["step"]
            restore(genie, optimizer, resumed[0], checkpoint)
        run_phase(genie, phase, index, first, optimizer, videos, config, folder, progress)
        # The next phase starts with a fresh optimiser.
        write_checkpoint(checkpoint, genie, None, index + 1, 0)
        resumed = None
    genie.eval()
    genie.save(folder)


def run_phase(genie, phase, index, first, optimizer, videos, config, folder, progress):
    """Run the steps of one phase from `first` on, logging each and saving the state from time to
    time.
    """
    checkpoint, log = folder / "checkpoint.safetensors", folder / f"{phase.name}.csv"
    keep_rows(log, first)
    precision = choose_precision(config.precision, genie.device)
    saved, began = time.monotonic(), time.monotonic()
    bar = tqdm(
        range(first, phase.steps),
        desc=phase.name,
        initial=first,
        total=phase.steps,
        disable=not progress,
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
            optimizer.zero_grad(set_to_none=True)
            sum(losses).backward()
            for part, group in zip(phase.parts, optimizer.param_groups, strict=True):
                group["lr"] = part.lr_at(step, config.warmup_steps)
                nn.utils.clip_grad_norm_(part.module.parameters(), config.max_grad_norm)
            optimizer.step()
            after_step()
            metrics = {"loss": sum(losses).item(), **metrics}
            write_row(file, step, metrics, time.monotonic() - began)
            bar.set_postfix(
                {name: f"{value:.4g}" for name, value in metrics.items()}, refresh=False
            )
            if asked.is_set() or time.monotonic() - saved > config.checkpoint_seconds:
                file.flush()
                write_checkpoint(checkpoint, genie, optimizer, index, step + 1)
                saved = time.monotonic()
            if asked.is_set():
                raise Interrupted(
                    f"stopped after step {step + 1} of {phase.name}; run the same command again "
                    "to go on"
                )


@contextmanager
def repeatable(device: torch.device):
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
def postponed_interrupt():
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
