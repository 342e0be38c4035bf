"""The two phases of training: what runs at each step of each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genie_mini.data.videos import Videos
from genie_mini.genie import Genie, in_windows
from genie_mini.training.config import TrainingConfig
from genie_mini.training.learning_rate import current_round, learning_rate


@dataclass
class Part:
    """One network within a phase: it learns from step starts[0] until step starts[-1], at rates up to `rate`.

    At each of `starts` but the last the rate rises and falls anew.
    """

    module: nn.Module
    starts: list[int]
    rate: float

    def rate_at(self, step: int, warm_up: int) -> float:
        """The learning rate at a step."""
        index = current_round(self.starts, step)
        return learning_rate(step, self.starts[index], self.starts[index + 1], self.rate, warm_up)


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
        return max(part.starts[-1] for part in self.parts)


def build_phases(genie: Genie, videos: Videos, config: TrainingConfig) -> list[Phase]:
    """The paper's two phases for this Genie."""
    tokenizer, latent_action_model, dynamics = genie.tokenizer, genie.latent_action_model, genie.dynamics

    def tokenizer_losses(frames, step):
        result = tokenizer(frames)
        figures = {name: result[name].item() for name in ("reconstruction", "quantizer", "stability")}
        figures["codes"] = result["tokens"].unique().numel()
        return [result["loss"]], figures, lambda: tokenizer.quantizer.reset_dead_codes(result["continuous"], result["tokens"])

    world_stop = config.head_start + config.dynamics_steps

    def latent_action_losses(frames, step):
        starts = config.round_starts
        index = current_round(starts, step)
        if index and step == starts[index]:
            latent_action_model.eval()
            # More clips than a batch, to know how well each code serves.
            more = [videos.batch(*clips_of(config.latent_action_frames), [config.seed, 2, step, n]) for n in range(16)]
            latent_action_model.move_least_used_code(torch.cat(more))
        latent_action_model.train()
        begin = config.latent_action_rounds[index][1]
        done = (step - starts[index]) / (starts[index + 1] - starts[index])
        return latent_action_model(frames, begin + (1 - begin) * done, settled=index > 0)

    def world_losses(frames, step):
        losses, figures = [], {}
        latent = None
        if step < config.latent_action_steps:
            latent = latent_action_losses(frames, step)
            losses.append(latent["loss"])
            figures |= {"latent_action": latent["reconstruction"].item(), "actions": latent["actions"].unique().numel()}
        if step >= config.head_start:
            for frozen in (tokenizer, latent_action_model):
                frozen.eval()
            actions = in_windows(latent_action_model.infer, frames)  # without gradient: the dynamics loss does not reach the LAM
            result = dynamics.loss(in_windows(tokenizer.encode, frames), actions)
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
            [Part(tokenizer, [0, config.tokenizer_steps], config.tokenizer_rate)],
            tokenizer_losses,
            tokenizer_clips,
        ),
        Phase(
            "world",
            [
                Part(latent_action_model, config.round_starts, config.latent_action_rate),
                Part(dynamics, [config.head_start, world_stop], config.dynamics_rate),
            ],
            world_losses,
            world_clips,
        ),
    ]
