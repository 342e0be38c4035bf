"""Taking a trained Genie out of PyTorch: ONNX files that onnxruntime plays, in a web page too.

Three graphs are enough to play. `step` runs one frame through the dynamics model beside the keys
and values of the past: the same graph takes in a prompt, refines a frame over the steps of MaskGIT,
and keeps it when it is finished. `decoder` draws a frame from its tokens in the same way. `encoder`
turns one picture into tokens. The latent action model stays
behind: at play the action comes from a person (paper, Section 2.2).

All shapes are fixed, for one world at a time. The past has `context - 1` places; `attention_mask`
says which of them hold a frame. Their order does not matter, since each key was turned by its own
frame's position. Which frames these are, the last ones or others, the graph need not know
(`models.lookback`).
"""

import torch
from torch import Tensor, nn

from genie_mini.export.sessions import past_names, past_shape
from genie_mini.genie import Genie
from genie_mini.models.patch_tokenizer import PatchTokenizer
from genie_mini.models.patches import unfold
from genie_mini.models.st_transformer import STTransformer

GRAPHS = ("step", "decoder", "encoder")
Graph = tuple[nn.Module, dict[str, Tensor], list[str]]  # module, example inputs, names of outputs


def _frame_beside_past(transformer: STTransformer, x, position, attention_mask, past):
    """One frame x (1, 1, N, width) through a stack, beside the filled places of a past: keys and
    values of each block in turn.

    What `STTransformer` computes, but for one thing: past and present are not joined before
    attention. Joining copies the whole past, which in a browser takes longer than attending to it.
    """
    space = transformer.space_cosine, transformer.space_sine
    time = transformer.time_rotation(1, position, x.device)
    presents = []
    for block, keys, values in zip(transformer.blocks, past[::2], past[1::2], strict=True):
        x = x + block.spatial.attend(*block.spatial.project(block.spatial_norm(x)[0], *space))
        query, key, value = block.temporal.project(block.temporal_norm(x)[0].transpose(0, 1), *time)
        scores = torch.cat(
            [(query @ keys.mT).masked_fill(~attention_mask, -torch.inf), query @ key.mT], dim=-1
        )
        weights = (scores / block.temporal.head_width**0.5).softmax(dim=-1)
        mixed = weights[..., :-1] @ values + weights[..., -1:] * value
        x = x + block.temporal.to_output(mixed.transpose(1, 2).flatten(2)).transpose(0, 1)
        x = x + block.feedforward(block.feedforward_norm(x))
        presents += [key, value]
    return transformer.norm(x)[0, 0], presents


class _Step(nn.Module):
    """tokens (N,) int32, action (1,) int32 (-1: none led here), position (1,), past -> logits (N,
    codes), present.
    """

    def __init__(self, dynamics):
        super().__init__()
        self.dynamics = dynamics

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        attention_mask: Tensor,
        action: Tensor,
        *past: Tensor,
    ) -> tuple[Tensor, ...]:
        dynamics = self.dynamics
        chosen = (torch.arange(dynamics.config.num_actions) == action).float()
        x = (
            dynamics.embed_token(tokens.long())
            + dynamics.position
            + chosen @ dynamics.embed_action.weight
        )
        x, presents = _frame_beside_past(
            dynamics.transformer, x[None, None], position, attention_mask, past
        )
        return dynamics.to_logits(x), *presents


class _Decoder(nn.Module):
    """tokens (N,) int32, position (1,), past -> frame (height, width, 3) in [0, 1], present."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self.codes = nn.Buffer(
            tokenizer.lookup(torch.arange(tokenizer.config.quantizer.num_codes)).detach()
        )

    def forward(
        self, tokens: Tensor, position: Tensor, attention_mask: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        tokenizer = self.tokenizer
        x = tokenizer.from_code(self.codes[tokens.long()]) + tokenizer.decoder_position
        x, presents = _frame_beside_past(
            tokenizer.decoder, x[None, None], position, attention_mask, past
        )
        frames = tokenizer.to_frames(x[None, None], tokens[None, None].long())
        return frames[0, 0].clamp(0, 1), *presents


class _Encoder(nn.Module):
    """picture (height, width, 3) in [0, 1] -> tokens (N,) int32."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, picture: Tensor) -> Tensor:
        return self.tokenizer.nearest(picture[None, None])[0, 0].int()


class _PatchEncoder(nn.Module):
    """What `_Encoder` is, for a codebook of patches.

    Squared distances as they stand in a textbook: a product of matrices would be rounded in int8.
    A row of tokens at a time, since every patch is compared with every code.
    """

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, picture: Tensor) -> Tensor:
        tokenizer = self.tokenizer
        levels = (unfold(picture[None, None], tokenizer.config.patch_size)[0, 0] * 255).round()
        codes = tokenizer.patches.float()
        rows = levels.split(tokenizer.config.grid[1])
        found = [(row[:, None] - codes).square().sum(dim=-1).argmin(dim=-1) for row in rows]
        return torch.cat(found).int()


def build_graphs(genie: Genie) -> dict[str, Graph]:
    """For each graph its module, example inputs by name, and the names of its outputs."""
    tokenizer, dynamics = genie.tokenizer, genie.dynamics
    num_tokens, context = tokenizer.config.num_tokens, dynamics.config.context
    tokens = torch.arange(num_tokens, dtype=torch.int32) % tokenizer.config.quantizer.num_codes
    shared = {
        "tokens": tokens,
        "position": torch.tensor([5.0]),
        "attention_mask": torch.arange(context - 1) < 3,
    }

    def graph(
        module: nn.Module, transformer: STTransformer, inputs: dict[str, Tensor], output: str
    ) -> Graph:
        num_blocks, *shape = past_shape(transformer.config, num_tokens, context)
        names = past_names(num_blocks)
        inputs = {**shared, **inputs, **{name: torch.randn(shape) for name in names}}
        return module, inputs, [output, *(f"new_{name}" for name in names)]

    return {
        "step": graph(
            _Step(dynamics),
            dynamics.transformer,
            {"action": torch.tensor([1], dtype=torch.int32)},
            "logits",
        ),
        "decoder": graph(_Decoder(tokenizer), tokenizer.decoder, {}, "frame"),
        "encoder": (
            (_PatchEncoder if isinstance(tokenizer, PatchTokenizer) else _Encoder)(tokenizer),
            {"picture": torch.rand(*tokenizer.config.image_size, 3)},
            ["tokens"],
        ),
    }
