"""Graphs as onnxruntime runs them, and the past of a world outside PyTorch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genie_mini.device import PLAY_THREADS
from genie_mini.errors import GenieError, how_to_install
from genie_mini.models.lookback import Lookback
from genie_mini.models.st_transformer import STTransformerConfig

# how the weights are stored; all compute in float32, int8 multiplies in integers
VARIANTS = ("fp32", "fp16", "int8")


def past_shape(stack: STTransformerConfig, num_tokens: int, context: int) -> tuple[int, ...]:
    """The shape of a graph's past: (blocks, N, heads, context - 1, head width)."""
    return stack.num_blocks, num_tokens, stack.num_heads, context - 1, stack.features_per_head


def past_names(num_blocks: int) -> list[str]:
    """The names by which a graph takes in its past, block by block."""
    return [f"{kind}_{block}" for block in range(num_blocks) for kind in ("keys", "values")]


@dataclass(frozen=True)
class KeptFrame:
    """A frame that is kept: its tokens, (N,), and keys and values of each block in turn."""

    tokens: np.ndarray
    presents: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Past:
    """The past of one world, outside PyTorch; see `genie_mini.export.graphs`.

    Attributes:
        lookback: which of the frames that are kept the next one attends to.
        tensors: keys and values of each block in turn, with places for those frames.
        times: (places,) int, the time index of the frame in each place; -1 where there is none.
        kept: the last frames, as far back as `lookback` may choose.
        position: the time index of the next frame.
    """

    lookback: Lookback
    tensors: list[np.ndarray]
    times: np.ndarray
    kept: tuple[KeptFrame, ...] = ()
    position: int = 0

    @property
    def ages(self) -> list[int]:
        """See `KVCache.ages`."""
        return sorted((self.position - self.times[self.times >= 0]).tolist(), reverse=True)

    def feed(self) -> dict[str, np.ndarray]:
        """Inputs of a graph."""
        past = dict(zip(past_names(len(self.tensors) // 2), self.tensors, strict=True))
        return {
            **past,
            "attention_mask": self.times >= 0,
            "position": np.array([self.position], np.float32),
        }

    def after(self, tokens: np.ndarray, *presents: np.ndarray) -> "Past":
        """The past with one more frame in it, tokens (N,); those that the next frame attends to are
        in the places, each where it was if it was in one.
        """
        kept = (*self.kept, KeptFrame(tokens, presents))
        kept = kept[max(0, len(kept) - self.lookback.reach) :]
        position = self.position + 1
        first = position - len(kept)
        seen = torch.from_numpy(np.stack([frame.tokens for frame in kept]))[None]
        chosen = first + self.lookback.choose(seen, first)[0].numpy().nonzero()[0]
        times = np.where(np.isin(self.times, chosen), self.times, -1)
        missing = chosen[~np.isin(chosen, times)]
        tensors = [tensor.copy() for tensor in self.tensors]
        for place, time in zip(np.flatnonzero(times < 0), missing, strict=False):
            times[place] = time
            for tensor, present in zip(tensors, kept[time - first].presents, strict=True):
                tensor[:, :, place] = present[:, :, 0]
        return Past(self.lookback, tensors, times, kept, position)


class Session:
    """One graph, run by onnxruntime.

    Args:
        path: its file.
        inputs: the shape of each of its inputs, by name.

    Attributes:
        past: the shapes of those that hold keys and values.

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
        self.past = [inputs[name] for name in kept]

    def empty(self, lookback: Lookback) -> Past:
        """The past of a world that begins."""
        places = self.past[0][2]
        tensors = [np.zeros(shape, np.float32) for shape in self.past]
        return Past(lookback, tensors, np.full(places, -1))

    def run(self, past: Past | None = None, **inputs: np.ndarray) -> list[np.ndarray]:
        """Its outputs, beside a past if it has one."""
        return self.session.run(None, {**inputs, **(past.feed() if past else {})})


class Pasts(list):
    """The pasts of several worlds."""

    @property
    def ages(self) -> list[int]:
        """See `KVCache.ages`."""
        return self[0].ages

    def after(self, tokens: np.ndarray, presents: list[list[np.ndarray]]) -> "Pasts":
        """Each with one more frame in it, tokens (worlds, N); see `Past.after`."""
        together = zip(self, tokens, presents, strict=True)
        return Pasts(past.after(frame, *present) for past, frame, present in together)

    def preallocate(self, num_frames: int) -> "Pasts":
        """What `DynamicsModel.sample` asks of a past; the graph joins them with the frame."""
        return self

    def last(self, window: int) -> "Pasts":
        """See `KVCache.last`; no more frames are kept than that."""
        return self

    def append(self, present: "Pasts", window: int) -> "Pasts":  # type: ignore[override]
        """What `Rollout` asks of the decoder's past; `decode_next` has put the new frames in
        already.
        """
        return present
