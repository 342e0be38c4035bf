"""The two phases of training: what runs at each step of each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genie_mini.data.videos import Videos
from genie_mini.genie import Genie, in_windows
from genie_mini.training.config import TrainingConfig
from genie_mini.training.learning_rate import current_restart, learning_rate


@dataclass
class Part:
    """One network within a phase: it learns from step starts[0] until step starts[-1], at rates up
    to `rate`.

    At each of `starts` but the last the rate rises and falls anew.
    """

    module: nn.Module
    starts: list[int]
    rate: float

    def lr_at(self, step: int, warmup_steps: int) -> float:
        """The learning rate at a step."""
        index = current_restart(self.starts, step)
        return learning_rate(
            step, self.starts[index], self.starts[index + 1], self.rate, warmup_steps
        )


@dataclass
class Phase:
    """What runs at each step.

    `losses(frames, step)` gives the losses to minimise, figures to log by name, and what to call
    after the optimiser's step; `clips(step)` says how many clips of how many frames it wants.
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
    tokenizer, latent_action_model, dynamics = (
        genie.tokenizer,
        genie.latent_action_model,
        genie.dynamics,
    )

    def tokenizer_losses(frames, step):
        result = tokenizer(frames)
        metrics = {
            name: result[name].item() for name in ("reconstruction", "quantizer", "stability")
        }
        metrics["codes"] = result["tokens"].unique().numel()
        return (
            [result["loss"]],
            metrics,
            lambda: tokenizer.quantizer.reset_dead_codes(result["continuous"], result["tokens"]),
        )

    world_stop = config.latent_action_pretraining_steps + config.dynamics_steps

    def latent_action_losses(frames, step):
        starts = config.restart_steps
        index = current_restart(starts, step)
        if index and step == starts[index]:
            latent_action_model.eval()
            # More clips than a batch, to know how well each code serves.
            more = [
                videos.batch(*clips_of(config.latent_action_frames), [config.seed, 2, step, n])
                for n in range(16)
            ]
            latent_action_model.move_least_used_code(torch.cat(more))
        latent_action_model.train()
        begin = config.latent_action_restarts[index][1]
        done = (step - starts[index]) / (starts[index + 1] - starts[index])
        return latent_action_model(frames, begin + (1 - begin) * done, refine=index > 0)

    def world_losses(frames, step):
        losses, metrics = [], {}
        latent = None
        if step < config.latent_action_steps:
            latent = latent_action_losses(frames, step)
            losses.append(latent["loss"])
            metrics |= {
                "latent_action": latent["reconstruction"].item(),
                "actions": latent["actions"].unique().numel(),
            }
        if step >= config.latent_action_pretraining_steps:
            for frozen in (tokenizer, latent_action_model):
                frozen.eval()
            # without gradient: the dynamics loss does not reach the LAM
            actions = in_windows(latent_action_model.infer, frames)
            result = dynamics.loss(in_windows(tokenizer.encode, frames), actions)
            losses.append(result["loss"])
            metrics |= {"dynamics": result["loss"].item(), "accuracy": result["accuracy"].item()}

        def after_step():
            if latent and step > latent_action_model.config.soft_share * config.latent_action_steps:
                latent_action_model.quantizer.reset_dead_codes(
                    latent["continuous"], latent["actions"]
                )

        return losses, metrics, after_step

    def tokenizer_clips(step):
        return clips_of(
            config.short_frames
            if step < config.short_share * config.tokenizer_steps
            else config.num_frames
        )

    def world_clips(step):
        return clips_of(
            config.latent_action_frames
            if step < config.latent_action_pretraining_steps
            else config.num_frames
        )

    def clips_of(num_frames):
        num_frames = min(num_frames, config.num_frames)
        return config.batch_size * config.num_frames // num_frames, num_frames

    return [
        Phase(
            "tokenizer",
            [Part(tokenizer, [0, config.tokenizer_steps], config.tokenizer_lr)],
            tokenizer_losses,
            tokenizer_clips,
        ),
        Phase(
            "world",
            [
                Part(latent_action_model, config.restart_steps, config.latent_action_lr),
                Part(
                    dynamics,
                    [config.latent_action_pretraining_steps, world_stop],
                    config.dynamics_lr,
                ),
            ],
            world_losses,
            world_clips,
        ),
    ]
