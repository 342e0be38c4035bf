"""How long and how hard to train: the settings of a run, those of the presets, and the learning
rate at each step.
"""

import itertools
import math
from dataclasses import dataclass, fields, replace
from typing import Any

from genie_mini.device import PRECISIONS
from genie_mini.errors import GenieError

MOST = 10**9  # steps, clips, frames: more than anybody can wait for
LAST_SEED = 2**63 - 1  # torch and NumPy take no greater ones alike
LEAST_MINUTES, MOST_MINUTES = 0.01, 1e6  # of a training


@dataclass(frozen=True)
class Shares:
    """How a training of so many minutes divides its time: the share of each network, which sum to
    1. One of 0 learns nothing.
    """

    tokenizer: float = 0.25
    latent_actions: float = 0.30
    dynamics: float = 0.45

    def __post_init__(self) -> None:
        shares = [getattr(self, field.name) for field in fields(self)]
        if not all(share >= 0 for share in shares) or not math.isclose(sum(shares), 1.0):
            raise GenieError(f"shares are numbers from 0 up that sum to 1, got {shares}")


# Where tokens are patches that are looked up, there is little left to learn about pictures.
PATCH_SHARES = Shares(tokenizer=0.05, latent_actions=0.35, dynamics=0.60)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how hard to train. Steps are optimiser steps of `batch_size` clips of
    `num_frames` frames.

    Attributes:
        tokenizer_steps: length of phase 1.
        latent_action_steps: for how many steps of phase 2 the latent action model learns.
        latent_action_restarts: its training restarts, each stretch given as (share of its steps,
            progress at which it begins). At a restart all codes are spread anew over what the
            encoder tells, and the learning rate starts anew. In a stretch that begins at 1 the
            decoder chooses the codes (`LatentActionModel.settle`).
        dynamics_steps: for how many steps of phase 2 the dynamics model learns, up to its end.
        latent_action_pretraining_steps: steps of phase 2 in which only the latent action model
            learns, so that the dynamics model need not learn the meaning of codes that are still
            changing. The paper has none.
        dynamics_batch_size: clips of a step in which only the dynamics model learns; None for
            `batch_size`. Where minutes are few, many steps of one clip teach more than few steps of
            many.
        dynamics_clip_uses: in so many steps of these each batch of clips is used, with other masks;
            its tokens and latent actions are inferred once.
        guess_depth: in the past that the dynamics model learns to go on from, its own guesses rest
            on earlier guesses, so many frames deep (`DynamicsModel.loss`).
        short_frames, short_share: the tokenizer begins with clips of so many frames, for this share
            of its steps; a batch has as many frames as ever, so from more levels.
        latent_action_frames: frames of a clip while only the latent action model learns; a batch
            has as many as ever.
        tokenizer_lr, latent_action_lr, dynamics_lr: highest learning rates.
        warmup_steps: steps in which a rate grows from zero; afterwards it falls along a cosine to a
            fiftieth.
        betas, weight_decay: of AdamW.
        max_grad_norm: longest gradient of a network, L2.
        precision: of matrix products, one of `device.PRECISIONS`; "auto" is bfloat16 where the
            hardware has it. Weights stay float32.
        compile: translate the blocks with torch.compile first: a minute, then faster steps; needs a
            C++ compiler. Not on a CPU for training with another look-back, which it slows down.
        gradient_accumulation: into so many parts each process divides its clips; it computes one
            after the other, and their gradients add up, so that memory is needed for one. The
            result is that of the whole batch, and a step takes a forward pass longer.
        activation_checkpointing: keep only what goes into each block, and compute the rest again in
            the backward pass: less memory, and a forward pass longer.
        shards: among so many processes the weights, gradients and averages of the networks are
            divided; their number is a multiple of it.
        checkpoint_seconds: at least so often the state is saved.
        preview_seconds: so long there is between two previews of the result, at least.
        shares: of a training that is given minutes instead of steps.
        seed: of weights, clips and masks.
    """

    tokenizer_steps: int
    dynamics_steps: int
    latent_action_steps: int
    latent_action_restarts: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    latent_action_pretraining_steps: int = 0
    batch_size: int = 4
    dynamics_batch_size: int | None = None
    dynamics_clip_uses: int = 1
    guess_depth: int = 1
    num_frames: int = 16
    short_frames: int = 4
    short_share: float = 0.75
    latent_action_frames: int = 8
    tokenizer_lr: float = 1e-3
    latent_action_lr: float = 1e-3
    dynamics_lr: float = 1e-3
    warmup_steps: int = 50
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-4
    max_grad_norm: float = 1.0
    precision: str = "fp32"
    compile: bool = False
    gradient_accumulation: int = 1
    activation_checkpointing: bool = False
    shards: int = 1
    checkpoint_seconds: float = 60.0
    preview_seconds: float = 180.0
    shares: Shares = Shares()
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_shares()
        if self.precision not in PRECISIONS:
            raise GenieError(f"precision is one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.latent_action_pretraining_steps > self.latent_action_steps:
            raise GenieError(
                f"latent_action_pretraining_steps ({self.latent_action_pretraining_steps}) must "
                f"not exceed latent_action_steps ({self.latent_action_steps}): "
                "nothing would learn in between"
            )
        if not math.isclose(sum(share for share, _ in self.latent_action_restarts), 1.0):
            raise GenieError(
                "the shares of latent_action_restarts must sum to 1, got "
                f"{self.latent_action_restarts}"
            )

    def _check_counts(self):
        lowest = {"batch_size": 1, "dynamics_batch_size": 1, "num_frames": 2}
        lowest |= {"dynamics_clip_uses": 1, "guess_depth": 1}
        lowest |= {"short_frames": 1, "latent_action_frames": 2}
        lowest |= {"gradient_accumulation": 1, "shards": 1}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type not in (int, int | None) or (value is None and field.type is not int):
                continue
            least, most = lowest.get(field.name, 0), LAST_SEED if field.name == "seed" else MOST
            if type(value) is not int or not least <= value <= most:
                raise GenieError(
                    f"{field.name} is an integer from {least} to {most}, got {value!r}"
                )

    def _check_shares(self):
        for field in fields(self):
            if field.type is not float:
                continue
            value = getattr(self, field.name)
            most = 1.0 if field.name == "short_share" else math.inf
            if not 0 <= value <= most or math.isnan(value):
                raise GenieError(f"{field.name} is a number from 0 to {most}, got {value!r}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise GenieError(f"betas are two numbers from 0 up and below 1, got {self.betas}")

    @property
    def restart_steps(self) -> list[int]:
        """Steps of phase 2 at which the latent action model restarts, from 0, and the step at which
        its training ends.
        """
        shares = [0.0, *itertools.accumulate(share for share, _ in self.latent_action_restarts)]
        return [round(share * self.latent_action_steps) for share in shares]


# How long a preset is trained by the command if neither minutes nor steps are asked for.
DEFAULT_MINUTES = {"pocket": 30.0}

TRAINING_PRESETS = {
    # About what half an hour came to on one core with AVX2; the command times it anew.
    "pocket": TrainingConfig(
        tokenizer_steps=400,
        latent_action_steps=1400,
        latent_action_pretraining_steps=1400,
        dynamics_steps=3000,
        batch_size=2,
        dynamics_batch_size=1,
        dynamics_clip_uses=4,
        latent_action_restarts=((0.64, 0.0), (0.36, 1.0)),
        tokenizer_lr=1.5e-3,
        latent_action_lr=1.5e-3,
        dynamics_lr=2e-3,
    ),
    "mini": TrainingConfig(
        tokenizer_steps=3000,
        latent_action_steps=5500,
        latent_action_pretraining_steps=5500,
        dynamics_steps=4500,
        batch_size=2,
        latent_action_restarts=((0.64, 0.0), (0.36, 1.0)),
        tokenizer_lr=1.5e-3,
        latent_action_lr=1.5e-3,
        precision="auto",
    ),
    # The paper's CoinRun study: batches and steps of Appendix F, rates and betas of Tables 8 and 9.
    "coinrun": TrainingConfig(
        tokenizer_steps=300_000,
        latent_action_steps=200_000,
        dynamics_steps=200_000,
        batch_size=36,
        short_share=0.0,
        tokenizer_lr=3e-4,
        latent_action_lr=3e-5,
        dynamics_lr=3e-5,
        warmup_steps=5_000,
        betas=(0.9, 0.9),
        precision="auto",
    ),
}


# For another way of looking back (`genie_mini.models.lookback`): only the dynamics model goes on
# learning, on clips of 6.4 seconds.
LOOKBACK_TRAINING = TrainingConfig(
    tokenizer_steps=0,
    latent_action_steps=0,
    dynamics_steps=2500,
    batch_size=1,
    dynamics_clip_uses=4,
    guess_depth=4,
    num_frames=64,
    dynamics_lr=1e-3,
    precision="auto",
    shares=Shares(tokenizer=0.0, latent_actions=0.0, dynamics=1.0),
)


def training_config(preset: str, steps: int | None, **changes: Any) -> TrainingConfig:
    """A preset's schedule, stretched to `steps` steps of each network if given.

    Args:
        preset: a key of `TRAINING_PRESETS`.
        steps: of each network; None for the preset's own.
        changes: other settings than the preset's, such as the seed.

    Raises:
        GenieError: the preset has no schedule.
    """
    if preset not in TRAINING_PRESETS:
        raise GenieError(
            f"the preset {preset} has no training schedule; these have one: "
            f"{', '.join(TRAINING_PRESETS)}"
        )
    config = replace(TRAINING_PRESETS[preset], **changes)
    if steps is None:
        return config
    latent_action_pretraining_steps = round(
        steps * config.latent_action_pretraining_steps / config.latent_action_steps
    )
    return replace(
        config,
        tokenizer_steps=steps,
        latent_action_steps=steps,
        latent_action_pretraining_steps=latent_action_pretraining_steps,
        dynamics_steps=steps,
    )
