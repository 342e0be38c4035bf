"""Vector quantisation with cosine similarity: a continuous vector becomes the number of the nearest
codebook row.

Used twice, with 1024 codes by the video tokenizer and with 8 by the latent action model (paper,
Section 2.1; the loss is that of VQ-VAE, van den Oord et al. 2017; comparing directions instead of
points follows Yu et al. 2022).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_config, check_indices
from genie_mini.device import float32_weights, in_float32
from genie_mini.ranks import set_rows, whole_batch, whole_weight

_ROW_LENGTH = 0.3
_CLUSTERING_STEPS = 40


@dataclass(frozen=True)
class QuantizerConfig:
    """Shape and habits of a codebook.

    Attributes:
        num_codes: rows of the codebook.
        code_width: features of a code.
        commitment: weight of the loss that draws vectors to their codes (beta in VQ-VAE).
        reset_after: a code that nobody chose for about this many training batches takes over the
            direction of some vector of the present batch.
    """

    num_codes: int
    code_width: int = 32
    commitment: float = 0.25
    reset_after: int = 50

    def __post_init__(self) -> None:
        check_config(
            self,
            num_codes=(1, 2**16),
            code_width=(1, 2**12),
            commitment=(0, 1e6),
            reset_after=(1, 2**31),
        )


class Quantizer(nn.Module):
    """A codebook on the unit sphere.

    `age` (num_codes,) counts training batches since a code was last chosen.
    """

    age: Tensor

    @float32_weights()
    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.config = config
        # Only directions count. Short rows turn faster: a step of the optimiser is a larger part of
        # their length.
        self.codebook = nn.Parameter(
            _ROW_LENGTH * F.normalize(torch.randn(config.num_codes, config.code_width), dim=-1)
        )
        # Codes start old, so that those which the first batch does not choose are placed among its
        # vectors at once.
        self.register_buffer("age", torch.full((config.num_codes,), config.reset_after))

    def directions(self) -> Tensor:
        """The codes as unit vectors, (num_codes, code_width)."""
        return F.normalize(whole_weight(self.codebook), dim=-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes of these numbers: (...) int64 -> (..., code_width), of mean square one.

        At unit length each feature would be small beside the embeddings that the code is added to,
        and be overlooked.
        """
        indices = check_indices(
            "tokens or actions", indices, None, self.config.num_codes, self.codebook.device
        )
        return self.directions()[indices] * self.config.code_width**0.5

    def nearest(self, vectors: Tensor) -> Tensor:
        """Number of the code with the largest cosine similarity: (..., code_width) -> (...) int64.

        Always in float32: in bfloat16 one code in eight was not its own nearest, and training
        learnt on other tokens than play has.
        """
        return self.similarities(vectors).argmax(dim=-1)

    def similarities(self, vectors: Tensor) -> Tensor:
        """Products with the codes' directions, in float32: (..., code_width) -> (...,
        num_codes).
        """
        with in_float32(vectors.device):
            return vectors.float() @ self.directions().t()

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise, and let gradients pass straight through.

        Args:
            vectors: (..., code_width), of any length.

        Returns:
            The codes (..., code_width) of mean square one, whose gradient goes to the vectors as if
            nothing had been rounded; the numbers (...) int64; and the loss that pulls codes and
            vectors together (a scalar).
        """
        vectors = F.normalize(vectors.float(), dim=-1)
        with torch.no_grad():
            indices = self.nearest(vectors)
        codes = self.directions()[indices]
        loss = F.mse_loss(codes, vectors.detach()) + self.config.commitment * F.mse_loss(
            vectors, codes.detach()
        )
        # the squared distance on the sphere, however many features a code has
        loss = loss * self.config.code_width
        return (vectors + (codes - vectors).detach()) * self.config.code_width**0.5, indices, loss

    def assign(self, vectors: Tensor, temperature: float) -> Tensor:
        """How much each vector belongs to each code: softmax of the cosine similarities.

        Args:
            vectors: (..., code_width), of any length.
            temperature: the smaller, the closer to a choice of one code.

        Returns:
            (..., num_codes), each row summing to one.
        """
        return (self.similarities(F.normalize(vectors.float(), dim=-1)) / temperature).softmax(
            dim=-1
        )

    def mix(self, shares: Tensor) -> Tensor:
        """The codes in these shares: (..., num_codes) -> (..., code_width), scaled like
        `lookup`.
        """
        return shares @ self.directions() * self.config.code_width**0.5

    @torch.no_grad()
    def place(self, codes: int | Tensor, vectors: Tensor) -> None:
        """Turn codes, an index or (n,) int64, into the directions of these vectors, (code_width,)
        or (n, code_width).
        """
        set_rows(self.codebook, codes, _ROW_LENGTH * F.normalize(vectors.float(), dim=-1))

    @torch.no_grad()
    def reset_dead_codes(self, vectors: Tensor, indices: Tensor) -> int:
        """Give codes that have not been chosen for long a new direction; call once a training step.

        Args:
            vectors: (..., code_width), the batch as it came from the encoder.
            indices: (...) int64, the codes chosen for it.

        Returns:
            How many codes were moved.
        """
        vectors, indices = whole_batch(vectors), whole_batch(indices)
        chosen = torch.bincount(indices.flatten(), minlength=self.config.num_codes) > 0
        self.age.add_(1).masked_fill_(chosen, 0)
        dead = self.age.ge(self.config.reset_after).nonzero().flatten()
        if dead.numel():
            vectors = F.normalize(vectors.float().flatten(0, -2), dim=-1)
            # Prefer vectors that their code describes badly: that is where another code is worth
            # most.
            distance = 1 - (vectors * self.directions()[indices.flatten()]).sum(-1)
            weights = distance.clamp(min=0) + 1e-4
            # Drawn on the CPU, so that a seed draws the same on every device.
            picked = torch.multinomial(
                weights.cpu(), dead.numel(), replacement=dead.numel() > weights.numel()
            )
            self.place(dead, vectors[picked.to(vectors.device)])
            self.age[dead] = 0
        return dead.numel()

    @torch.no_grad()
    def spread(self, vectors: Tensor, attempts: int = 10) -> None:
        """Give all codes new directions, the middles of as many clusters of these vectors: k-means
        on the sphere, the best of some attempts.

        Where one code stands for two things and two codes share another, small steps do not part
        them: all rows must find their places at once. No label is looked at.

        Args:
            vectors: (..., code_width), some hundred; those of all ranks that share them.
            attempts: how often k-means is begun anew, at random.
        """
        vectors = F.normalize(vectors.float().flatten(0, -2), dim=-1)
        found = [self._cluster(vectors) for _ in range(attempts)]
        best = max(found, key=lambda middles: (vectors @ middles.t()).amax(dim=-1).mean().item())
        self.place(torch.arange(self.config.num_codes), best)

    def _cluster(self, vectors: Tensor) -> Tensor:
        """An attempt of `spread`, begun as in k-means++: unit vectors (num_codes, code_width)."""
        # Drawn on the CPU, so that a seed draws the same on every device.
        middles = vectors[torch.randint(len(vectors), (1,)).to(vectors.device)]
        for _ in range(self.config.num_codes - 1):
            distance = 1 - (vectors @ middles.t()).amax(dim=-1)
            picked = torch.multinomial(distance.clamp(min=1e-6).cpu(), 1)
            middles = torch.cat([middles, vectors[picked.to(vectors.device)]])
        for _ in range(_CLUSTERING_STEPS):
            chosen = F.one_hot((vectors @ middles.t()).argmax(dim=-1), len(middles)).float()
            sums = chosen.t() @ vectors
            middles = torch.where(chosen.any(dim=0)[:, None], F.normalize(sums, dim=-1), middles)
        return middles


def entropy(shares: Tensor) -> Tensor:
    """Entropy of distributions (..., codes) in nats: (...)."""
    return -(shares * shares.clamp(min=1e-9).log()).sum(dim=-1)
