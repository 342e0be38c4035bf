"""Taking a trained Genie out of PyTorch: ONNX files that onnxruntime plays, in a web page too.

Three graphs are enough to play. `step` runs one frame through the dynamics model beside the keys and values of the past:
the same graph takes in a prompt, refines a frame over the rounds of MaskGIT, and remembers it when it is finished.
`decoder` draws a frame from its tokens in the same way. `encoder` turns one picture into tokens. The latent action model stays
behind: at play the action comes from a person (paper, Section 2.2).

All shapes are fixed, for one world at a time. The past is a ring of `context - 1` places; `visible` says which of them hold a
frame. Their order does not matter, since each key was turned by its own frame's position.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from genie_mini.controls import check_action_names
from genie_mini.dynamics import DynamicsModel
from genie_mini.genie import Genie, write_whole
from genie_mini.st_transformer import Past, STTransformer

GRAPHS = ("step", "decoder", "encoder")
VARIANTS = ("fp32", "fp16", "int8")  # how the weights are stored; all compute in float32, int8 multiplies in integers
PARITY = 1e-4  # largest difference of logits that a float32 export may have
_OPSET = 20


def _frame_beside_past(transformer: STTransformer, x, position, keys, values, visible):
    """One frame x (1, 1, N, width) through a stack, attending to the visible places of a past (blocks, N, heads, places, head width)."""
    rotations = (transformer.space_cosine, transformer.space_sine), transformer.time_rotation(1, position, x.device)
    mask = torch.cat([visible, torch.ones_like(visible[:1])])[None]
    present_keys, present_values = [], []
    for index, block in enumerate(transformer.blocks):
        put_first = Past([keys[index]], [values[index]]).of_block(0)
        x, (key, value) = block(x, rotations, put_first, mask, causal=False)
        present_keys.append(key)
        present_values.append(value)
    return transformer.norm(x)[0, 0], torch.stack(present_keys), torch.stack(present_values)


class _Step(nn.Module):
    """tokens (N,) int32, action (1,) int32 (-1: none led here), position (1,), past -> logits (N, codes), present."""

    def __init__(self, dynamics):
        super().__init__()
        self.dynamics = dynamics

    def forward(self, tokens, action, position, keys, values, visible):
        dynamics = self.dynamics
        chosen = (torch.arange(dynamics.config.num_actions) == action).float()
        x = dynamics.embed_token(tokens.long()) + dynamics.position + chosen @ dynamics.embed_action.weight
        x, *present = _frame_beside_past(dynamics.transformer, x[None, None], position, keys, values, visible)
        return dynamics.to_logits(x), *present


class _Decoder(nn.Module):
    """tokens (N,) int32, position (1,), past -> frame (height, width, 3) in [0, 1], present."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self.codes = nn.Buffer(tokenizer.quantizer.lookup(torch.arange(tokenizer.config.quantizer.num_codes)).detach())

    def forward(self, tokens, position, keys, values, visible):
        tokenizer = self.tokenizer
        x = tokenizer.from_code(self.codes[tokens.long()]) + tokenizer.decoder_position
        x, *present = _frame_beside_past(tokenizer.decoder, x[None, None], position, keys, values, visible)
        return tokenizer.to_frames(x[None, None])[0, 0].clamp(0, 1), *present


class _Encoder(nn.Module):
    """picture (height, width, 3) in [0, 1] -> tokens (N,) int32."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, picture):
        continuous = self.tokenizer.encode_continuous(picture[None, None])
        return self.tokenizer.quantizer.nearest(continuous)[0, 0].int()


def _past_shape(transformer: STTransformer, places: int) -> tuple[int, ...]:
    config = transformer.config
    return config.num_blocks, config.num_tokens, config.num_heads, places, config.head_width


def _graphs(genie: Genie):
    """For each graph its module, example inputs by name, and the names of its outputs."""
    tokenizer, dynamics = genie.tokenizer, genie.dynamics
    places = dynamics.config.context - 1
    position, visible = torch.tensor([5.0]), torch.arange(places) < 3

    def past(transformer):
        return {name: torch.randn(_past_shape(transformer, places)) for name in ("keys", "values")}

    tokens = torch.arange(tokenizer.config.num_tokens, dtype=torch.int32) % tokenizer.config.quantizer.num_codes
    shared = {"tokens": tokens, "position": position, "visible": visible}
    present = ["new_keys", "new_values"]
    return {
        "step": (_Step(dynamics), {**shared, "action": torch.tensor([1], dtype=torch.int32), **past(dynamics.transformer)}, ["logits", *present]),
        "decoder": (_Decoder(tokenizer), {**shared, **past(tokenizer.decoder)}, ["frame", *present]),
        "encoder": (_Encoder(tokenizer), {"picture": torch.rand(*tokenizer.config.image_size, 3)}, ["tokens"]),
    }  # fmt: skip


def _as_onnx(module, inputs, outputs):
    """Trace a module into an ONNX model that says nothing of this machine."""
    program = torch.onnx.export(
        module.eval(), kwargs=inputs, input_names=list(inputs), output_names=outputs, opset_version=_OPSET, dynamo=True, verbose=False
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

    with tempfile.TemporaryDirectory() as folder:
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
    """The past of one world, outside PyTorch: see the head of this file."""

    keys: np.ndarray
    values: np.ndarray
    visible: np.ndarray
    position: int = 0

    def feed(self):
        """Inputs of a graph."""
        return {"keys": self.keys, "values": self.values, "visible": self.visible, "position": np.array([self.position], np.float32)}

    def after(self, new_keys, new_values):
        """The past with one more frame in it, in the place of the oldest."""
        keys, values, visible = self.keys.copy(), self.values.copy(), self.visible.copy()
        place = self.position % len(visible)
        keys[:, :, :, place], values[:, :, :, place], visible[place] = new_keys[:, :, :, 0], new_values[:, :, :, 0], True
        return _Ring(keys, values, visible, self.position + 1)


class _Session:
    """One graph with a past, run by onnxruntime."""

    def __init__(self, path: Path, past_shape):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self._past_shape = past_shape

    def empty(self):
        past = np.zeros(self._past_shape, np.float32)
        return _Ring(past, past, np.zeros(self._past_shape[3], bool))

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
