"""How much memory a training step needs on each of several GPUs, computed without one.

On torch's meta device a network has shapes and no numbers. A forward and a backward pass run there
as they would anywhere, and what is alive at each moment can be counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genie_mini.files import PARTS
from genie_mini.genie import CLIP_FRAMES, Genie
from genie_mini.models.st_transformer import STBlock, STTransformer

# Of each weight that learns, in float32: itself, its gradient, and AdamW's two averages.
_LEARNT, _FROZEN = 4 * 4, 4


@dataclass(frozen=True)
class Footprint:
    """What a training step of one network needs on each GPU, in bytes.

    Attributes:
        parameters: of the network, a number and no bytes.
        state: weights, gradients and averages, divided among the shards.
        gathered: weights and gradients that are whole for a moment: two blocks (one is fetched
            while the other computes), and what lies outside of blocks.
        clip: for each clip that is computed at a time, what is kept for the backward pass and what
            comes and goes beside it, at the worst moment.
    """

    parameters: int
    state: int
    gathered: int
    clip: int

    def total(self, clips: int) -> int:
        """With so many clips at a time on this GPU."""
        return self.state + self.gathered + clips * self.clip


class _Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that operations in this context have made and that are
    still there; not of those that were there before, as weights are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = {}
        self._references: dict[int, StorageWeakRef] = {}
        self._before: set[int] = set()
        self._most = 0  # bytes that may be alive

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {reference.cdata for reference, _ in _storages((args, kwargs))}
        self._before |= given - self._references.keys()
        result = function(*args, **(kwargs or {}))
        for reference, size in _storages(result):
            if reference.cdata not in self._before:
                self._most += size - self._sizes.get(reference.cdata, 0)
                self._sizes[reference.cdata] = size
                self._references[reference.cdata] = reference
        if self._most > self.peak:  # or else there is no need to look who has gone
            gone = [key for key, reference in self._references.items() if reference.expired()]
            for key in gone:
                self._most -= self._sizes.pop(key)
                del self._references[key]
            self.peak = max(self.peak, self._most)
        return result


class _InOneKernel(TorchFunctionMode):
    """Attention as GPUs and CPUs compute it, keeping no weights of it; on the meta device torch
    would choose the formula that does.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is not F.scaled_dot_product_attention:
            return function(*args, **kwargs)
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        mask, causal = kwargs["attn_mask"], kwargs["is_causal"]
        return kernel(*args, is_causal=causal, attn_mask=mask)[0]


def _storages(values):
    """What the tensors among some values are stored in, each with its size in bytes."""
    storages = [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return [(StorageWeakRef(storage), storage.nbytes()) for storage in storages]


def peak_bytes(step: Callable[[], Tensor]) -> int:
    """The most bytes that a forward and a backward pass hold at any moment, beside the weights.

    Args:
        step: computes a loss, on the meta device.
    """
    with _Alive() as alive, _InOneKernel():
        step().backward()
    return alive.peak


def footprint(
    preset: str,
    part: str,
    *,
    shards: int = 1,
    activation_checkpointing: bool = False,
) -> Footprint:
    """The footprint of a network of a preset in float32, while the other two are frozen.

    Args:
        preset: a key of `genie_mini.presets.PRESETS`.
        part: the network that learns, one of `genie_mini.files.PARTS`.
        shards, activation_checkpointing: see `genie_mini.training.TrainingConfig`.
    """
    with torch.device("meta"):
        genie = Genie.from_preset(preset).train()
    for module in genie.modules():
        if isinstance(module, STTransformer):
            module.recompute = activation_checkpointing
    counts = {name: _count(getattr(genie, name)) for name in PARTS}
    frozen = sum(count for name, count in counts.items() if name != part)
    network = getattr(genie, part)
    blocks = [_count(module) for module in network.modules() if isinstance(module, STBlock)]
    whole = counts[part] - sum(blocks) + 2 * max(blocks)
    # Of two clips and of one, so that the weights' gradients fall out.
    one, two = (peak_bytes(_step_of(genie, part, clips)) for clips in (1, 2))
    return Footprint(
        parameters=counts[part],
        state=(_LEARNT * counts[part] + _FROZEN * frozen) // shards,
        gathered=2 * 4 * whole,
        clip=two - one,
    )


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _step_of(genie: Genie, part: str, clips: int) -> Callable[[], Tensor]:
    """The loss of a network for so many clips of the usual length."""
    for weight in genie.parameters():
        weight.grad = None
    network: Any = getattr(genie, part)
    if part == "dynamics":
        return lambda: _dynamics_loss(network, clips)
    frames = torch.zeros(clips, CLIP_FRAMES, *network.config.image_size, 3, device="meta")
    return lambda: network(frames)["loss"]


def _dynamics_loss(network, clips):
    """`DynamicsModel.loss` with all tokens masked: which are cannot be known without numbers."""
    tokens = torch.zeros(
        clips, CLIP_FRAMES, network.num_tokens, dtype=torch.int64, device=network.device
    )
    x = network.embed(tokens, tokens[:, 1:, 0])
    _, clean = network.transformer(x)
    x, _ = network.transformer(network.embed(tokens, tokens[:, 1:, 0]), clean=clean)
    logits = network.to_logits(x).float().flatten(0, -2)
    return F.cross_entropy(logits, tokens.flatten())
