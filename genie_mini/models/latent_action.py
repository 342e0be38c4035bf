"""The latent action model (LAM): which of eight things happened between two frames? (paper, Section
2.1 and Figure 6).

Nobody tells it. An encoder sees a frame and the next one and must put their difference into one of
eight codes; a decoder gets the frames so far and the code, and must draw the next frame. All that
the past does not already say has to pass through the code, so the codes come to mean what the
player did. After training only the eight rows of the codebook
matter: a person picks one of them.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_config, check_frames, check_indices, check_number, shown
from genie_mini.device import float32_weights, in_float32
from genie_mini.errors import GenieError
from genie_mini.models.displacements import displaced, in_pixels, matching_costs
from genie_mini.models.log_ratios import log_ratios
from genie_mini.models.matching import KernelWarp, Matching
from genie_mini.models.patches import check_grid, fold, stem, unfold
from genie_mini.models.quantizer import Quantizer, QuantizerConfig, entropy
from genie_mini.models.recomputation import in_parts
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig
from genie_mini.models.surprise import Surprise
from genie_mini.ranks import batch_mean, over_batch, uniform, whole_batch

_WITHOUT_CODES = 0.25  # share of the clips that train what the decoder expects


@dataclass(frozen=True)
class LatentActionConfig:
    """Sizes of the latent action model.

    Attributes:
        image_size: (height, width) of a frame, pixels; multiples of patch_size.
        patch_size: side of the decoder's patches, pixels.
        stem_channels: channels of the three convolutions in front of the encoder.
        encoder, decoder: shapes of their stacks.
        quantizer: the codebook; its num_codes is the number of latent actions.
        temperatures: of the soft choice of codes, at the start and at the end.
        soft_share: share of the training in which a transition may belong to several codes.
        batch_entropy_weight: reward for using the codes evenly.
        sample_entropy_weight: price of undecided choices.
        still_shares: of the mean squared change of a batch's frames; a transition that changes
            less than this counts less. At the start, and at the end, when small changes are to be
            told apart too. A share, since a frame of Pong changes a twentieth of what one of a
            scrolling game does.
        neighborhood: None, or the displacements of a game that one knows, (rows, columns) in 32nds
            of the picture's sides, no displacement first: the encoder compares a frame with copies
            of the last one moved like this, and the decoder mixes such copies. With None nothing is
            known: the encoder compares in all directions (`Matching`), the decoder moves by kernels
            that it learns (`KernelWarp`) and sees how things moved up to now, so that a code need
            not say it.
        sees_surprise: whether the encoder is also shown what the decoder did not expect of the past
            alone (`surprise.Surprise`). Not in the paper.
    """

    image_size: tuple[int, int]
    patch_size: int
    encoder: STTransformerConfig
    decoder: STTransformerConfig
    stem_channels: int = 32
    quantizer: QuantizerConfig = field(default_factory=lambda: QuantizerConfig(num_codes=8))
    temperatures: tuple[float, float] = (0.5, 0.1)
    soft_share: float = 0.7
    batch_entropy_weight: float = 0.1
    sample_entropy_weight: float = 0.1
    still_shares: tuple[float, float] = (0.2, 0.04)
    neighborhood: tuple[tuple[int, int], ...] | None = None
    sees_surprise: bool = False

    def __post_init__(self) -> None:
        check_config(
            self,
            image_size=(1, 4096),
            patch_size=(2, 512),
            stem_channels=(1, 4096),
            temperatures=(1e-6, 1e6),
            soft_share=(1e-3, 1 - 1e-3),
            batch_entropy_weight=(0, 1e6),
            sample_entropy_weight=(0, 1e6),
            still_shares=(1e-9, 1e6),
            neighborhood=(-32, 32),
        )
        if self.neighborhood is not None and self.neighborhood[:1] != ((0, 0),):
            raise GenieError(
                f"neighborhood begins with no displacement, (0, 0), got {shown(self.neighborhood)}"
            )
        check_grid(self.image_size, self.patch_size)
        if self.patch_size % 2:
            raise GenieError(f"patch_size must be even, as the stem halves, got {self.patch_size}")

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches in a frame."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size

    def softness(self, progress: float) -> float:
        """How far the choice of codes still is from one code each: from 1 to 0, which it reaches
        after `soft_share` of the training.
        """
        return max(0.0, 1 - progress / self.soft_share)

    def hardness(self, progress: float) -> float:
        """How much of the rest of the training is done: 0 up to there, then up to 1."""
        return max(0.0, (progress - self.soft_share) / (1 - self.soft_share))

    @property
    def displacements(self) -> list[tuple[int, int]]:
        """The neighborhood in pixels of its pictures, (rows, columns) each, each once; without one
        none.
        """
        return in_pixels(self.neighborhood or (), self.image_size)


class LatentActionModel(nn.Module):
    """Infers latent actions from pixels; its decoder is used in training only.

    Attributes:
        num_parts: into how many parts training divides a batch (`recomputation.in_parts`).
    """

    num_parts = 1

    @float32_weights()
    def __init__(self, config: LatentActionConfig):
        super().__init__()
        self.config = config
        channels, num_patches = config.stem_channels, config.grid[0] * config.grid[1]
        encoder, decoder = config.encoder, config.decoder
        self.stem = stem(6 + len(config.displacements), channels, config.patch_size, 3)
        self.matching = self.warp = self.embed_past = None
        num_motion = channels  # features of a patch that show how it moved
        if config.neighborhood is None:
            num_motion = 2 * channels
            self.matching = Matching(config.image_size, config.grid, channels)
            self.embed_past = nn.Linear(num_motion, decoder.width)
            self.warp = KernelWarp(decoder.width, config.image_size, config.patch_size)
        self.embed_motion = nn.Linear(num_motion, encoder.width)
        self.surprise = None
        if config.sees_surprise:
            self.surprise = Surprise(
                config.image_size, config.patch_size, config.grid, channels, encoder.width
            )
        self.encoder_position = nn.Parameter(0.02 * torch.randn(num_patches, encoder.width))
        self.encoder = STTransformer(encoder, config.grid)
        self.to_code = nn.Linear(encoder.width, config.quantizer.code_width)
        # Centre and scale over the batch: otherwise all vectors share one direction, and one code
        # takes everything.
        self.code_norm = nn.BatchNorm1d(config.quantizer.code_width, affine=False)
        self.quantizer = Quantizer(config.quantizer)

        self.embed_frame = nn.Linear(config.patch_size**2 * 3, decoder.width)
        self.decoder_position = nn.Parameter(0.02 * torch.randn(num_patches, decoder.width))
        self.from_code = nn.Linear(config.quantizer.code_width, decoder.width)
        self.decoder = STTransformer(decoder, config.grid)
        self.to_change = nn.Linear(decoder.width, config.patch_size**2 * 3)
        # the first guess is that nothing moves and nothing changes
        nn.init.zeros_(self.to_change.weight)
        nn.init.zeros_(self.to_change.bias)
        if config.neighborhood is not None:
            self.to_displacement = nn.Linear(decoder.width, len(config.displacements))
            nn.init.zeros_(self.to_displacement.weight)
            nn.init.zeros_(self.to_displacement.bias)
            self.to_displacement.bias.data[0] = 3.0

    def _check(self, frames: Tensor) -> Tensor:
        """Clips on this device; an action lies between two frames."""
        device = self.encoder_position.device
        return check_frames(frames, self.config.image_size, device, fewest=2)

    def motion(self, frames: Tensor) -> Tensor:
        """How each patch came from the frame before, which none of the later frames changes:
        (batch, T, patches, features).
        """
        batch, time = frames.shape[:2]
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        inputs = [2 * frames - 1, 2 * (frames - before)]
        if self.config.neighborhood is not None:  # block matching, as in optical flow
            inputs.append(matching_costs(frames, before, self.config.displacements))
        pixels = torch.cat(inputs, dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
        features = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        if self.matching is not None:
            matched = self.matching(frames.flatten(0, 1), before.flatten(0, 1))
            features = torch.cat([features, matched], dim=1)
        return features.flatten(2).transpose(1, 2).unflatten(0, (batch, time))

    def encode_continuous(self, frames: Tensor, motion: Tensor | None = None) -> Tensor:
        """What happened before each frame but the first, unquantised: (batch, T - 1, code_width).
        `motion` is that of the frames, if it is known already.
        """
        motion = self.motion(frames) if motion is None else motion
        news: tuple[Tensor, ...] = ()
        if self.surprise is not None:
            news = self.surprise.news(frames, self.expected(frames, motion))
        vectors = in_parts(self._encode_clips, self.num_parts, motion, *news)
        return over_batch(self.code_norm, vectors.flatten(0, 1), self.training).view_as(vectors)

    def _encode_clips(self, motion: Tensor, *news: Tensor) -> Tensor:
        """The encoder's output before it is centred and scaled over the batch."""
        x = self.embed_motion(motion) + self.encoder_position
        if self.surprise is not None:
            x = x + self.surprise(*news)
        x, _ = self.encoder(x)
        # The largest response over the patches: one moving figure must not be averaged away by a
        # still scene.
        return self.to_code(x.amax(dim=2))[:, 1:].float()

    @torch.no_grad()
    def expected(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Each frame as the decoder foresees it from those before it, without a code; the first,
        which nothing foretells, as it is: (batch, T, height, width, 3).
        """
        past, none = frames[:, :-1], frames.new_zeros(1, 1, self.config.quantizer.code_width)
        foreseen = self._decode_all(past, none.expand(*past.shape[:2], -1), motion[:, :-1])
        return torch.cat([frames[:, :1], foreseen.clamp(0, 1)], dim=1)

    def decode_some_without(self, frames: Tensor, codes: Tensor, motion: Tensor) -> Tensor:
        """`decode` in training. Where surprise is seen, some clips are drawn without their codes,
        or nothing would be known of what is to be expected.
        """
        if self.surprise is not None:
            kept = uniform(len(codes), 1, 1) >= _WITHOUT_CODES
            codes = codes * kept.to(codes.device)
        return self._decode_all(frames, codes, motion)

    def decode(self, frames: Tensor, codes: Tensor, motion: Tensor | None = None) -> Tensor:
        """Predict the frame after each of frames (batch, T, ...) given the action taken there
        (batch, T, code_width). `motion` is that of the frames, if it is known already.
        """
        x = self.embed_frame(2 * unfold(frames, self.config.patch_size) - 1) + self.decoder_position
        if self.embed_past is not None:
            x = x + self.embed_past(self.motion(frames) if motion is None else motion)
        x, _ = self.decoder(x + self.from_code(codes)[:, :, None])
        return self.move(x, frames) + fold(
            self.to_change(x).float(), self.config.patch_size, self.config.grid
        )

    def _decode_all(self, frames: Tensor, codes: Tensor, motion: Tensor) -> Tensor:
        """What `decode` draws of a batch."""
        return in_parts(self.decode, self.num_parts, frames, codes, motion)

    def move(self, x: Tensor, frames: Tensor) -> Tensor:
        """Move the frames' patches, or mix displaced copies of them, as their features x (batch, T,
        patches, width) say: (batch, T, ...).
        """
        size, grid = self.config.patch_size, self.config.grid
        if self.warp is not None:
            moved = self.warp(x.flatten(0, 1), frames.flatten(0, 1))
            return fold(moved.unflatten(0, frames.shape[:2]), size, grid)
        shares = self.to_displacement(x).float().softmax(-1).unflatten(2, grid)
        shares = shares.repeat_interleave(size, dim=2).repeat_interleave(size, dim=3)
        return (displaced(frames, self.config.displacements) * shares[..., None]).sum(-2)

    @torch.no_grad()
    def infer(self, frames: Tensor) -> Tensor:
        """Tell which latent action led from each frame to the next. Always in float32, as
        `VideoTokenizer.encode`.

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1], T at least 2.

        Returns:
            (batch, T - 1) int64 in [0, number of codes).
        """
        frames = self._check(frames)
        with in_float32(frames.device):
            return self.quantizer.nearest(self.encode_continuous(frames))

    @torch.no_grad()
    def predict(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Draw the frame after each given frame with the training decoder.

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1].
            actions: (batch, T) int64; actions[:, t] is taken at frame t.

        Returns:
            (batch, T, height, width, 3) float in [0, 1]; entry t is the guess for frame t + 1.
        """
        device = self.decoder_position.device
        frames = check_frames(frames, self.config.image_size, device)
        actions = check_indices(
            "actions, one for every frame,",
            actions,
            tuple(frames.shape[:2]),
            self.config.quantizer.num_codes,
            device,
        )
        return self.decode(frames, self.quantizer.lookup(actions)).clamp(0, 1)

    def forward(
        self, frames: Tensor, progress: float = 1.0, refine: bool = False
    ) -> dict[str, Tensor]:
        """One training pass.

        At first a transition may belong to several codes, less and less so (a falling temperature);
        later to one, gradients passing straight through the choice. Chosen hard from the start, one
        code took everything before any meant something.

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1], T at least 2.
            progress: how much of the training is done, from 0 to 1.
            refine: whether small changes are to count in full already, as after a restart.

        Returns:
            `loss` (scalar): the `reconstruction`, less a reward for using the codes evenly, which
            ends with the training, plus a growing price for undecided choices; `actions` (batch, T
            - 1); the unquantised `continuous` (batch, T - 1, code_width). The reconstruction is the
            mean of `errors`.
        """
        frames = self._check(frames)
        progress = check_number("progress", progress, 0, 1)
        config = self.config
        hardness = config.hardness(progress)
        motion = in_parts(self.motion, self.num_parts, frames)
        continuous = self.encode_continuous(frames, motion)
        codes, shares = self.choose(continuous, progress)
        predicted = self.decode_some_without(frames[:, :-1], codes, motion[:, :-1])
        busy, quiet = config.still_shares
        still = quiet if refine else busy * (quiet / busy) ** hardness
        reconstruction = self.errors(predicted, frames, still).mean()
        return {
            "loss": self.priced(reconstruction, continuous, shares, progress),
            "reconstruction": reconstruction,
            "actions": shares.argmax(dim=-1),
            "continuous": continuous,
        }

    def choose(self, continuous: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Codes for the decoder in place of unquantised vectors, both (..., code_width), and how
        much each vector belongs to each code, (..., num_codes).
        """
        softness = self.config.softness(progress)
        first, last = self.config.temperatures
        shares = self.quantizer.assign(continuous, last * (first / last) ** softness)
        chosen = F.one_hot(shares.argmax(-1), shares.shape[-1]) if softness == 0 else shares
        return self.quantizer.mix(shares + (chosen - shares).detach()), shares

    def errors(self, predicted: Tensor, frames: Tensor, still: float) -> Tensor:
        """How badly each transition is drawn, (batch, T - 1): `log_ratios`."""
        return log_ratios(predicted, frames, still)

    def priced(
        self, reconstruction: Tensor, continuous: Tensor, shares: Tensor, progress: float
    ) -> Tensor:
        """The loss: the reconstruction, and what this choice of codes costs or earns."""
        config = self.config
        softness = config.softness(progress)
        hardness = config.hardness(progress)
        return (
            reconstruction
            - config.batch_entropy_weight
            * (1 - hardness)
            * entropy(batch_mean(shares.flatten(0, 1).mean(dim=0)))
            + config.sample_entropy_weight * (1 - softness) ** 2 * entropy(shares).mean()
        )

    def settle(self, frames: Tensor) -> dict[str, Tensor]:
        """A training pass in which the decoder, and no longer the encoder, decides which code a
        transition is: the one under which it is drawn best.

        The encoder learns to tell which. Its own choice, learnt through a gradient that passes
        straight through, is often not the one that serves best, though its vectors would hold it.
        This is hard expectation maximization: the codes are the hidden causes. They must mean
        something before, so it comes last.

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1], T at least 2.

        Returns:
            As `forward`, with the decoder's choice of `actions`; the `loss` is the
            `reconstruction` under it plus the cross-entropy of the encoder's.
        """
        frames = self._check(frames)
        motion = in_parts(self.motion, self.num_parts, frames)
        continuous = self.encode_continuous(frames, motion)
        temperature = self.config.temperatures[1]
        shares = self.quantizer.assign(continuous, temperature)
        ratios = self._under_every_code(frames, motion)
        # One code that began better than the others would soon be the only one that learns: what a
        # code has of this batch counts against it (one round of Sinkhorn's algorithm).
        use = batch_mean((-ratios / temperature).softmax(dim=-1).flatten(0, 1).mean(dim=0))
        ratios = ratios + temperature * use.log()
        actions = ratios.argmin(dim=-1)
        codes = self.quantizer.lookup(actions)
        predicted = self.decode_some_without(frames[:, :-1], codes, motion[:, :-1])
        reconstruction = self.errors(predicted, frames, self.config.still_shares[1]).mean()
        wanted = (-ratios / temperature).softmax(dim=-1)
        choice = -(wanted * shares.clamp(min=1e-9).log()).sum(dim=-1).mean()
        return {
            "loss": reconstruction + choice,
            "reconstruction": reconstruction,
            "actions": actions,
            "continuous": continuous,
        }

    @torch.no_grad()
    def _under_every_code(self, frames: Tensor, motion: Tensor) -> Tensor:
        """How badly each transition is drawn under each code: `errors`, (batch, T - 1, number
        of codes). The decoder also sees the codes before; here a clip has the same one throughout,
        since all sequences of codes would be too many.
        """
        batch, time = frames.shape[0], frames.shape[1] - 1
        num_codes = self.config.quantizer.num_codes
        past = frames[:, :-1].repeat(num_codes, 1, 1, 1, 1)
        codes = self.quantizer.lookup(torch.arange(num_codes, device=frames.device))
        codes = codes.repeat_interleave(batch, dim=0)[:, None].expand(-1, time, -1)
        drawn = self._decode_all(past, codes, motion[:, :-1].repeat(num_codes, 1, 1, 1))
        still = self.config.still_shares[1]
        return torch.stack(
            [self.errors(one, frames, still) for one in drawn.unflatten(0, (num_codes, batch))],
            dim=-1,
        )

    @torch.no_grad()
    def spread_codes(self, frames: Tensor) -> None:
        """Give all codes new directions, where the vectors of these clips lie (`Quantizer.spread`).

        Args:
            frames: (batch, T, height, width, 3) float in [0, 1], T at least 2; some hundred
                transitions.
        """
        self.quantizer.spread(whole_batch(self.encode_clips(frames)))

    @torch.no_grad()
    def encode_clips(self, frames: Tensor) -> Tensor:
        """As `encode_continuous`, of frames that have not been checked; without gradient."""
        return self.encode_continuous(self._check(frames))
