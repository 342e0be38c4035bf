"""An export, played by onnxruntime: `Rollout` and the scores take it in place of a `Genie`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genie_mini.evaluation.action_names import check_action_names
from genie_mini.genie import Genie
from genie_mini.models.dynamics import DynamicsModel
from genie_mini.models.maskgit import FrameSampler
from genie_mini.models.st_transformer import STTransformer
from genie_mini.models.tokenizer import VideoTokenizer


def past_shape(transformer: STTransformer, places: int) -> tuple[int, ...]:
    """The shape of a graph's past: (blocks, N, heads, places, head width)."""
    config = transformer.config
    return (
        config.num_blocks,
        transformer.num_tokens,
        config.num_heads,
        places,
        config.features_per_head,
    )


def past_names(num_blocks: int) -> list[str]:
    """The names by which a graph takes in its past, block by block."""
    return [f"{kind}_{block}" for block in range(num_blocks) for kind in ("keys", "values")]


def describe(genie: Genie, action_names: list[str] | None) -> dict:
    """What a player must know of a world besides its graphs."""
    tokenizer, dynamics = genie.tokenizer, genie.dynamics
    places = dynamics.config.context - 1
    return {
        "imageSize": list(tokenizer.config.image_size),
        "grid": list(dynamics.config.grid),
        "numCodes": dynamics.config.num_codes,
        "context": dynamics.config.context,
        "actionNames": check_action_names(action_names, dynamics.config.num_actions),
        "past": {
            "step": past_shape(dynamics.transformer, places),
            "decoder": past_shape(tokenizer.decoder, places),
        },
    }


@dataclass
class _Ring:
    """The past of one world, outside PyTorch; see `genie_mini.export.graphs`. `tensors` are keys
    and values of each block in turn.
    """

    tensors: list[np.ndarray]
    attention_mask: np.ndarray
    position: int = 0

    def feed(self) -> dict[str, np.ndarray]:
        """Inputs of a graph."""
        past = dict(zip(past_names(len(self.tensors) // 2), self.tensors, strict=True))
        return {
            **past,
            "attention_mask": self.attention_mask,
            "position": np.array([self.position], np.float32),
        }

    def after(self, *presents: np.ndarray) -> "_Ring":
        """The past with one more frame in it, in the place of the oldest."""
        tensors = [tensor.copy() for tensor in self.tensors]
        attention_mask = self.attention_mask.copy()
        place = self.position % len(attention_mask)
        attention_mask[place] = True
        for tensor, present in zip(tensors, presents, strict=True):
            tensor[:, :, place] = present[:, :, 0]
        return _Ring(tensors, attention_mask, self.position + 1)


class _Session:
    """One graph with a past, run by onnxruntime."""

    def __init__(self, path: Path, past_shape: tuple[int, ...] | None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self._past_shape = past_shape

    def empty(self) -> _Ring:
        assert self._past_shape is not None, "the encoder has no past"
        num_blocks, *shape = self._past_shape
        return _Ring([np.zeros(shape, np.float32)] * (2 * num_blocks), np.zeros(shape[2], bool))

    def run(self, ring: _Ring, **inputs: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {**inputs, **ring.feed()})


class _ExportedDynamics(FrameSampler):
    """The dynamics model of an export, for `Rollout`: lists of rings take the place of a
    `KVCache`.
    """

    def __init__(self, dynamics: DynamicsModel, session: "_Session"):
        self.config, self._session = dynamics.config, session
        self.num_tokens, self.mask_token = dynamics.num_tokens, dynamics.mask_token

    def predict_logits(self, tokens: Tensor, actions: Tensor, rings: "_Rings") -> Tensor:
        """See `DynamicsModel.predict_logits`."""
        return torch.stack(
            [self._run(*inputs)[0] for inputs in zip(tokens, actions, rings, strict=True)]
        )

    def prefill(self, tokens: Tensor, actions: Tensor) -> "_Rings":
        """See `DynamicsModel.prefill`."""
        # nothing led to the first frame
        actions = torch.nn.functional.pad(actions, (1, 0), value=-1)
        return self.append(_Rings(self._session.empty() for _ in tokens), tokens, actions)

    def append(self, rings: "_Rings", tokens: Tensor, actions: Tensor) -> "_Rings":
        """See `DynamicsModel.append`."""
        for t in range(tokens.shape[1]):
            rings = _Rings(
                self._run(*inputs)[1]
                for inputs in zip(tokens[:, t], actions[:, t], rings, strict=True)
            )
        return rings

    def _run(self, tokens, action, ring):
        logits, *present = self._session.run(
            ring, tokens=tokens.int().numpy(), action=action[None].int().numpy()
        )
        return torch.from_numpy(logits), ring.after(*present)


class _Rings(list):
    """The pasts of several worlds."""

    def preallocate(self, num_frames: int) -> "_Rings":
        """What `DynamicsModel.sample` asks of a past; a ring always has room."""
        return self

    def append(self, present: "_Rings", window: int) -> "_Rings":  # type: ignore[override]
        """What `Rollout` asks of the decoder's past; `decode_next` has put the new frames in
        already.
        """
        return present


class _ExportedTokenizer:
    """The tokenizer of an export, for `Rollout` and the scores."""

    def __init__(self, tokenizer: VideoTokenizer, encoder: _Session, decoder: _Session):
        self.config, self._tokenizer = tokenizer.config, tokenizer
        self._encoder, self._decoder = encoder, decoder

    def encode(self, frames: Tensor) -> Tensor:
        """See `VideoTokenizer.encode`. The exported encoder takes one picture; longer clips, of
        scores only, go through PyTorch.
        """
        if frames.shape[1] > 1:
            return self._tokenizer.encode(frames)
        tokens = [
            self._encoder.session.run(None, {"picture": picture.numpy()})[0]
            for picture in frames[:, 0]
        ]
        return torch.from_numpy(np.stack(tokens)).long()[:, None]

    def decode(self, tokens: Tensor) -> Tensor:
        """See `VideoTokenizer.decode`."""
        return self.decode_next(tokens, None)[0]

    def decode_next(self, tokens: Tensor, rings: _Rings | None) -> tuple[Tensor, _Rings]:
        """See `VideoTokenizer.decode_next`; the rings that it returns hold the past too."""
        rings, frames = rings or _Rings(self._decoder.empty() for _ in tokens), []
        for t in range(tokens.shape[1]):
            results = [
                self._decoder.run(ring, tokens=frame.int().numpy())
                for frame, ring in zip(tokens[:, t], rings, strict=True)
            ]
            rings = _Rings(
                ring.after(*result[1:]) for ring, result in zip(rings, results, strict=True)
            )
            frames.append(np.stack([result[0] for result in results]))
        return torch.from_numpy(np.stack(frames, axis=1)), rings


class ExportedGenie:
    """An export, played by onnxruntime: `Rollout` and the scores take it in place of a `Genie`.

    Args:
        genie: the Genie that was exported, for its configuration and its latent action model.
        folder: where `export` wrote.
        variant: one of `VARIANTS`.
    """

    def __init__(self, genie: Genie, folder: Path, variant: str):
        shapes = describe(genie, None)["past"]
        step, decoder = (
            _Session(Path(folder) / f"{name}.{variant}.onnx", shapes[name])
            for name in ("step", "decoder")
        )
        encoder = _Session(Path(folder) / f"encoder.{variant}.onnx", None)
        self.device = torch.device("cpu")
        self.config, self.latent_action_model = genie.config, genie.latent_action_model
        self.dynamics = _ExportedDynamics(genie.dynamics, step)
        self.tokenizer = _ExportedTokenizer(genie.tokenizer, encoder, decoder)

    def eval(self) -> "ExportedGenie":
        """An export does not learn."""
        return self


@torch.no_grad()
def logit_difference(genie: Genie, exported: ExportedGenie, num_frames: int = 24) -> float:
    """Largest difference between the logits of an export and of PyTorch for the same tokens, the
    window and more.
    """
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
            dynamics.predict_logits(masked.to(device), actions[t].to(device), cache).cpu()
            for (dynamics, device), cache in zip(models, caches, strict=True)
        )
        largest = max(largest, (ours - theirs).abs().max().item())
        frame, action = tokens[t : t + 1], actions[t : t + 1]
        caches = [
            dynamics.append(cache, frame.to(device), action.to(device))
            for (dynamics, device), cache in zip(models, caches, strict=True)
        ]
    return largest
