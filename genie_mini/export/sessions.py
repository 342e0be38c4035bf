"""Graphs as onnxruntime runs them, and the past of a world outside PyTorch: a ring of arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genie_mini.device import PLAY_THREADS
from genie_mini.errors import GenieError, how_to_install
from genie_mini.models.st_transformer import STTransformerConfig

# how the weights are stored; all compute in float32, int8 multiplies in integers
VARIANTS = ("fp32", "fp16", "int8")


def past_shape(stack: STTransformerConfig, num_tokens: int, context: int) -> tuple[int, ...]:
    """The shape of a graph's past: (blocks, N, heads, context - 1, head width)."""
    return stack.num_blocks, num_tokens, stack.num_heads, context - 1, stack.features_per_head


def past_names(num_blocks: int) -> list[str]:
    """The names by which a graph takes in its past, block by block."""
    return [f"{kind}_{block}" for block in range(num_blocks) for kind in ("keys", "values")]


@dataclass
class Ring:
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

    def after(self, *presents: np.ndarray) -> "Ring":
        """The past with one more frame in it, in the place of the oldest."""
        tensors = [tensor.copy() for tensor in self.tensors]
        attention_mask = self.attention_mask.copy()
        place = self.position % len(attention_mask)
        attention_mask[place] = True
        for tensor, present in zip(tensors, presents, strict=True):
            tensor[:, :, place] = present[:, :, 0]
        return Ring(tensors, attention_mask, self.position + 1)


class Session:
    """One graph, run by onnxruntime.

    Args:
        path: its file.
        inputs: the shape of each of its inputs, by name.

    Raises:
        GenieError: onnxruntime is missing, or the file, or it is not such a graph.
    """

    def __init__(self, path: Path, inputs: dict[str, tuple[int, ...]]):
        try:
            import onnxruntime
        except ImportError as error:
            raise GenieError(
                f"playing an export needs onnxruntime: {how_to_install('export')}"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = PLAY_THREADS
        try:
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options)
        # onnxruntime's exceptions have no base but this, and OSError is one too
        except Exception as error:
            raise GenieError(f"{path} is not an exported graph: {error}") from error
        found = {node.name: tuple(node.shape) for node in self.session.get_inputs()}
        if found != inputs:
            raise GenieError(
                f"{path} is the graph of another Genie: its inputs are {found}, {inputs} are needed"
            )
        kept = [name for name in inputs if name.startswith(("keys_", "values_"))]
        self._past = [inputs[name] for name in kept]

    def empty(self) -> Ring:
        """The past of a world that begins."""
        places = self._past[0][2]
        return Ring([np.zeros(shape, np.float32) for shape in self._past], np.zeros(places, bool))

    def run(self, ring: Ring | None = None, **inputs: np.ndarray) -> list[np.ndarray]:
        """Its outputs, beside a past if it has one."""
        return self.session.run(None, {**inputs, **(ring.feed() if ring else {})})


class Rings(list):
    """The pasts of several worlds."""

    def preallocate(self, num_frames: int) -> "Rings":
        """What `DynamicsModel.sample` asks of a past; a ring always has room."""
        return self

    def last(self, window: int) -> "Rings":
        """See `KVCache.last`; a ring holds no more than the window."""
        return self

    def append(self, present: "Rings", window: int) -> "Rings":  # type: ignore[override]
        """What `Rollout` asks of the decoder's past; `decode_next` has put the new frames in
        already.
        """
        return present
