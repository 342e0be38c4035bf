"""An export, played by onnxruntime: `Rollout` and the scores take it in place of a `Genie`."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import (
    check_choice,
    check_frames,
    check_indices,
    check_integer,
    check_parts,
    check_path,
)
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import check_action_names
from genie_mini.export.sessions import VARIANTS, Pasts, Session, past_names, past_shape
from genie_mini.genie import Genie
from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.lookback import LOOKBACKS, Lookback, reaches
from genie_mini.models.maskgit import FrameSampler
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import Tokenizer
from genie_mini.presets import GenieConfig
from genie_mini.rollout import PlaySession


def describe(genie: "Genie | ExportedGenie", action_names: list[str] | None) -> dict:
    """What a player must know of a world besides its graphs."""
    check_parts(genie, "config", "dynamics")
    tokenizer, dynamics = genie.config.tokenizer, genie.config.dynamics
    past = tokenizer.num_tokens, dynamics.context
    return {
        "imageSize": list(tokenizer.image_size),
        "grid": list(dynamics.grid),
        "framesPerSecond": genie.config.frames_per_second,
        "numCodes": dynamics.num_codes,
        "context": dynamics.context,
        "reach": reaches(dynamics.context),
        "minP": genie.dynamics.min_p,
        "keepsDetail": tokenizer.keeps_detail,
        "actionNames": check_action_names(action_names, dynamics.num_actions),
        "past": {
            "step": past_shape(dynamics.transformer, *past),
            "decoder": past_shape(tokenizer.decoder, *past),
        },
    }


def past_inputs(config: GenieConfig, stack: STTransformerConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of a graph's inputs that hold its past, by name."""
    context = config.dynamics.context
    num_blocks, *shape = past_shape(stack, config.tokenizer.num_tokens, context)
    past = {name: tuple(shape) for name in past_names(num_blocks)}
    return {"position": (1,), "attention_mask": (context - 1,), **past}


def check_pasts(pasts: Any, batch: int, session: Session) -> None:
    """Raise a GenieError unless these are the pasts of so many worlds, as a graph keeps them."""
    if not isinstance(pasts, Pasts) or len(pasts) != batch:
        raise GenieError(f"the cache must be that of {batch} worlds, from prefill or decode_next")
    if any([tensor.shape for tensor in past.tensors] != session.past for past in pasts):
        raise GenieError("the cache belongs to another graph")


class _ExportedDynamics(FrameSampler):
    """The dynamics model of an export, for `Rollout`: lists of pasts take the place of a
    `KVCache`.
    """

    def __init__(self, dynamics: DynamicsModel, session: "Session"):
        self._session = session
        self.look_back(dynamics.config)
        self.num_tokens, self.num_actions = dynamics.num_tokens, dynamics.num_actions
        self.mask_token, self.min_p = dynamics.mask_token, dynamics.min_p

    def look_back(self, config: DynamicsConfig) -> None:
        """Choose earlier frames as this says from now on; all else in it is as it was."""
        self.config, self._lookback = config, LOOKBACKS[config.lookback](config.context)

    @property
    def device(self) -> torch.device:
        """See `FrameSampler.device`."""
        return torch.device("cpu")

    def check_cache(self, cache: Pasts, batch: int) -> None:
        """See `DynamicsModel.check_cache`."""
        check_pasts(cache, batch, self._session)

    def predict_logits(self, tokens: Tensor, actions: Tensor, pasts: "Pasts") -> Tensor:
        """See `DynamicsModel.predict_logits`."""
        logits = [self._run(*inputs)[0] for inputs in zip(tokens, actions, pasts, strict=True)]
        return torch.from_numpy(np.stack(logits))

    def prefill(self, tokens: Tensor, actions: Tensor) -> "Pasts":
        """See `DynamicsModel.prefill`."""
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token + 1)
        # nothing led to the first frame
        actions = torch.nn.functional.pad(actions, (1, 0), value=-1)
        pasts = Pasts(self._session.empty(self._lookback) for _ in tokens)
        return self._keep(pasts, tokens, actions)

    def append(self, pasts: "Pasts", tokens: Tensor, actions: Tensor) -> "Pasts":
        """See `DynamicsModel.append`."""
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token + 1, led=1)
        self.check_cache(pasts, len(tokens))
        return self._keep(pasts, tokens, actions)

    def _keep(self, pasts, tokens, actions):
        for t in range(tokens.shape[1]):
            frame = tokens[:, t]
            presents = [
                self._run(*inputs)[1:] for inputs in zip(frame, actions[:, t], pasts, strict=True)
            ]
            pasts = pasts.after(frame.numpy(), presents)
        return pasts

    def _run(self, tokens, action, past):
        return self._session.run(
            past, tokens=tokens.int().numpy(), action=action[None].int().numpy()
        )


class _ExportedTokenizer:
    """The tokenizer of an export, for `Rollout` and the scores."""

    def __init__(self, tokenizer: Tokenizer, encoder: Session, decoder: Session, context: int):
        self.config, self._tokenizer = tokenizer.config, tokenizer
        self._lookback = Lookback(context)
        self._encoder, self._decoder = encoder, decoder

    def encode(self, frames: Tensor) -> Tensor:
        """See `Tokenizer.encode`. The exported encoder takes one picture; longer clips, of
        scores only, go through PyTorch.
        """
        frames = check_frames(frames, self.config.image_size, torch.device("cpu"))
        if frames.shape[1] > 1:
            return self._tokenizer.encode(frames).cpu()
        tokens = [self._encoder.run(picture=picture.numpy())[0] for picture in frames[:, 0]]
        return torch.from_numpy(np.stack(tokens)).long()[:, None]

    def decode(self, tokens: Tensor) -> Tensor:
        """See `Tokenizer.decode`."""
        return self.decode_next(tokens, None)[0]

    def decode_next(self, tokens: Tensor, pasts: Pasts | None) -> tuple[Tensor, Pasts]:
        """See `Tokenizer.decode_next`; the pasts that it returns hold the past too."""
        tokens = check_indices(
            "tokens",
            tokens,
            ("batch", "time", self.config.num_tokens),
            self.config.quantizer.num_codes,
            torch.device("cpu"),
        )
        if pasts is None:
            pasts = Pasts(self._decoder.empty(self._lookback) for _ in tokens)
        check_pasts(pasts, len(tokens), self._decoder)
        frames = []
        for t in range(tokens.shape[1]):
            results = [
                self._decoder.run(past, tokens=frame.int().numpy())
                for frame, past in zip(tokens[:, t], pasts, strict=True)
            ]
            pasts = pasts.after(tokens[:, t].numpy(), [result[1:] for result in results])
            frames.append(np.stack([result[0] for result in results]))
        return torch.from_numpy(np.stack(frames, axis=1)), pasts


class ExportedGenie:
    """An export, played by onnxruntime: `Rollout` and the scores take it in place of a `Genie`.

    Args:
        genie: the Genie that was exported, for its configuration and its latent action model.
        folder: where `export` wrote.
        variant: one of `VARIANTS`.
    """

    def __init__(self, genie: Genie, folder: str | Path, variant: str):
        check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
        check_choice("variant", variant, VARIANTS)
        folder = Path(check_path("folder", folder))
        config = genie.config
        tokens = {"tokens": (config.tokenizer.num_tokens,)}
        shapes: dict[str, dict[str, tuple[int, ...]]] = {
            "step": {**tokens, "action": (1,), **past_inputs(config, config.dynamics.transformer)},
            "decoder": {**tokens, **past_inputs(config, config.tokenizer.decoder)},
            "encoder": {"picture": (*config.tokenizer.image_size, 3)},
        }
        step, decoder, encoder = (
            Session(folder / f"{name}.{variant}.onnx", inputs) for name, inputs in shapes.items()
        )
        self.device = torch.device("cpu")
        self.config, self.latent_action_model = config, genie.latent_action_model
        self.dynamics = _ExportedDynamics(genie.dynamics, step)
        self.tokenizer = _ExportedTokenizer(
            genie.tokenizer, encoder, decoder, config.dynamics.context
        )

    def eval(self) -> "ExportedGenie":
        """An export does not learn."""
        return self

    def with_lookback(self, lookback: str) -> "ExportedGenie":
        """See `Genie.with_lookback`; the graphs are the same, and shared."""
        other = copy.copy(self)
        dynamics = replace(self.config.dynamics, lookback=lookback)
        other.config = replace(self.config, dynamics=dynamics)
        other.dynamics = copy.copy(self.dynamics)
        other.dynamics.look_back(dynamics)
        return other

    def play(self, prompt: Tensor, seed: int = 0) -> PlaySession:
        """See `Genie.play`."""
        return PlaySession(self, prompt, seed)


@torch.no_grad()
def logit_difference(genie: Genie, exported: ExportedGenie, num_frames: int = 24) -> float:
    """Largest difference between the logits of an export and of PyTorch for the same tokens, the
    window and more.
    """
    check_parts(genie, "config", "dynamics")
    check_parts(exported, "config", "dynamics")
    check_integer("num_frames", num_frames, 2)
    generator = torch.Generator().manual_seed(0)
    config = genie.config.dynamics
    tokens = torch.randint(
        config.num_codes, (num_frames, 1, genie.config.tokenizer.num_tokens), generator=generator
    )
    actions = torch.randint(config.num_actions, (num_frames, 1), generator=generator)
    masked = torch.full_like(tokens[0], genie.dynamics.mask_token)
    models: list[tuple[Any, torch.device]] = [
        (model.dynamics, model.device) for model in (genie, exported)
    ]
    caches = [
        dynamics.prefill(tokens[:1].to(device), actions[:1, :0].to(device))
        for dynamics, device in models
    ]
    largest = 0.0
    for t in range(1, num_frames):
        ours, theirs = (
            dynamics.predict_logits(
                masked.to(device), actions[t].to(device), cache.preallocate(1)
            ).cpu()
            for (dynamics, device), cache in zip(models, caches, strict=True)
        )
        largest = max(largest, (ours - theirs).abs().max().item())
        frame, action = tokens[t : t + 1], actions[t : t + 1]
        caches = [
            dynamics.append(cache, frame.to(device), action.to(device))
            for (dynamics, device), cache in zip(models, caches, strict=True)
        ]
    return largest
