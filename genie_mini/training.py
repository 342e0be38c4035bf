"""Training in two phases, as in the paper (Section 2.1): the tokenizer; then latent actions and dynamics together.

Everything random in a step (which clips, which tokens are hidden) follows from the seed and the step's number alone. So a
run that was stopped goes on exactly as if it had not been, and the same seed gives the same losses on a CPU.
"""

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from genie_mini.checkpoint import keep_rows, read_checkpoint, restore, write_checkpoint, write_row
from genie_mini.data import Videos
from genie_mini.genie import Genie


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how hard to train. Steps are optimiser steps of `batch_size` clips of `num_frames` frames.

    Attributes:
        tokenizer_steps: length of phase 1.
        latent_action_steps: for how many steps of phase 2 the latent action model learns.
        dynamics_steps: for how many steps of phase 2 the dynamics model learns, up to its end.
        head_start: steps of phase 2 in which only the latent action model learns, so that the dynamics model need not
            learn the meaning of codes that are still changing. The paper has none.
        short_frames, short_share: the tokenizer begins with clips of so many frames, for this share of its steps; a batch
            has as many frames as ever, so from more levels.
        latent_action_frames: frames of a clip while only the latent action model learns; a batch has as many as ever.
        tokenizer_rate, latent_action_rate, dynamics_rate: highest learning rates.
        warm_up: steps in which a rate grows from zero; afterwards it falls along a cosine to a fiftieth.
        betas, weight_decay: of AdamW (the paper's, Tables 8 and 9).
        gradient_clip: longest gradient of a network, L2.
        bf16: compute in bfloat16 where the processor can; the weights stay float32.
        compile: translate the blocks with torch.compile first: a minute, then faster steps; needs a C++ compiler.
        checkpoint_seconds: at least so often the state is saved.
        seed: of weights, clips and masks.
    """

    tokenizer_steps: int
    dynamics_steps: int
    latent_action_steps: int
    head_start: int = 0
    batch_size: int = 4
    num_frames: int = 16
    short_frames: int = 4
    short_share: float = 0.75
    latent_action_frames: int = 8
    tokenizer_rate: float = 1e-3
    latent_action_rate: float = 1e-3
    dynamics_rate: float = 1e-3
    warm_up: int = 50
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    bf16: bool = False
    compile: bool = False
    checkpoint_seconds: float = 60.0
    seed: int = 0

    def __post_init__(self):
        if self.head_start > self.latent_action_steps:
            raise ValueError(
                f"head_start ({self.head_start}) must not exceed latent_action_steps ({self.latent_action_steps}): "
                "nothing would learn in between"
            )


TRAINING_PRESETS = {
    "pocket": TrainingConfig(
        tokenizer_steps=1000, latent_action_steps=1500, head_start=1500, dynamics_steps=600, batch_size=2,
        tokenizer_rate=1.5e-3, latent_action_rate=1.5e-3,
    ),
    "mini": TrainingConfig(
        tokenizer_steps=3000, latent_action_steps=3800, head_start=3600, dynamics_steps=5500, batch_size=2,
        tokenizer_rate=1.5e-3, latent_action_rate=1.5e-3, bf16=True,
    ),
    # The paper's CoinRun study: batches and steps of Appendix F, rates and betas of Tables 8 and 9.
    "coinrun": TrainingConfig(
        tokenizer_steps=300_000, latent_action_steps=200_000, dynamics_steps=200_000, batch_size=36, short_share=0.0,
        tokenizer_rate=3e-4, latent_action_rate=3e-5, dynamics_rate=3e-5, warm_up=5_000, betas=(0.9, 0.9), bf16=True,
    ),
}  # fmt: skip


@dataclass
class Part:
    """One network within a phase: it learns from step `start` until step `stop`, at rates up to `rate`."""

    module: nn.Module
    start: int
    stop: int
    rate: float


@dataclass
class Phase:
    """What runs at each step.

    `losses(frames, step)` gives the losses to minimise, figures to log by name, and what to call after the optimiser's
    step; `clips(step)` says how many clips of how many frames it wants.
    """

    name: str
    parts: list[Part]
    losses: Callable[[Tensor, int], tuple[list[Tensor], dict[str, float], Callable]]
    clips: Callable[[int], tuple[int, int]]

    @property
    def steps(self) -> int:
        """Length of the phase in steps."""
        return max(part.stop for part in self.parts)


class Interrupted(Exception):
    """Training was asked to stop and has saved its state."""


def learning_rate(step: int, start: int, stop: int, peak: float, warm_up: int) -> float:
    """The rate at a step: a linear rise over `warm_up` steps from `start`, then a cosine down to peak / 50 at `stop`."""
    done = step - start
    if done < 0:
        return 0.0
    warm_up = min(warm_up, (stop - start) // 2)
    if done < warm_up:
        return peak * (done + 1) / warm_up
    progress = (done - warm_up) / max(1, stop - start - warm_up)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def build_phases(genie: Genie, config: TrainingConfig) -> list[Phase]:
    """The paper's two phases for this Genie."""
    tokenizer, latent_action_model, dynamics = genie.tokenizer, genie.latent_action_model, genie.dynamics

    def tokenizer_losses(frames, step):
        result = tokenizer(frames)
        figures = {name: result[name].item() for name in ("reconstruction", "quantizer", "stability")}
        figures["codes"] = result["tokens"].unique().numel()
        return [result["loss"]], figures, lambda: tokenizer.quantizer.reset_dead_codes(result["continuous"], result["tokens"])

    world_stop = config.head_start + config.dynamics_steps

    def world_losses(frames, step):
        losses, figures = [], {}
        latent = None
        if step < config.latent_action_steps:
            latent_action_model.train()
            latent = latent_action_model(frames, step / config.latent_action_steps)
            losses.append(latent["loss"])
            figures |= {"latent_action": latent["reconstruction"].item(), "actions": latent["actions"].unique().numel()}
        if step >= config.head_start:
            for frozen in (tokenizer, latent_action_model):
                frozen.eval()
            actions = latent_action_model.infer(frames)  # without gradient: the dynamics loss does not reach the LAM
            result = dynamics.loss(tokenizer.encode(frames), actions)
            losses.append(result["loss"])
            figures |= {"dynamics": result["loss"].item(), "accuracy": result["accuracy"].item()}

        def after_step():
            if latent and step > latent_action_model.config.soft_share * config.latent_action_steps:
                latent_action_model.quantizer.reset_dead_codes(latent["continuous"], latent["actions"])

        return losses, figures, after_step

    def tokenizer_clips(step):
        return clips_of(config.short_frames if step < config.short_share * config.tokenizer_steps else config.num_frames)

    def world_clips(step):
        return clips_of(config.latent_action_frames if step < config.head_start else config.num_frames)

    def clips_of(num_frames):
        num_frames = min(num_frames, config.num_frames)
        return config.batch_size * config.num_frames // num_frames, num_frames

    return [
        Phase(
            "tokenizer",
            [Part(tokenizer, 0, config.tokenizer_steps, config.tokenizer_rate)],
            tokenizer_losses,
            tokenizer_clips,
        ),
        Phase(
            "world",
            [
                Part(latent_action_model, 0, config.latent_action_steps, config.latent_action_rate),
                Part(dynamics, config.head_start, world_stop, config.dynamics_rate),
            ],
            world_losses,
            world_clips,
        ),
    ]


def train(genie: Genie, videos: Videos, config: TrainingConfig, folder: Path, *, progress: bool = True) -> None:
    """Train all parts, from the last checkpoint in `folder` if there is one, and save the result there.

    Args:
        genie: the networks, changed in place.
        videos: where clips come from.
        config: lengths and rates.
        folder: receives checkpoint.safetensors, tokenizer.csv and world.csv (the losses), and the trained Genie.
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
    phases = build_phases(genie, config)
    if resumed and resumed[1]["phase"] == len(phases):  # finished before
        restore(genie, None, resumed[0], checkpoint)
    for index, phase in enumerate(phases):
        if resumed and index < resumed[1]["phase"]:
            continue
        optimiser = torch.optim.AdamW(
            [{"params": list(part.module.parameters())} for part in phase.parts],
            lr=0.0, betas=config.betas, weight_decay=config.weight_decay,
        )  # fmt: skip
        first = 0
        if resumed and index == resumed[1]["phase"]:
            first = resumed[1]["step"]
            restore(genie, optimiser, resumed[0], checkpoint)
        run_phase(genie, phase, index, first, optimiser, videos, config, folder, progress)
        # The next phase starts with a fresh optimiser.
        write_checkpoint(checkpoint, genie, None, index + 1, 0)
        resumed = None
    genie.eval()
    genie.save(folder)


def run_phase(genie, phase, index, first, optimiser, videos, config, folder, progress):
    """Run the steps of one phase from `first` on, logging each and saving the state from time to time."""
    checkpoint, log = folder / "checkpoint.safetensors", folder / f"{phase.name}.csv"
    keep_rows(log, first)
    saved, began = time.monotonic(), time.monotonic()
    bar = tqdm(range(first, phase.steps), desc=phase.name, initial=first, total=phase.steps, disable=not progress)
    with postponed_interrupt() as asked, log.open("a", newline="") as file:
        for step in bar:
            frames = videos.batch(*phase.clips(step), [config.seed, index, step])
            torch.manual_seed(hash((config.seed, index, step)) % 2**63)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                losses, figures, after_step = phase.losses(frames, step)
            optimiser.zero_grad(set_to_none=True)
            sum(losses).backward()
            for part, group in zip(phase.parts, optimiser.param_groups, strict=True):
                group["lr"] = learning_rate(step, part.start, part.stop, part.rate, config.warm_up)
                nn.utils.clip_grad_norm_(part.module.parameters(), config.gradient_clip)
            optimiser.step()
            after_step()
            figures = {"loss": sum(losses).item(), **figures}
            write_row(file, step, figures, time.monotonic() - began)
            bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
            if asked.is_set() or time.monotonic() - saved > config.checkpoint_seconds:
                file.flush()
                write_checkpoint(checkpoint, genie, optimiser, index, step + 1)
                saved = time.monotonic()
            if asked.is_set():
                raise Interrupted(f"stopped after step {step + 1} of {phase.name}; run the same command again to go on")


@contextmanager
def postponed_interrupt():
    """Turn the first Ctrl-C into an event to look at between steps, so that no step is left half done."""
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
