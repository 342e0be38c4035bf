"""Taking a trained Genie out of PyTorch: ONNX files that onnxruntime plays, in a web page too.

Three graphs are enough to play. `step` runs one frame through the dynamics model beside the keys and values of the past:
the same graph takes in a prompt, refines a frame over the rounds of MaskGIT, and remembers it when it is finished.
`decoder` draws a frame from its tokens in the same way. `encoder` turns one picture into tokens. The latent action model stays
behind: at play the action comes from a person (paper, Section 2.2).

All shapes are fixed, for one world at a time. The past is a ring of `context - 1` places; `visible` says which of them hold a
frame. Their order does not matter, since each key was turned by its own frame's position.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from genie_mini.controls import check_action_names
from genie_mini.dynamics import DynamicsModel
from genie_mini.genie import Genie, write_whole
from genie_mini.st_transformer import STTransformer

GRAPHS = ("step", "decoder", "encoder")
VARIANTS = ("fp32", "fp16", "int8")  # how the weights are stored; all compute in float32, int8 multiplies in integers
PARITY = 1e-4  # largest difference of logits that a float32 export may have
_OPSET = 20


def _frame_beside_past(transformer: STTransformer, x, position, visible, past):
    """One frame x (1, 1, N, width) through a stack, beside the visible places of a past: keys and values of each block in turn.

    What `STTransformer` computes, but for one thing: past and present are not joined before attention. Joining copies the whole past, which
    in a browser takes longer than attending to it.
    """
    space = transformer.space_cosine, transformer.space_sine
    time = transformer.time_rotation(1, position, x.device)
    presents = []
    for block, keys, values in zip(transformer.blocks, past[::2], past[1::2], strict=True):
        x = x + block.spatial.attend(*block.spatial.project(block.spatial_norm(x)[0], *space))
        query, key, value = block.temporal.project(block.temporal_norm(x)[0].transpose(0, 1), *time)
        scores = torch.cat([(query @ keys.mT).masked_fill(~visible, -torch.inf), query @ key.mT], dim=-1)
        weights = (scores / block.temporal.head_width**0.5).softmax(dim=-1)
        mixed = weights[..., :-1] @ values + weights[..., -1:] * value
        x = x + block.temporal.to_output(mixed.transpose(1, 2).flatten(2)).transpose(0, 1)
        x = x + block.feedforward(block.feedforward_norm(x))
        presents += [key, value]
    return transformer.norm(x)[0, 0], presents


class _Step(nn.Module):
    """tokens (N,) int32, action (1,) int32 (-1: none led here), position (1,), past -> logits (N, codes), present."""

    def __init__(self, dynamics):
        super().__init__()
        self.dynamics = dynamics

    def forward(self, tokens, position, visible, action, *past):
        dynamics = self.dynamics
        chosen = (torch.arange(dynamics.config.num_actions) == action).float()
        x = dynamics.embed_token(tokens.long()) + dynamics.position + chosen @ dynamics.embed_action.weight
        x, presents = _frame_beside_past(dynamics.transformer, x[None, None], position, visible, past)
        return dynamics.to_logits(x), *presents


class _Decoder(nn.Module):
    """tokens (N,) int32, position (1,), past -> frame (height, width, 3) in [0, 1], present."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self.codes = nn.Buffer(tokenizer.quantizer.lookup(torch.arange(tokenizer.config.quantizer.num_codes)).detach())

    def forward(self, tokens, position, visible, *past):
        tokenizer = self.tokenizer
        x = tokenizer.from_code(self.codes[tokens.long()]) + tokenizer.decoder_position
        x, presents = _frame_beside_past(tokenizer.decoder, x[None, None], position, visible, past)
        return tokenizer.to_frames(x[None, None])[0, 0].clamp(0, 1), *presents


class _Encoder(nn.Module):
    """picture (height, width, 3) in [0, 1] -> tokens (N,) int32."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, picture):
        continuous = self.tokenizer.encode_continuous(picture[None, None])
        return self.tokenizer.quantizer.nearest(continuous)[0, 0].int()


def _past_shape(transformer: STTransformer, places: int) -> tuple[int, ...]:
    """(blocks, N, heads, places, head width)"""
    config = transformer.config
    return config.num_blocks, config.num_tokens, config.num_heads, places, config.head_width


def _past_names(num_blocks):
    return [f"{kind}_{block}" for block in range(num_blocks) for kind in ("keys", "values")]


def _graphs(genie: Genie):
    """For each graph its module, example inputs by name, and the names of its outputs."""
    tokenizer, dynamics = genie.tokenizer, genie.dynamics
    places = dynamics.config.context - 1
    tokens = torch.arange(tokenizer.config.num_tokens, dtype=torch.int32) % tokenizer.config.quantizer.num_codes
    shared = {"tokens": tokens, "position": torch.tensor([5.0]), "visible": torch.arange(places) < 3}

    def graph(module, transformer, inputs, output):
        num_blocks, *shape = _past_shape(transformer, places)
        names = _past_names(num_blocks)
        inputs = {**shared, **inputs, **{name: torch.randn(shape) for name in names}}
        return module, inputs, [output, *(f"new_{name}" for name in names)]

    return {
        "step": graph(_Step(dynamics), dynamics.transformer, {"action": torch.tensor([1], dtype=torch.int32)}, "logits"),
        "decoder": graph(_Decoder(tokenizer), tokenizer.decoder, {}, "frame"),
        "encoder": (_Encoder(tokenizer), {"picture": torch.rand(*tokenizer.config.image_size, 3)}, ["tokens"]),
    }


@contextmanager
def _quiet():
    """Keep back what exporter and quantiser have to say: of torchvision, of their own old code, of a step that changes nothing here."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.disable(disabled)


def _as_onnx(module, inputs, outputs):
    """Trace a module into an ONNX model that says nothing of this machine."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=outputs, opset_version=_OPSET, dynamo=True, verbose=False
        )
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")  # file names and line numbers
        part.ClearField("doc_string")
    return model


def _store_in_half(model):
    """Store the weights in float16 and widen them to float32 when the model is loaded: half the size, the same operations."""
    from onnx import TensorProto, helper, numpy_helper

    stored = type(model)()
    stored.CopyFrom(model)
    casts = []
    for weight in stored.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) > 64:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    stored.graph.ClearField("node")
    stored.graph.node.extend(nodes)
    return stored


def _multiply_in_bytes(model):
    """Multiply matrices in int8, one scale a column (dynamic quantisation), and store the rest in float16."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "model.onnx"
        quantize_dynamic(model, target, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)
        return _store_in_half(onnx.load(target))


def export(genie: Genie, folder: str | Path, variants: Sequence[str] = VARIANTS, action_names: list[str] | None = None) -> dict[str, float]:
    """Write a Genie as ONNX: a file GRAPH.VARIANT.onnx for each graph and variant, and world.json, which a player reads.

    Args:
        genie: the trained networks.
        folder: made if need be; each file is written whole or not at all.
        variants: some of `VARIANTS`.
        action_names: what each latent action means; None if unknown.

    Returns:
        For each variant the largest difference of its logits from PyTorch's, over a roll-out that is longer than the window.

    Raises:
        ValueError: a variant is unknown, the dynamics model looks back in another way than the paper's, a package for exporting is
            missing, or float32 logits differ by more than `PARITY`.
    """
    unknown = sorted(set(variants) - set(VARIANTS))
    if unknown or not variants:
        raise ValueError(f"variants are some of {', '.join(VARIANTS)}, got {', '.join(unknown) or 'none'}")
    if genie.config.dynamics.lookback != "recent":
        raise ValueError(f'only the look-back "recent" can be exported, this Genie has "{genie.config.dynamics.lookback}"')
    _needs_onnx()
    convert = {"fp32": lambda model: model, "fp16": _store_in_half, "int8": _multiply_in_bytes}
    genie, folder = genie.eval(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: _as_onnx(*graph) for name, graph in _graphs(genie).items()}
    for variant in variants:
        for name, model in models.items():
            write_whole(folder / f"{name}.{variant}.onnx", convert[variant](model).SerializeToString())
    write_whole(folder / "world.json", json.dumps(describe(genie, action_names), indent=1).encode() + b"\n")
    differences = {variant: logit_difference(genie, ExportedGenie(genie, folder, variant)) for variant in variants}
    if differences.get("fp32", 0.0) > PARITY:
        raise ValueError(f"the exported logits differ from PyTorch's by {differences['fp32']:.2g}; at most {PARITY:g} is accepted")
    return differences


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
        "past": {"step": _past_shape(dynamics.transformer, places), "decoder": _past_shape(tokenizer.decoder, places)},
    }


def _needs_onnx():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"exporting needs the package {error.name}: pip install 'genie-mini[export]'") from error


@dataclass
class _Ring:
    """The past of one world, outside PyTorch: see the head of this file. `tensors` are keys and values of each block in turn."""

    tensors: list[np.ndarray]
    visible: np.ndarray
    position: int = 0

    def feed(self):
        """Inputs of a graph."""
        past = dict(zip(_past_names(len(self.tensors) // 2), self.tensors, strict=True))
        return {**past, "visible": self.visible, "position": np.array([self.position], np.float32)}

    def after(self, *presents):
        """The past with one more frame in it, in the place of the oldest."""
        tensors, visible = [tensor.copy() for tensor in self.tensors], self.visible.copy()
        place = self.position % len(visible)
        visible[place] = True
        for tensor, present in zip(tensors, presents, strict=True):
            tensor[:, :, place] = present[:, :, 0]
        return _Ring(tensors, visible, self.position + 1)


class _Session:
    """One graph with a past, run by onnxruntime."""

    def __init__(self, path: Path, past_shape):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self._past_shape = past_shape

    def empty(self):
        num_blocks, *shape = self._past_shape
        return _Ring([np.zeros(shape, np.float32)] * (2 * num_blocks), np.zeros(shape[2], bool))

    def run(self, ring, **inputs):
        return self.session.run(None, {**inputs, **ring.feed()})


class _ExportedDynamics:
    """The dynamics model of an export, for `Rollout`: lists of rings take the place of a `Past`."""

    sample = DynamicsModel.sample

    def __init__(self, dynamics, session):
        self.config, self.mask_token, self._session = dynamics.config, dynamics.mask_token, session

    def guess(self, tokens, actions, rings):
        """See `DynamicsModel.guess`."""
        return torch.stack([self._run(*inputs)[0] for inputs in zip(tokens, actions, rings, strict=True)])

    def remember(self, tokens, actions, rings=None):
        """See `DynamicsModel.remember`."""
        if actions.shape[1] == tokens.shape[1] - 1:
            actions = torch.nn.functional.pad(actions, (1, 0), value=-1)  # nothing led to the first frame
        rings = rings or [self._session.empty() for _ in tokens]
        for t in range(tokens.shape[1]):
            rings = _Rings(self._run(*inputs)[1] for inputs in zip(tokens[:, t], actions[:, t], rings, strict=True))
        return rings

    def _run(self, tokens, action, ring):
        logits, *present = self._session.run(ring, tokens=tokens.int().numpy(), action=action[None].int().numpy())
        return torch.from_numpy(logits), ring.after(*present)


class _Rings(list):
    """The pasts of several worlds."""

    def with_room(self, num_frames):
        """What `DynamicsModel.sample` asks of a past; a ring always has room."""
        return self

    def extend(self, present, window):
        """What `Rollout` asks of the decoder's past; `decode_next` has put the new frames in already."""
        return present


class _ExportedTokenizer:
    """The tokenizer of an export, for `Rollout` and the scores."""

    def __init__(self, tokenizer, encoder, decoder):
        self.config, self._tokenizer, self._encoder, self._decoder = tokenizer.config, tokenizer, encoder, decoder

    def encode(self, frames):
        """See `VideoTokenizer.encode`. The exported encoder takes one picture; longer clips, of scores only, go through PyTorch."""
        if frames.shape[1] > 1:
            return self._tokenizer.encode(frames)
        tokens = [self._encoder.run(None, {"picture": picture.numpy()})[0] for picture in frames[:, 0]]
        return torch.from_numpy(np.stack(tokens)).long()[:, None]

    def decode(self, tokens):
        """See `VideoTokenizer.decode`."""
        return self.decode_next(tokens, None)[0]

    def decode_next(self, tokens, rings):
        """See `VideoTokenizer.decode_next`; the rings that it returns hold the past too."""
        rings, frames = rings or [self._decoder.empty() for _ in tokens], []
        for t in range(tokens.shape[1]):
            results = [self._decoder.run(ring, tokens=frame.int().numpy()) for frame, ring in zip(tokens[:, t], rings, strict=True)]
            rings = _Rings(ring.after(*result[1:]) for ring, result in zip(rings, results, strict=True))
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
        step, decoder = (_Session(Path(folder) / f"{name}.{variant}.onnx", shapes[name]) for name in ("step", "decoder"))
        encoder = _Session(Path(folder) / f"encoder.{variant}.onnx", None)
        self.config, self.latent_action_model = genie.config, genie.latent_action_model
        self.dynamics, self.tokenizer = _ExportedDynamics(genie.dynamics, step), _ExportedTokenizer(genie.tokenizer, encoder.session, decoder)

    def eval(self):
        """An export does not learn."""
        return self


@torch.no_grad()
def logit_difference(genie: Genie, exported: ExportedGenie, num_frames: int = 24) -> float:
    """Largest difference between the logits of an export and of PyTorch for the same tokens, the window and more."""
    generator = torch.Generator().manual_seed(0)
    config = genie.config.dynamics
    tokens = torch.randint(config.num_codes, (num_frames, 1, genie.config.tokenizer.num_tokens), generator=generator)
    actions = torch.randint(config.num_actions, (num_frames, 1), generator=generator)
    hidden = torch.full_like(tokens[0], genie.dynamics.mask_token)
    none = actions[:1, :0]
    past, rings = (model.dynamics.remember(tokens[:1], none) for model in (genie, exported))
    largest = 0.0
    for t in range(1, num_frames):
        ours, theirs = genie.dynamics.guess(hidden, actions[t], past), exported.dynamics.guess(hidden, actions[t], rings)
        largest = max(largest, (ours - theirs).abs().max().item())
        past = genie.dynamics.remember(tokens[t : t + 1], actions[t : t + 1], past)
        rings = exported.dynamics.remember(tokens[t : t + 1], actions[t : t + 1], rings)
    return largest
