"""The spatiotemporal transformer that all three parts of Genie are built from (paper, Section 2 and
Figure 4).

A video of T frames with N tokens each has T * N tokens. Full attention over all of them costs O(T^2
N^2). An ST block
splits it: spatial attention looks at the N tokens of one frame, temporal attention at the T tokens
of one place, and one feed-forward layer follows. The cost is O(T N (T + N)). Temporal attention is
causal, so a past frame never has to be
computed again: its keys and values are kept in a `KVCache`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_config
from genie_mini.device import attending, float32_weights
from genie_mini.errors import GenieError
from genie_mini.models.kv_cache import KVCache, check_cache
from genie_mini.models.recomputation import recomputed
from genie_mini.models.rotary import rotary_angles, rotate, rotation

# Hidden features of a block's feed-forward layer, in multiples of its width.
FEEDFORWARD_FACTOR = 4
# Of a stack: ten times what the paper's three networks have together.
MOST_WEIGHTS = 1e11


@dataclass(frozen=True)
class STTransformerConfig:
    """Shape of a stack of ST blocks.

    Attributes:
        num_blocks: ST blocks in the stack.
        width: features per token; a multiple of num_heads unless head_width is given.
        num_heads: attention heads, in space and in time alike.
        head_width: features per head, a multiple of 4; None means width // num_heads.
    """

    num_blocks: int
    width: int
    num_heads: int
    head_width: int | None = None

    def __post_init__(self) -> None:
        check_config(
            self,
            num_blocks=(1, 1000),
            width=(1, 2**15),
            num_heads=(1, 1024),
            head_width=(4, 1024),
        )
        if self.head_width is None and self.width % self.num_heads:
            raise GenieError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if self.features_per_head % 4:
            raise GenieError(
                "a head's width must be a multiple of 4 for the rotary embeddings, got "
                f"{self.features_per_head}"
            )
        attention = 8 * self.num_heads * self.features_per_head  # two, of four matrices each
        num_weights = (
            self.num_blocks * self.width * (attention + 2 * FEEDFORWARD_FACTOR * self.width)
        )
        if num_weights > MOST_WEIGHTS:
            raise GenieError(
                f"{self} has {num_weights / 1e9:.0f} billion weights, and at most "
                f"{MOST_WEIGHTS / 1e9:.0f} billion are accepted"
            )

    @property
    def features_per_head(self) -> int:
        """Features of one head."""
        return self.head_width or self.width // self.num_heads


class Attention(nn.Module):
    """Multi-head attention over the middle axis of (sequences, positions, width), with QK-norm.

    Queries and keys are normed before the product, so that logits stay bounded however long
    training runs; a learned scale per head sets how sharp the attention is.
    """

    def __init__(self, width: int, num_heads: int, head_width: int):
        super().__init__()
        self.num_heads, self.head_width = num_heads, head_width
        self.to_qkv = nn.Linear(width, 3 * num_heads * head_width, bias=False)
        self.to_output = nn.Linear(num_heads * head_width, width, bias=False)
        self.query_scale = nn.Parameter(torch.ones(num_heads, 1, 1))

    def project(self, x: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (sequences, heads, positions, head width), the first two
        normed and rotated.
        """
        qkv = (
            self.to_qkv(x)
            .float()
            .unflatten(-1, (3, self.num_heads, self.head_width))
            .permute(2, 0, 3, 1, 4)
        )
        query, key = rotate(F.layer_norm(qkv[:2], (self.head_width,)), cosine, sine)
        return query * self.query_scale, key, qkv[2]

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal=False
    ) -> Tensor:
        """softmax(q k^T / sqrt(head width)) v, heads joined: (sequences, positions, width)."""
        with attending(query.device):
            mixed = F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=causal
            )
        return self.to_output(mixed.transpose(1, 2).flatten(2))


class STBlock(nn.Module):
    """Spatial attention, causal temporal attention, one feed-forward layer; each pre-normed with a
    residual path.
    """

    def __init__(self, config: STTransformerConfig):
        super().__init__()
        width = config.width
        self.spatial_norm, self.temporal_norm, self.feedforward_norm = (
            nn.LayerNorm(width, bias=False) for _ in range(3)
        )
        self.spatial = Attention(width, config.num_heads, config.features_per_head)
        self.temporal = Attention(width, config.num_heads, config.features_per_head)
        hidden = FEEDFORWARD_FACTOR * width
        self.feedforward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(
        self,
        x: Tensor,
        rotations: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
        put_first: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        mask: Tensor | None,
        causal: bool,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the block; see `STTransformer.forward`. Returns x and the keys and values in time of
        its frames.

        `put_first` puts the keys and values of other frames in front of those of x; mask and causal
        say who sees whom.
        """
        batch, num_frames, num_tokens, _ = x.shape
        (space_cosine, space_sine), (time_cosine, time_sine) = rotations

        qkv = self.spatial.project(self.spatial_norm(x).flatten(0, 1), space_cosine, space_sine)
        x = x + self.spatial.attend(*qkv).unflatten(0, (batch, num_frames))

        by_place = self.temporal_norm(x).transpose(1, 2).flatten(0, 1)  # (batch * N, frames, width)
        query, *present = self.temporal.project(by_place, time_cosine, time_sine)
        mixed = self.temporal.attend(query, *put_first(*present), mask, causal)
        x = x + mixed.unflatten(0, (batch, num_tokens)).transpose(1, 2)
        return x + self.feedforward(self.feedforward_norm(x)), present


class STTransformer(nn.Module):
    """A stack of ST blocks over (batch, time, tokens per frame, width).

    Args:
        config: its shape.
        grid: (rows, columns) of a frame's tokens.

    Attributes:
        recompute: whether training keeps only what goes into each block (`recomputation`).
    """

    recompute = False
    space_cosine: Tensor
    space_sine: Tensor

    @float32_weights()
    def __init__(self, config: STTransformerConfig, grid: tuple[int, int]):
        super().__init__()
        self.config = config
        self.num_tokens = grid[0] * grid[1]
        # torch's list does not know what it holds.
        self.blocks: Iterable[STBlock] = nn.ModuleList(  # type: ignore[assignment]
            STBlock(config) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.width, bias=False)
        for block in self.blocks:  # keep the sum over blocks near the size of one
            outputs = (block.spatial.to_output, block.temporal.to_output, block.feedforward[-1])
            for weight in (last.get_parameter("weight") for last in outputs):
                weight.data.mul_((2 * config.num_blocks) ** -0.5)
        # In space, half of a head's features turn with the row and half with the column.
        quarter = config.features_per_head // 4
        rows, columns = (rotary_angles(torch.arange(size), quarter, longest=16.0) for size in grid)
        angles = torch.cat(
            [rows[:, None].expand(-1, grid[1], -1), columns[None].expand(grid[0], -1, -1)], dim=-1
        ).flatten(0, 1)
        for name, part in zip(("space_cosine", "space_sine"), rotation(angles), strict=True):
            self.register_buffer(name, part, persistent=False)

    def check_cache(self, cache: Any, batch: int) -> None:
        """Raise a GenieError unless it is a `KVCache` of this stack, of so many videos, and on its
        device.
        """
        config, device = self.config, self.space_cosine.device
        check_cache(
            cache,
            config.num_blocks,
            (batch * self.num_tokens, config.num_heads, config.features_per_head, device),
        )

    def time_rotation(
        self, num_frames: int, position: int | Tensor, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """(cosine, sine) of the frames from `position` on, each (num_frames, head width)."""
        times = position + torch.arange(num_frames, device=device)
        return rotation(rotary_angles(times, self.config.features_per_head // 2, longest=32.0))

    def forward(
        self,
        x: Tensor,
        cache: KVCache | None = None,
        clean: KVCache | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, KVCache]:
        """Mix the tokens of a video in space and, causally, in time.

        Args:
            x: (batch, T, N, width).
            cache: frames that came before these; attended to, not changed.
            clean: only for training the dynamics model. The keys and values of the SAME T frames,
                unmasked: frame t of x then attends to the clean frames before t and to itself, just
                as it does at play.
            attention_mask: without a cache only: (batch, T, T) bool, which of the frames before it
                each frame attends to, beside itself; None: to all. See `Lookback`.

        Returns:
            The output, (batch, T, N, width), and the `KVCache` of the frames of x alone.
        """
        position = cache.position if cache is not None else 0
        rotations = (
            (self.space_cosine, self.space_sine),
            self.time_rotation(x.shape[1], position, x.device),
        )
        num_frames, mask = x.shape[1], None
        if clean is not None:  # see the clean frames before one's own, and oneself
            if attention_mask is None:
                attention_mask = torch.ones(
                    1, num_frames, num_frames, dtype=torch.bool, device=x.device
                ).tril(-1)
            oneself = torch.eye(num_frames, dtype=torch.bool, device=x.device)
            mask = torch.cat([attention_mask, oneself.expand_as(attention_mask)], dim=-1)
        elif attention_mask is not None:
            mask = attention_mask | torch.eye(num_frames, dtype=torch.bool, device=x.device)
        elif cache is not None and num_frames > 1:
            held = cache.keys[0].shape[2] - cache.free
            mask = torch.ones(
                num_frames, held + num_frames, dtype=torch.bool, device=x.device
            ).tril(held)
        if mask is not None and attention_mask is not None and len(attention_mask) > 1:
            # each video its own, alike in all places and heads
            mask = mask.repeat_interleave(x.shape[2], dim=0)[:, None]
        others = clean if cache is None else cache
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            put_first = (
                others.layer(index) if others is not None else lambda key, value: (key, value)
            )
            run = partial(recomputed, block) if self.recompute else block
            x, (key, value) = run(
                x, rotations, put_first, mask, causal=mask is None and num_frames > 1
            )
            keys.append(key)
            values.append(value)
        return self.norm(x), KVCache(keys, values, position + x.shape[1])
