"""The two phases of training: what runs at each step of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genie_mini.data.ahead import Wish
from genie_mini.data.videos import Videos
from genie_mini.genie import Genie, in_windows
from genie_mini.ranks import own_rows, whole_batch
from genie_mini.training.config import TrainingConfig
from genie_mini.training.learning_rate import current_restart, learning_rate
from genie_mini.training.reuse import ClipReuse

# The losses to minimise, metrics to log by name, and what to call after the optimizer's step.
StepLosses = tuple[list[Tensor], dict[str, float], Callable[[], None]]


@dataclass
class Part:
    """One network within a phase: it learns from step starts[0] until step starts[-1], at rates up
    to `lr`.

    At each of `starts` but the last the rate rises and falls anew.
    """

    module: nn.Module
    starts: list[int]
    lr: float

    def lr_at(self, step: int, warmup_steps: int) -> float:
        """The learning rate at a step."""
        index = current_restart(self.starts, step)
        return learning_rate(
            step, self.starts[index], self.starts[index + 1], self.lr, warmup_steps
        )


@dataclass
class Phase:
    """What runs at each step.

    `losses(frames, step)` gives what a step minimises, logs and does at its end; `clips(step)` says
    how many clips of how many frames it wants, and `reuse` which ones, and whether it still needs
    them: else frames are None.
    """

    name: str
    parts: list[Part]
    losses: Callable[[Any, int], StepLosses]
    clips: Callable[[int], tuple[int, int]]
    reuse: ClipReuse = field(default_factory=ClipReuse)

    @property
    def steps(self) -> int:
        """Length of the phase in steps."""
        return max(part.starts[-1] for part in self.parts)

    def wish(self, key: list[int], step: int) -> Wish:
        """The batch of clips that a step takes, under a key that begins so."""
        return *self.clips(step), [*key, self.reuse.number(step)]

    def wishes(self, key: list[int], first: int) -> Iterator[Wish]:
        """The batches of clips that the steps from `first` on need, under keys that begin so."""
        for step in self.reuse.new_steps(first, self.steps):
            yield self.wish(key, step)


@dataclass
class Losses:
    """What is computed at a step of each phase, and on which clips.

    The methods `*_losses` give what `Phase.losses` asks for, the methods `*_clips` what
    `Phase.clips` does.
    """

    genie: Genie
    videos: Videos
    config: TrainingConfig

    def __post_init__(self) -> None:
        # While latent actions are learnt they change, and so do the labels.
        self.reuse = ClipReuse(self.config.dynamics_clip_uses, self.config.latent_action_steps)

    def tokenizer_losses(self, frames: Tensor, step: int) -> StepLosses:
        """Phase 1: draw what was seen."""
        tokenizer = self.genie.tokenizer
        result = tokenizer(frames)
        names = ("reconstruction", "quantizer", "stability")
        metrics = {name: result[name].item() for name in names if name in result}
        metrics["codes"] = whole_batch(result["tokens"]).unique().numel()
        return [result["loss"]], metrics, partial(tokenizer.after_step, result)

    def latent_action_losses(self, frames: Tensor, step: int) -> dict[str, Tensor]:
        """The latent action model's result; at a restart, its codes are spread anew first."""
        model, config = self.genie.latent_action_model, self.config
        starts = config.restart_steps
        index = current_restart(starts, step)
        if index and step == starts[index]:
            model.eval()
            # More clips than a batch, to know where vectors lie.
            counts = self.clips_of(config.latent_action_frames)
            more = [self.videos.batch(*counts, [config.seed, 2, step, n]) for n in range(16)]
            model.spread_codes(own_rows(torch.cat(more)))
        model.train()
        begin = config.latent_action_restarts[index][1]
        if begin == 1:
            return model.settle(frames)
        done = (step - starts[index]) / (starts[index + 1] - starts[index])
        return model(frames, begin + (1 - begin) * done, refine=index > 0)

    def world_losses(self, frames: Tensor, step: int) -> StepLosses:
        """Phase 2: latent actions from pixels, dynamics on tokens, neither pulling at the other."""
        genie, config = self.genie, self.config
        losses, metrics = [], {}
        latent = None
        if step < config.latent_action_steps:
            latent = self.latent_action_losses(frames, step)
            losses.append(latent["loss"])
            metrics["latent_action"] = latent["reconstruction"].item()
            metrics["actions"] = whole_batch(latent["actions"]).unique().numel()
        if step >= config.latent_action_pretraining_steps:
            tokens, actions = self.reuse.labels(step, partial(self.infer_labels, frames))
            result = genie.dynamics.loss(tokens, actions, config.guess_depth)
            losses.append(result["loss"])
            metrics |= {"dynamics": result["loss"].item(), "accuracy": result["accuracy"].item()}

        def after_step():
            model = genie.latent_action_model
            if latent and step > model.config.soft_share * config.latent_action_steps:
                model.quantizer.reset_dead_codes(latent["continuous"], latent["actions"])

        return losses, metrics, after_step

    def infer_labels(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and latent actions of clips, as they are at play; without gradient, so that the
        dynamics loss does not reach the networks that say them.
        """
        genie = self.genie
        for frozen in (genie.tokenizer, genie.latent_action_model):
            frozen.eval()
        return (
            in_windows(genie.tokenizer.encode, frames),
            in_windows(genie.latent_action_model.infer, frames),
        )

    def tokenizer_clips(self, step: int) -> tuple[int, int]:
        """Short clips at first, from more levels."""
        config = self.config
        short = step < config.short_share * config.tokenizer_steps
        return self.clips_of(config.short_frames if short else config.num_frames)

    def world_clips(self, step: int) -> tuple[int, int]:
        """Shorter clips while only the latent action model learns, and a number of their own while
        only the dynamics model does.
        """
        config = self.config
        if step < config.latent_action_pretraining_steps:
            return self.clips_of(config.latent_action_frames)
        if step >= config.latent_action_steps and config.dynamics_batch_size is not None:
            return config.dynamics_batch_size, config.num_frames
        return self.clips_of(config.num_frames)

    def clips_of(self, num_frames: int) -> tuple[int, int]:
        """As many clips of so many frames as make a batch."""
        num_frames = min(num_frames, self.config.num_frames)
        return self.config.batch_size * self.config.num_frames // num_frames, num_frames


def build_phases(genie: Genie, videos: Videos, config: TrainingConfig) -> list[Phase]:
    """The paper's two phases for this Genie."""
    losses = Losses(genie, videos, config)
    tokenizer = Part(genie.tokenizer, [0, config.tokenizer_steps], config.tokenizer_lr)
    actions = Part(genie.latent_action_model, config.restart_steps, config.latent_action_lr)
    start = config.latent_action_pretraining_steps
    dynamics = Part(genie.dynamics, [start, start + config.dynamics_steps], config.dynamics_lr)
    return [
        Phase("tokenizer", [tokenizer], losses.tokenizer_losses, losses.tokenizer_clips),
        Phase("world", [actions, dynamics], losses.world_losses, losses.world_clips, losses.reuse),
    ]
