"""How much memory a training step needs on each of several GPUs, computed without one.

On torch's meta device a network has shapes and no numbers. A forward and a backward pass run there
as they would anywhere, and what is alive at each moment can be counted.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
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
        state: weights, gradients and averages.
        gathered: weights and gradients that are whole for a moment: two blocks (one is fetched
            while the other computes), and what lies outside of blocks.
        clip: for each clip that is computed at a time, what is kept for the backward pass and what
            comes and goes beside it, at the worst moment.
    """

    parameters: int
    state: int
    gathered: int
    clip: int

    def divided(self, shards: int) -> "Footprint":
        """The same with its state divided among so many processes."""
        return replace(self, state=self.state // shards)

    def total(self, clips: int) -> int:
        """With so many clips at a time on this GPU."""
        return self.state + self.gathered + clips * self.clip


class _Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that operations in this context have made and that are
    still there; not of those that were there before, as weights are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._before: dict[int, torch.UntypedStorage] = {}
        self._made: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for storage in _storages((args, kwargs)):
            if id(storage) not in self._made:
                self._before[id(storage)] = storage
        result = function(*args, **(kwargs or {}))
        for storage in _storages(result):
            if id(storage) not in self._made and id(storage) not in self._before:
                gone = partial(self._drop, id(storage), storage.nbytes())
                self._made[id(storage)] = weakref.ref(storage, gone)
                self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        return result

    def _drop(self, key, size, _):
        del self._made[key]
        self.bytes -= size


def _in_one_kernel(query, key, value, *, attn_mask, is_causal):
    """Attention as GPUs and CPUs compute it, keeping no weights of it; on the meta device torch
    would choose the formula that does.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, is_causal=is_causal, attn_mask=attn_mask)[0]


def _storages(values):
    """What the tensors among some values are stored in. Torch has one object for each, as long as
    it is there, whoever holds it.
    """
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def peak_bytes(step: Callable[[], Tensor]) -> int:
    """The most bytes that a forward and a backward pass hold at any moment, beside the weights.

    Args:
        step: computes a loss, on the meta device.
    """
    with patch.object(F, "scaled_dot_product_attention", _in_one_kernel), _Alive() as alive:
        step().backward()
    return alive.peak


def footprint(
    preset: str,
    part: str,
    *,
    activation_checkpointing: bool = False,
) -> Footprint:
    """The footprint of a network of a preset in float32, on one GPU, while the other two are
    frozen.

    Args:
        preset: a key of `genie_mini.presets.PRESETS`.
        part: the network that learns, one of `genie_mini.files.PARTS`.
        activation_checkpointing: see `genie_mini.training.TrainingConfig`.
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
        state=_LEARNT * counts[part] + _FROZEN * frozen,
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
