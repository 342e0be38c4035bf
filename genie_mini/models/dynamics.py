"""The dynamics model: the tokens of the next frame from the tokens so far and the action (paper,
Section 2.1, Figure 7).

A MaskGIT (Chang et al. 2022) over video: tokens of a frame are masked and predicted, all at once in
training, over a few steps at play (`maskgit`), the surest first. The latent action is added to the
embedding of every token of the frame that it leads to.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genie_mini.contract import check_choice, check_config, check_integer
from genie_mini.device import float32_weights
from genie_mini.errors import GenieError
from genie_mini.models.kv_cache import Archive, KVCache
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.models.maskgit import FrameSampler, sample_tokens
from genie_mini.models.patches import check_grid
from genie_mini.models.recomputation import in_parts
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig
from genie_mini.ranks import batch_ratio, uniform, uniform_where

_EMBEDDING_STD = 0.2  # of the embeddings' entries, at the beginning


@dataclass(frozen=True)
class DynamicsConfig:
    """Sizes of the dynamics model.

    Attributes:
        grid: (rows, columns) of a frame's tokens.
        num_codes: the tokenizer's codes.
        num_actions: latent actions.
        transformer: shape of its stack.
        context: frames it attends to, its own included.
        lookback: which frames these are, a key of `models.lookback.LOOKBACKS`; the paper's is
            "recent".
        mask_rate: (lowest, highest) share of a frame's tokens masked in training; drawn for each
            sample.
        scheduled_sampling: highest share of the past's masked tokens that the model's own samples
            replace in training, so that it learns to go on from its mistakes; drawn for each
            sample.
        change_weight: extra weight of the loss on tokens that differ from the frame before.
        min_p: at play, how many times as probable as the likeliest token one must be to be drawn
            (`maskgit.cut_tail`); 0, as in the paper, leaves out none.
    """

    grid: tuple[int, int]
    num_codes: int
    transformer: STTransformerConfig
    num_actions: int = 8
    context: int = 16
    lookback: str = "recent"
    mask_rate: tuple[float, float] = (0.5, 1.0)
    scheduled_sampling: float = 0.3
    change_weight: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        check_choice("lookback", self.lookback, LOOKBACKS)
        check_config(
            self,
            grid=(1, 4096),
            num_codes=(1, 2**16),
            num_actions=(1, 2**12),
            context=(1, 2**12),
            mask_rate=(0, 1),
            scheduled_sampling=(0, 1),
            change_weight=(0, 1e6),
            min_p=(0, 1),
        )
        check_grid(self.grid, 1)
        if self.lookback != "recent" and self.context < 2:
            raise GenieError(
                f"with a context of 1 there is no past for {self.lookback!r} to choose"
            )
        if not 0 < self.mask_rate[1] >= self.mask_rate[0]:
            raise GenieError(
                f"mask_rate is a lowest and a highest share above 0, got {self.mask_rate}"
            )

    @property
    def num_tokens(self) -> int:
        """N, the tokens of one frame."""
        return self.grid[0] * self.grid[1]


class DynamicsModel(FrameSampler, nn.Module):
    """Logits for every token of every frame; `mask_token` (= num_codes) in the input masks a token.

    At play the next frame is drawn by `FrameSampler.sample`.

    Attributes:
        num_parts: into how many parts training divides a batch (`recomputation.in_parts`).
    """

    num_parts = 1

    @float32_weights()
    def __init__(self, config: DynamicsConfig):
        super().__init__()
        self.config = config
        self.num_tokens, self.num_actions = config.num_tokens, config.num_actions
        width = config.transformer.width
        self.lookback = LOOKBACKS[config.lookback](config.context)
        self.mask_token, self.min_p = config.num_codes, config.min_p
        self.embed_token = nn.Embedding(config.num_codes + 1, width)
        self.embed_action = nn.Embedding(config.num_actions, width)
        self.position = nn.Parameter(torch.empty(self.num_tokens, width))
        for table in (self.embed_token.weight, self.embed_action.weight, self.position):
            # Alike in size: a token that is much longer drowns the action in the first norm.
            nn.init.normal_(table, std=_EMBEDDING_STD)
        self.transformer = STTransformer(config.transformer, config.grid)
        self.to_logits = nn.Linear(width, config.num_codes)
        # Most of a frame is as it was. Where a code is read out as it is put in, the network learns
        # to copy once for all codes, not for each; logits begin with a size of one.
        with torch.no_grad():
            codes = self.embed_token.weight[: config.num_codes]
            self.to_logits.weight.copy_(codes / (_EMBEDDING_STD * math.sqrt(width)))
            self.to_logits.bias.zero_()

    @property
    def device(self) -> torch.device:
        """Where its weights are, and where it computes."""
        return self.position.device

    def embed(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Add up token, place and action: (batch, T, N, width).

        `actions` has T entries a clip, actions[:, t] leading TO frame t, or T - 1 where nothing led
        to the first frame.
        """
        x = self.embed_token(tokens) + self.position
        action = self.embed_action(actions)
        if action.shape[1] == tokens.shape[1] - 1:
            action = F.pad(action, (0, 0, 1, 0))
        return x + action[:, :, None]

    def forward(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Predict every frame from the frames before it, its own unmasked tokens and the actions up
        to it.

        Args:
            tokens: (batch, T, N) int64 in [0, num_codes]; num_codes is the mask.
            actions: (batch, T - 1) int64 in [0, num_actions); actions[:, t] leads from frame t to t
                + 1.

        Returns:
            Logits, (batch, T, N, num_codes); those at frame t depend on tokens[:, :t + 1] and
            actions[:, :t].
        """
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token + 1)
        return self.to_logits(
            self.transformer(
                self.embed(tokens, actions), attention_mask=self.lookback.attention_mask(tokens)
            )[0]
        )

    def check_cache(self, cache: KVCache | Archive, batch: int) -> None:
        """Raise a GenieError unless it came from `prefill` or `append`, of so many videos."""
        wanted = KVCache if self.config.lookback == "recent" else Archive
        if not isinstance(cache, wanted):
            raise GenieError(
                f"the cache must be a {wanted.__name__} from prefill, got {type(cache).__name__}"
            )
        self.transformer.check_cache(cache.cache if isinstance(cache, Archive) else cache, batch)

    def loss(self, tokens: Tensor, actions: Tensor, guess_depth: int = 1) -> dict[str, Tensor]:
        """Cross-entropy on the masked tokens of frames 1 and later.

        The clip runs through the network twice: once clean, giving keys and values of the past as
        they are at play, and once masked, each frame attending to the clean frames before it. (The
        paper masks tokens of the whole clip under one rate, so that its model meets a clean past
        only at play.) At play the past is the model's own work. So a trial run of both, without
        gradient, samples the masked tokens first, and some of the samples stand in the past of the
        run that counts. A second trial run over a past with samples makes guesses that rest on
        guesses, as in the second frame that is dreamt, and so on.

        Args:
            tokens: (batch, T, N) int64 in [0, num_codes), the true tokens.
            actions: (batch, T - 1) int64.
            guess_depth: trial runs, one after the other, 1 or more.

        Returns:
            `loss` (scalar); `accuracy` on masked tokens that changed since the frame before and
            `accuracy_still` on others.
        """
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token, fewest=2)
        guess_depth = check_integer("guess_depth", guess_depth, 1)
        batch = len(tokens)
        low, high = self.config.mask_rate
        rate = low + (high - low) * uniform(batch, 1, 1)
        masked = uniform(*tokens.shape) < rate
        masked[:, 0] = False  # the prompt is given
        masked = masked.to(tokens.device)

        def logits_after(past_tokens):
            return in_parts(
                self._masked_logits, self.num_parts, tokens, masked, past_tokens, actions
            )

        @torch.no_grad()
        def guessed_after(past):
            return sample_tokens(logits_after(past), temperature=1.0, points=uniform_where(masked))

        past_tokens = tokens
        if self.config.scheduled_sampling:
            guesses = guessed_after(tokens)
            share = self.config.scheduled_sampling * uniform(batch, 1, 1)
            replaced = masked & (uniform(*tokens.shape) < share).to(tokens.device)
            for _ in range(guess_depth - 1):
                guesses = guessed_after(_with_guesses(tokens, guesses, masked, replaced))
            past_tokens = _with_guesses(tokens, guesses, masked, replaced)

        logits = logits_after(past_tokens)
        targets = tokens[masked]
        changed = torch.zeros_like(masked)
        changed[:, 1:] = tokens[:, 1:] != tokens[:, :-1]
        changed = changed[masked]
        weights = 1 + self.config.change_weight * changed.float()
        surprise = F.cross_entropy(logits, targets, reduction="none")
        right = (logits.argmax(-1) == targets).float()
        return {
            "loss": batch_ratio((surprise * weights).sum(), weights.sum()),
            "accuracy": batch_ratio(right[changed].sum(), changed.sum()),
            "accuracy_still": batch_ratio(right[~changed].sum(), (~changed).sum()),
        }

    def _masked_logits(
        self, tokens: Tensor, masked: Tensor, past_tokens: Tensor, actions: Tensor
    ) -> Tensor:
        """Logits of the masked tokens, (number of them, num_codes), each frame attending to the
        clean frames before it, which are `past_tokens`; all (batch, T, N).
        """
        attention_mask = self.lookback.attention_mask(past_tokens)
        _, clean = self.transformer(self.embed(past_tokens, actions), attention_mask=attention_mask)
        partly_masked = tokens.masked_fill(masked, self.mask_token)
        x, _ = self.transformer(
            self.embed(partly_masked, actions), clean=clean, attention_mask=attention_mask
        )
        return self.to_logits(x[masked]).float()

    @torch.no_grad()
    def prefill(self, tokens: Tensor, actions: Tensor) -> KVCache | Archive:
        """Run the frames of a prompt through the network once and return the cache with them in it.

        Where each frame chooses its past (`lookback`), they run one by one, and what is returned is
        an `Archive`.

        Args:
            tokens: (batch, T, N) int64.
            actions: (batch, T - 1) int64, between them.
        """
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token + 1)
        if self.config.lookback != "recent":
            first = tokens[:, :1]
            _, present = self.transformer(self.embed(first, actions[:, :0]))
            archive = Archive(present, first, self.lookback)
            return self.append(archive, tokens[:, 1:], actions) if actions.numel() else archive
        attention_mask = self.lookback.attention_mask(tokens)
        _, present = self.transformer(self.embed(tokens, actions), attention_mask=attention_mask)
        return KVCache.empty_like(present).append(present, self.config.context - 1)

    @torch.no_grad()
    def append(
        self, cache: KVCache | Archive, tokens: Tensor, actions: Tensor
    ) -> KVCache | Archive:
        """Run finished frames through the network once and return a cache that holds them too.

        Args:
            cache: what came before, from `prefill`; not changed.
            tokens: (batch, T, N) int64.
            actions: (batch, T) int64 leading TO each of these frames.
        """
        tokens, actions = self.check_clip(tokens, actions, limit=self.mask_token + 1, led=1)
        self.check_cache(cache, len(tokens))
        if isinstance(cache, KVCache):
            _, present = self.transformer(self.embed(tokens, actions), cache)
            return cache.append(present, self.config.context - 1)
        for t in range(tokens.shape[1]):
            frame = tokens[:, t : t + 1]
            _, present = self.transformer(self.embed(frame, actions[:, t : t + 1]), cache.chosen)
            cache = cache.append(present, frame)
        return cache

    def predict_logits(self, tokens: Tensor, actions: Tensor, cache: KVCache) -> Tensor:
        """Logits (batch, N, num_codes) of a partly masked frame, tokens (batch, N), that actions
        (batch,) led to.
        """
        x, _ = self.transformer(self.embed(tokens[:, None], actions[:, None]), cache)
        return self.to_logits(x[:, 0]).float()


def _with_guesses(tokens: Tensor, guesses: Tensor, masked: Tensor, replaced: Tensor) -> Tensor:
    """The tokens, (batch, T, N), with guesses where `replaced` says so; there is one guess for each
    place that `masked` says, both (batch, T, N) bool.
    """
    return torch.where(replaced, tokens.masked_scatter(masked, guesses), tokens)
