"""What each gift of our latent action model is worth. A *gift* is what it has and the paper's does
not name.

Trained alone on the platformer, with the same seeds, steps and clips: the paper's model, as near as
its description allows; ours; and ours without one gift at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.data.platformer import PlatformerVideos
from genie_mini.device import float32_weights, in_float32
from genie_mini.evaluation.action_map import visible_actions
from genie_mini.evaluation.metrics import psnr
from genie_mini.evaluation.true_actions import answers_of_codes, entropy_bits
from genie_mini.genie import CLIP_FRAMES, Genie
from genie_mini.models.latent_action import LatentActionConfig, LatentActionModel
from genie_mini.models.patches import fold, unfold
from genie_mini.models.quantizer import Quantizer, QuantizerConfig
from genie_mini.presets import GenieConfig, pocket
from genie_mini.training.config import TRAINING_PRESETS, TrainingConfig
from genie_mini.training.phases import build_phases
from genie_mini.training.step import take_all_steps
from genie_mini.world.recording import Truth, record
from genie_mini.world.simulation import ACTIONS

STEPS, SEEDS = 300, (0, 1, 2)
SCORED_CLIPS = 192  # held out; a third of them gives the labels
_SCORED_KEY = 23  # of their levels and actions


class HardChoice(LatentActionModel):
    """Without the soft choice and its entropies: each vector gets its nearest code at once, and
    codes and vectors are drawn to each other as in VQ-VAE. Dead codes move from the first step on,
    as the tokenizer's do.
    """

    def choose(self, continuous: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """The nearest codes, and shares of one and zero."""
        if self.training:  # before the codes are looked up, or they would change under autograd
            self.quantizer.reset_dead_codes(continuous, self.quantizer.nearest(continuous))
        codes, actions, _ = self.quantizer(continuous)
        return codes, F.one_hot(actions, self.config.quantizer.num_codes).float()

    def priced(
        self, reconstruction: Tensor, continuous: Tensor, shares: Tensor, progress: float
    ) -> Tensor:
        """The reconstruction and the loss of the codebook."""
        return reconstruction + self.quantizer(continuous)[2]


class Uncentred(LatentActionModel):
    """Without batch normalisation before the codebook."""

    def __init__(self, config: LatentActionConfig):
        super().__init__(config)
        self.code_norm = nn.Identity()  # type: ignore[assignment]


class SquaredError(LatentActionModel):
    """Without log ratios: the squared error, in units of the clips' mean squared change, so that
    what the choice of codes costs weighs as much beside it.
    """

    def errors(self, predicted: Tensor, frames: Tensor, still: float) -> Tensor:
        """How badly each transition is drawn, (batch, T - 1)."""
        change = (frames[:, 1:] - frames[:, :-1]).square().mean().clamp(min=1e-6)
        return (predicted - frames[:, 1:]).square().mean(dim=(2, 3, 4)) / change


class PlainEyes(LatentActionModel):
    """An encoder without convolutions, matching or largest responses: frames are cut into patches,
    and their tokens averaged. The paper does not say how many tokens become one action.
    """

    @float32_weights()
    def __init__(self, config: LatentActionConfig):
        super().__init__(config)
        self.embed_patches = nn.Linear(config.patch_size**2 * 3, config.encoder.width)

    def encode_continuous(self, frames: Tensor, motion: Tensor | None = None) -> Tensor:
        """What happened before each frame but the first, (batch, T - 1, code_width)."""
        patches = self.embed_patches(2 * unfold(frames, self.config.patch_size) - 1)
        x, _ = self.encoder(patches + self.encoder_position)
        vectors = self.to_code(x.mean(dim=2))[:, 1:].float()
        return self.code_norm(vectors.flatten(0, 1)).view_as(vectors)


class PlainHands(LatentActionModel):
    """A decoder that moves nothing and is not shown how things moved: it draws every pixel of the
    next frame itself, by a sigmoid.
    """

    def decode(self, frames: Tensor, codes: Tensor, motion: Tensor | None = None) -> Tensor:
        """Predict the frame after each of frames (batch, T, ...)."""
        size, grid = self.config.patch_size, self.config.grid
        x = self.embed_frame(2 * unfold(frames, size) - 1) + self.decoder_position
        x, _ = self.decoder(x + self.from_code(codes)[:, :, None])
        return fold(self.to_change(x).float().sigmoid(), size, grid)


class PlainQuantizer(Quantizer):
    """The codebook of VQ-VAE: points instead of directions, and dead codes stay dead."""

    def __init__(self, config: QuantizerConfig):
        super().__init__(config)
        nn.init.uniform_(self.codebook, -1 / config.num_codes, 1 / config.num_codes)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes of these numbers: (...) int64 -> (..., code_width)."""
        return self.codebook[indices]

    def nearest(self, vectors: Tensor) -> Tensor:
        """Number of the code at the least distance: (..., code_width) -> (...) int64."""
        with in_float32(vectors.device):
            distances = torch.cdist(vectors.float().flatten(0, -2), self.codebook)
        return distances.argmin(dim=-1).view(vectors.shape[:-1])

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The codes, straight through; their numbers; and the loss of codebook and commitment."""
        indices = self.nearest(vectors.detach())
        codes = self.codebook[indices]
        loss = F.mse_loss(codes, vectors.detach()) + self.config.commitment * F.mse_loss(
            vectors, codes.detach()
        )
        return vectors + (codes - vectors).detach(), indices, loss

    def reset_dead_codes(self, vectors: Tensor, indices: Tensor) -> int:
        """Moves none."""
        return 0


class PaperModel(HardChoice, Uncentred, SquaredError, PlainEyes, PlainHands):
    """The paper's model, as near as its description allows, at our sizes."""

    def __init__(self, config: LatentActionConfig):
        super().__init__(config)
        self.quantizer = PlainQuantizer(config.quantizer)


@dataclass(frozen=True)
class Variant:
    """One row of the study: a model, and whether its training restarts."""

    model: type[LatentActionModel]
    restarts: bool = True


VARIANTS: Mapping[str, Variant] = {
    "the paper's": Variant(PaperModel, restarts=False),
    "ours": Variant(LatentActionModel),
    "no soft choice": Variant(HardChoice),
    "no batch normalisation": Variant(Uncentred),
    "no log ratios": Variant(SquaredError),
    "no eyes for movement": Variant(PlainEyes),
    "no hands that move": Variant(PlainHands),
    "no restarts": Variant(LatentActionModel, restarts=False),
}


def train_alone(
    variant: Variant, steps: int, seed: int, config: GenieConfig | None = None
) -> LatentActionModel:
    """Train a latent action model and nothing else, two clips of 8 frames a step.

    Args:
        variant: what to train.
        steps: of the optimizer; the schedule is stretched to them.
        seed: of weights and clips: all variants see the same ones.
        config: sizes; None for those of `pocket`.

    Returns:
        The model in evaluation mode.
    """
    torch.manual_seed(seed)
    genie = Genie(config or pocket())
    torch.manual_seed(seed)
    genie.latent_action_model = variant.model(genie.config.latent_action)
    schedule = replace(
        TRAINING_PRESETS["pocket"],
        tokenizer_steps=0,
        latent_action_steps=steps,
        latent_action_pretraining_steps=steps,
        dynamics_steps=0,
        batch_size=1,  # clips of 16 frames; two of 8 hold as many
        seed=seed,
    )
    if not variant.restarts:
        once = TrainingConfig.latent_action_restarts
        schedule = replace(schedule, latent_action_restarts=once)
    videos = PlatformerVideos(genie.config.latent_action.image_size[0])
    phase = build_phases(genie, videos, schedule)[1]
    phase = replace(phase, parts=phase.parts[:1])  # without the dynamics model
    take_all_steps(phase, videos, schedule)
    return genie.latent_action_model.eval()


@cache
def _held_out(num_clips: int, size: int) -> tuple[Tensor, Truth]:
    frames, truth = record(num_clips, CLIP_FRAMES, size=size, seed=_SCORED_KEY, held_out=True)
    return torch.from_numpy(frames), truth


@torch.no_grad()
def _answers(model: LatentActionModel, frames: Tensor) -> tuple[Tensor, Tensor]:
    """The actions between frames, and the frames that the decoder draws with them."""
    motion = model.motion(frames)
    actions = model.quantizer.nearest(model.encode_continuous(frames, motion))
    drawn = model.decode(frames[:, :-1], model.quantizer.lookup(actions), motion[:, :-1])
    return actions, drawn.clamp(0, 1)


def score(model: LatentActionModel, num_clips: int = SCORED_CLIPS) -> dict:
    """What a model's codes tell of the true actions in held-out clips, a third of which give the
    labels.

    Returns:
        `bits` told of a visible action and `most`, all there are to tell; `named`, the share of
        visible actions named right from 200 labels, and `commonest`, what always naming the
        commonest one gets; `codes` in use; `decibels`, by how much the decoder's next frame is
        better than repeating the last.
    """
    frames, truth = _held_out(num_clips, model.config.image_size[0])
    parts = [_answers(model, part) for part in frames.split(16)]
    latent, drawn = (torch.cat(part) for part in zip(*parts, strict=True))
    codes, third = latent.numpy(), num_clips // 3
    real = np.where(visible_actions(truth), truth.actions, -1)
    known = real[:third] >= 0
    order = np.random.default_rng(0).permutation(known.sum())
    labelled = codes[:third][known][order], real[:third][known][order]
    num_codes, asked = model.config.quantizer.num_codes, np.arange(num_clips - third)
    told, _ = answers_of_codes(codes[third:], real[third:], labelled, num_codes, len(ACTIONS))
    seen = told.real[told.real >= 0]
    return {
        "bits": told.bits(asked),
        "most": entropy_bits(seen),
        "named": told.accuracy(asked),
        "commonest": float(np.bincount(seen).max() / len(seen)),
        "codes": len(np.unique(codes)),
        "decibels": psnr(drawn, frames[:, 1:]) - psnr(frames[:, :-1], frames[:, 1:]),
    }
