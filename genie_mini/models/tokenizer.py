"""The video tokenizer, ST-ViViT: frames to tokens and back (paper, Section 2.1 and Figure 5).

Encoder and decoder are causal ST-transformers, so the tokens of frame t may draw on frames up to t
and on none after. What play needs of a tokenizer is `Tokenizer`, which another codebook shares
(`patch_tokenizer`).
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_choice, check_config, check_frames, check_indices
from genie_mini.device import float32_weights, in_float32
from genie_mini.models.detail import Detail
from genie_mini.models.kv_cache import KVCache
from genie_mini.models.patches import check_grid, fold, unfold
from genie_mini.models.quantizer import Quantizer, QuantizerConfig
from genie_mini.models.recomputation import in_parts
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig
from genie_mini.ranks import batch_mean, batch_ratio, over_batch

_MOST_WEIGHT = 100.0  # of what moves; in a clip in which nothing does, there is nothing to weigh
# "learnt": by an encoder (`VideoTokenizer`); "patches": the most frequent patches of the films
# themselves (`patch_tokenizer.PatchTokenizer`).
CODEBOOKS = ("learnt", "patches")


@dataclass(frozen=True)
class TokenizerConfig:
    """Sizes of the tokenizer.

    Attributes:
        image_size: (height, width) of a frame, pixels; multiples of patch_size.
        patch_size: side of the square that one token stands for, pixels.
        encoder, decoder: shapes of their stacks.
        quantizer: the codebook.
        stability_weight: weight of the loss against flicker.
        codebook: what the codes are, one of `CODEBOOKS`. Patches need no encoder; of the quantizer
            they take num_codes alone, and they cannot flicker.
        keeps_detail: at play, what the tokens lose of the prompt is put back (`detail.Detail`), and
            a learnt tokenizer is trained for it. Not in the paper.
    """

    image_size: tuple[int, int]
    patch_size: int
    encoder: STTransformerConfig
    decoder: STTransformerConfig
    quantizer: QuantizerConfig = field(default_factory=lambda: QuantizerConfig(num_codes=1024))
    stability_weight: float = 1.0
    codebook: str = "learnt"
    keeps_detail: bool = False

    def __post_init__(self) -> None:
        check_choice("codebook", self.codebook, CODEBOOKS)
        check_config(self, image_size=(1, 4096), patch_size=(1, 512), stability_weight=(0, 1e6))
        check_grid(self.image_size, self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of tokens in a frame."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size

    @property
    def num_tokens(self) -> int:
        """N, the tokens of one frame."""
        return self.grid[0] * self.grid[1]


class Tokenizer(nn.Module):
    """Frames (batch, T, height, width, 3) to tokens (batch, T, N) and back: what both codebooks
    have in common, which is all that play needs.

    Attributes:
        num_parts: into how many parts training divides a batch (`recomputation.in_parts`).
    """

    num_parts = 1

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config

    def _add_decoder(self, code_width: int) -> None:
        """Make the networks that turn codes of this width into pictures."""
        config, decoder = self.config, self.config.decoder
        self.from_code = nn.Linear(code_width, decoder.width)
        self.decoder_position = nn.Parameter(0.02 * torch.randn(config.num_tokens, decoder.width))
        self.decoder = STTransformer(decoder, config.grid)
        self.to_patch = nn.Linear(decoder.width, config.patch_size**2 * 3)

    def nearest(self, frames: Tensor) -> Tensor:
        """The tokens of frames that have been checked; without autocast."""
        raise NotImplementedError

    def lookup(self, tokens: Tensor) -> Tensor:
        """The codes that the decoder is told, (..., code_width)."""
        raise NotImplementedError

    def base(self, tokens: Tensor) -> Tensor | float:
        """The patches that the decoder's output is added to, (..., patch_size^2 * 3)."""
        raise NotImplementedError

    def after_step(self, result: dict[str, Tensor]) -> None:
        """What the codebook does at the end of a training step, given what `forward` returned."""

    def _decode(
        self, codes: Tensor, tokens: Tensor, cache: KVCache | None = None
    ) -> tuple[Tensor, KVCache]:
        x, present = self.decoder(self.from_code(codes) + self.decoder_position, cache)
        return self.to_frames(x, tokens), present

    def _decode_all(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """The frames of a batch in training."""
        return in_parts(lambda *part: self._decode(*part)[0], self.num_parts, codes, tokens)

    def to_frames(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Turn the decoder's output, (batch, T, N, width), into frames (batch, T, height, width,
        3), not yet clamped.
        """
        patches = self.base(tokens) + self.to_patch(x).float()
        return fold(patches, self.config.patch_size, self.config.grid)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Turn frames, (batch, T, height, width, 3) float in [0, 1], into tokens, (batch, T, N)
        int64.

        Always in float32, so that the dynamics model is trained on the tokens that it is played
        with.
        """
        frames = check_frames(frames, self.config.image_size, self.decoder_position.device)
        with in_float32(frames.device):
            return self.nearest(frames)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens, (batch, T, N) int64, into frames, (batch, T, height, width, 3) float in [0,
        1].
        """
        return self.decode_next(tokens, None)[0]

    @torch.no_grad()
    def decode_next(self, tokens: Tensor, cache: KVCache | None) -> tuple[Tensor, KVCache]:
        """Decode frames that follow those of `cache`; returns the frames and the `KVCache` of these
        frames alone.
        """
        tokens = check_indices(
            "tokens",
            tokens,
            ("batch", "time", self.config.num_tokens),
            self.config.quantizer.num_codes,
            self.decoder_position.device,
        )
        if cache is not None:
            self.decoder.check_cache(cache, len(tokens))
        frames, present = self._decode(self.lookup(tokens), tokens, cache)
        return frames.clamp(0, 1), present


class VideoTokenizer(Tokenizer):
    """The paper's: an encoder, and a codebook that is learnt with it."""

    @float32_weights()
    def __init__(self, config: TokenizerConfig):
        super().__init__(config)
        encoder, code_width = config.encoder, config.quantizer.code_width
        self.embed_patch = nn.Linear(config.patch_size**2 * 3, encoder.width)
        self.encoder_position = nn.Parameter(0.02 * torch.randn(config.num_tokens, encoder.width))
        self.encoder = STTransformer(encoder, config.grid)
        self.to_code = nn.Linear(encoder.width, code_width)
        # Centre and scale over the batch, so that the vectors spread over the sphere instead of
        # sharing one direction.
        self.code_norm = nn.BatchNorm1d(code_width, affine=False)
        self.quantizer = Quantizer(config.quantizer)
        self._add_decoder(code_width)

    def encode_continuous(self, frames: Tensor) -> Tensor:
        """The encoder's output before the quantiser, unit vectors (batch, T, N, code_width)."""
        vectors = in_parts(self._encode_clips, self.num_parts, frames)
        normed = over_batch(self.code_norm, vectors.flatten(0, 2), self.training)
        return F.normalize(normed.view_as(vectors), dim=-1)

    def _encode_clips(self, frames: Tensor) -> Tensor:
        """The encoder's output before it is centred and scaled over the batch."""
        patches = unfold(frames, self.config.patch_size)
        x, _ = self.encoder(self.embed_patch(2 * patches - 1) + self.encoder_position)
        return self.to_code(x).float()

    def nearest(self, frames: Tensor) -> Tensor:
        """See `Tokenizer.nearest`."""
        return self.quantizer.nearest(self.encode_continuous(frames))

    def lookup(self, tokens: Tensor) -> Tensor:
        """See `Tokenizer.lookup`."""
        return self.quantizer.lookup(tokens)

    def base(self, tokens: Tensor) -> float:
        """Grey, whatever the token."""
        return 0.5

    def after_step(self, result: dict[str, Tensor]) -> None:
        """Move the codes that nobody chooses."""
        self.quantizer.reset_dead_codes(result["continuous"], result["tokens"])

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """One training pass (the losses of VQ-VAE and one against flicker).

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1].

        Returns:
            `loss` (scalar) = `reconstruction` (mean squared error) x 10 + `quantizer` loss x 0.25 +
            weighted `stability`; where detail is kept, as much again for what is wrong once that of
            the first frame is put back. Also `tokens` (batch, T, N), the `continuous` encoder
            output, and the `decoded` frames.
        """
        frames = check_frames(frames, self.config.image_size, self.decoder_position.device)
        continuous = self.encode_continuous(frames)
        codes, tokens, quantizer_loss = self.quantizer(continuous)
        decoded = self._decode_all(codes, tokens)
        reconstruction = F.mse_loss(decoded, frames)
        stability = flicker_penalty(frames, continuous, self.config.patch_size)
        loss = (
            10 * reconstruction + 0.25 * quantizer_loss + self.config.stability_weight * stability
        )
        if self.config.keeps_detail and frames.shape[1] > 1:
            restored = Detail(frames[:, :1], decoded[:, :1]).put_back(decoded[:, 1:])
            wrong = F.mse_loss(restored, frames[:, 1:])
            # What moves is a small part of a picture: it is to count as much as all the rest.
            least = batch_mean(wrong.detach()).clamp(min=1e-12)
            weight = (batch_mean(reconstruction.detach()) / least).clamp(max=_MOST_WEIGHT)
            loss = loss + 10 * weight * wrong
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "quantizer": quantizer_loss,
            "stability": stability,
            "tokens": tokens,
            "continuous": continuous,
            "decoded": decoded,
        }


def still_patches(frames: Tensor, patch_size: int) -> Tensor:
    """Which patches look exactly as they did one frame before: (batch, T - 1, N) bool."""
    patches = unfold(frames, patch_size)
    return (patches[:, 1:] == patches[:, :-1]).all(dim=-1)


def flicker_penalty(frames: Tensor, continuous: Tensor, patch_size: int) -> Tensor:
    """Mean squared change of the encoder's output where a patch's pixels did not change (a scalar).

    Without it a third of the tokens changed in places where nothing happened, and the dynamics
    model spent itself on them.
    """
    still = still_patches(frames, patch_size)
    change = (continuous[:, 1:] - continuous[:, :-1]).square().sum(-1)
    return batch_ratio((change * still).sum(), still.sum(), least=1)
