"""MaskGIT (Chang et al. 2022): a frame's tokens, all masked at first, are predicted over a few
steps, the surest first.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from genie_mini.contract import (
    check_callable,
    check_indices,
    check_integer,
    check_min_p,
    check_temperature,
    check_tensor,
    shown,
)
from genie_mini.errors import GenieError
from genie_mini.models.patches import MOST_TOKENS

# Steps of a frame at play: quick enough to play, and more of them draw hardly better.
PLAY_MASKGIT_STEPS = 8


def cut_tail(logits: Tensor, min_p: float) -> Tensor:
    """Logits without the tail of each distribution, (..., num_codes): those of tokens less probable
    than `min_p` times the likeliest one become minus infinity (min-p sampling, Nguyen et al. 2025).

    A code that the model holds for hardly possible is hardly ever right. But there are hundreds of
    them and many tokens in a frame, so some are drawn, and the frames to come go on from there.
    """
    if min_p == 0:
        return logits
    least = logits.amax(dim=-1, keepdim=True) + math.log(min_p)
    return logits.masked_fill(logits < least, -math.inf)


def sample_tokens(
    logits: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
    min_p: float = 0.0,
    points: Tensor | None = None,
) -> Tensor:
    """Sample one token from each distribution: (..., num_codes) -> (...) int64.

    The tokens share out the line from 0 to 1 by their probabilities; one random point on it falls
    to one of them. Which ones `cut_tail` leaves out is decided before the temperature: what the
    model believes hardly possible is drawn at none.

    `points`, (...) float32 in [0, 1) on the CPU, are drawn here unless they are given.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = cut_tail(logits, min_p)
    ends = (logits / temperature).softmax(dim=-1).cumsum(dim=-1)
    # Drawn on the CPU, then moved, so that a seed gives the same points on every device.
    if points is None:
        points = torch.rand(logits.shape[:-1], generator=generator, dtype=torch.float32)
    points = points[..., None].to(logits.device) * ends[..., -1:]
    return torch.searchsorted(ends, points, right=True)[..., 0].clamp(max=logits.shape[-1] - 1)


def num_masked(num_tokens: int, step: int, maskgit_steps: int) -> int:
    """How many of a frame's tokens stay masked after a step (from 0): N (1 - (step + 1) /
    maskgit_steps)^2.

    At least one token is unmasked a step and one is left for each step to come. (MaskGIT unmasks
    few tokens first and many last, along a cosine; the paper names no schedule. Here the last ones
    are those that decide, and drawn together they gave half players.)
    """
    left = maskgit_steps - step - 1
    return max(num_tokens * left**2 // maskgit_steps**2, left)


def mask_schedule(num_tokens: int, maskgit_steps: int) -> list[int]:
    """`num_masked` after each step, of which there is one a token at most."""
    num_tokens = check_integer("num_tokens", num_tokens, 1, MOST_TOKENS)
    maskgit_steps = check_integer("maskgit_steps", maskgit_steps, 1, num_tokens)
    return [num_masked(num_tokens, step, maskgit_steps) for step in range(maskgit_steps)]


def confidence(logits: Tensor, sampled: Tensor, generator: torch.Generator | None) -> Tensor:
    """The model's belief in the tokens that were sampled, not in its favourite ones: (batch, N,
    num_codes) and (batch, N) -> (batch, N).

    As in MaskGIT it is what the model said: neither temperature nor `cut_tail` makes it surer.
    """
    return logits.softmax(dim=-1).gather(-1, sampled[..., None])[..., 0]


def fill_in(
    predict_logits: Callable[[Tensor], Tensor],
    tokens: Tensor,
    mask_token: int,
    schedule: Sequence[int],
    *,
    order: Callable[[Tensor, Tensor, torch.Generator | None], Tensor] = confidence,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    on_step: Callable[[Tensor], None] | None = None,
    min_p: float = 0.0,
) -> Tensor:
    """Fill in masked tokens: in each step all of them are predicted, and those that rank highest
    are kept and shown to the next step.

    Args:
        predict_logits: gives logits (batch, N, num_codes) for partly masked tokens (batch, N).
        tokens: (batch, N) int64; `mask_token` stands where a token is to be filled in.
        mask_token: the mask.
        schedule: how many tokens stay masked after each step, as `mask_schedule` gives them; the
            last is 0.
        order: ranks the sampled tokens, (batch, N); MaskGIT takes the surest first.
        temperature: 0 takes the likeliest token, 1 samples as the model believes, above 1 more
            freely.
        generator: source of randomness, on the CPU.
        on_step: called with the tokens after each step, to watch.
        min_p: from 0 to 1; only tokens at least so many times as probable as the likeliest one are
            drawn (`cut_tail`).

    Returns:
        (batch, N) int64.
    """
    _check_filling(tokens, schedule, temperature, generator)
    check_min_p(min_p)
    check_callable("on_step", on_step, optional=True)
    for still_masked in schedule:
        logits = predict_logits(tokens)
        sampled = sample_tokens(logits, temperature, generator, min_p)
        masked = tokens == mask_token
        # what is unmasked stays so
        rank = order(logits, sampled, generator).masked_fill(~masked, math.inf)
        first = rank.argsort(dim=-1, descending=True)[:, : tokens.shape[1] - still_masked]
        unmasked = torch.zeros_like(masked).scatter(1, first, True)
        tokens = torch.where(masked & unmasked, sampled, tokens)
        if on_step is not None:
            on_step(tokens)
    return tokens


def _check_filling(tokens, schedule, temperature, generator):
    """Whether `fill_in` can work with this."""
    check_tensor("tokens must be (batch, N) int64", tokens, ("batch", "N"), torch.int64)
    if not isinstance(schedule, Sequence) or not schedule or schedule[-1] != 0:
        raise GenieError(f"a schedule is a list of numbers that ends in 0, got {shown(schedule)}")
    for still_masked in schedule:
        check_integer("what a schedule leaves masked", still_masked, 0, tokens.shape[1])
    check_temperature(temperature)
    if generator is not None:
        is_generator = isinstance(generator, torch.Generator)
        if not is_generator or generator.device.type != "cpu":
            raise GenieError(f"generator must be a torch.Generator on the CPU, got {generator!r}")


class FrameSampler:
    """What draws the next frame's tokens by MaskGIT: a dynamics model, in PyTorch or exported.

    Attributes:
        num_tokens: N, the tokens of a frame.
        num_actions: latent actions.
        mask_token: what stands where a token is masked.
        min_p: of a token that is drawn, unless `sample` is told another.
        mask_schedule: how many tokens stay masked after each step, as `mask_schedule` tells.
    """

    num_tokens: int
    num_actions: int
    mask_token: int
    min_p: float
    mask_schedule = staticmethod(mask_schedule)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        raise NotImplementedError

    def check_clip(
        self, tokens: Tensor, actions: Tensor, *, limit: int, led: int = 0, fewest: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Tokens (batch, T, N) below `limit`, of at least `fewest` frames, and actions (batch, T -
        1), or (batch, T) where `led` is 1 since one led to the first frame too; brought to the
        device.

        Raises:
            GenieError: they are something else.
        """
        shape = ("batch", "time", self.num_tokens)
        tokens = check_indices("tokens", tokens, shape, limit, self.device)
        batch, num_frames = tokens.shape[:2]
        if num_frames < fewest:
            raise GenieError(f"tokens must be of {fewest} frames or more, got {num_frames}")
        told = " (batch, time)" if led else " (batch, time - 1), one between two frames,"
        lengths = (batch, num_frames - 1 + led)
        return tokens, check_indices(
            "actions", actions, lengths, self.num_actions, self.device, told
        )

    def check_cache(self, cache: Any, batch: int) -> None:
        """Raise a GenieError unless the cache is one of this model's, of so many videos."""
        raise NotImplementedError

    def predict_logits(self, tokens: Tensor, actions: Tensor, cache: Any) -> Tensor:
        """Logits (batch, N, num_codes) of a partly masked frame, tokens (batch, N), that actions
        (batch,) led to.
        """
        raise NotImplementedError

    @torch.no_grad()
    def sample(
        self,
        cache: Any,
        actions: Tensor,
        *,
        maskgit_steps: int = 25,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        on_step: Callable[[Tensor], None] | None = None,
        min_p: float | None = None,
    ) -> Tensor:
        """Draw the next frame's tokens by MaskGIT (`fill_in`).

        Most of a frame is certain at once, so the first steps keep many tokens; the few that decide
        what happens come one after another (`mask_schedule`), and do not contradict each other.

        Args:
            cache: what came before, from `DynamicsModel.prefill` and `append`.
            actions: (batch,) int64, the action that leads to the new frame.
            maskgit_steps: from 1 to N. 25 in the paper.
            temperature: 0 takes the likeliest token, 1 samples as the model believes, above 1 more
                freely.
            generator: source of randomness, on the CPU, so that a seed gives the same frames on
                every device.
            on_step: called with the tokens, (batch, N), after each step, to watch; those still
                masked are `mask_token`.
            min_p: from 0 to 1; only tokens at least so many times as probable as the likeliest one
                are drawn (`cut_tail`). None: as the model's config says.

        Returns:
            (batch, N) int64.
        """
        maskgit_steps = check_integer("maskgit_steps", maskgit_steps, 1, self.num_tokens)
        actions = check_indices("actions", actions, ("batch",), self.num_actions, self.device)
        self.check_cache(cache, len(actions))
        cache = cache.preallocate(1)
        return fill_in(
            lambda tokens: self.predict_logits(tokens, actions, cache),
            actions.new_full((actions.shape[0], self.num_tokens), self.mask_token),
            self.mask_token,
            self.mask_schedule(self.num_tokens, maskgit_steps),
            temperature=temperature,
            generator=generator,
            on_step=on_step,
            min_p=self.min_p if min_p is None else min_p,
        )
