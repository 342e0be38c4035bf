"""Exercises of the dynamics chapter."""

import math

import torch
import torch.nn.functional as F

from genie_mini.chapters.checks import exercise, expect
from genie_mini.models.maskgit import num_masked, sample_tokens

MASK = 1024


def _square_only(num_tokens, maskgit_steps):
    return [
        num_tokens * (maskgit_steps - step - 1) ** 2 // maskgit_steps**2
        for step in range(maskgit_steps)
    ]


def _one_step_late(num_tokens, maskgit_steps):
    return [
        max(
            num_tokens * (maskgit_steps - step) ** 2 // maskgit_steps**2,
            maskgit_steps - step,
        )
        for step in range(maskgit_steps)
    ]


def _linear(num_tokens, maskgit_steps):
    return [
        num_tokens - math.ceil(num_tokens * (step + 1) / maskgit_steps)
        for step in range(maskgit_steps)
    ]


def _cosine(num_tokens, maskgit_steps):
    cosine = [
        math.floor(num_tokens * math.cos(math.pi / 2 * (step + 1) / maskgit_steps))
        for step in range(maskgit_steps)
    ]
    return [min(masked, num_tokens - step - 1) for step, masked in enumerate(cosine)]


def _those_unmasked(num_tokens, maskgit_steps):
    return [
        num_tokens - num_masked(num_tokens, step, maskgit_steps) for step in range(maskgit_steps)
    ]


@exercise(_square_only, _one_step_late, _linear, _cosine, _those_unmasked)
def check_num_masked(answer) -> None:
    """A function (num_tokens, maskgit_steps) that gives a list: how many tokens are still masked
    after each step.
    """
    for num_tokens, maskgit_steps in (
        (64, 1),
        (64, 2),
        (64, 8),
        (920, 25),
        (64, 25),
        (16, 16),
        (5, 4),
    ):
        given, where = (
            answer(num_tokens, maskgit_steps),
            f"with {num_tokens} tokens and {maskgit_steps} steps",
        )
        given = [int(count) for count in given]
        expect(len(given) == maskgit_steps, f"{where} the list has {len(given)} entries")
        expect(given[-1] == 0, f"{where} {given[-1]} tokens are masked after the last step")
        masked = num_tokens
        for step, count in enumerate(given):
            expect(count < masked, f"{where} step {step + 1} unmasks no new token")
            masked = count
            expected = num_masked(num_tokens, step, maskgit_steps)
            expect(
                count == expected,
                f"{where} {count} are masked after step {step + 1} instead of {expected}",
            )


def _one_rate_for_all(tokens, mask_token):
    return tokens.masked_fill(torch.rand(tokens.shape) < 0.5 + 0.5 * torch.rand(()), mask_token)


def _a_rate_for_each_token(tokens, mask_token):
    return tokens.masked_fill(
        torch.rand(tokens.shape) < 0.5 + 0.5 * torch.rand(tokens.shape), mask_token
    )


def _any_rate(tokens, mask_token):
    return tokens.masked_fill(torch.rand(tokens.shape) < torch.rand(len(tokens), 1), mask_token)


def _the_first_ones(tokens, mask_token):
    rate = 0.5 + 0.5 * torch.rand(len(tokens), 1)
    return tokens.masked_fill(torch.arange(tokens.shape[1]) < rate * tokens.shape[1], mask_token)


def _in_place(tokens, mask_token):
    return tokens.masked_fill_(
        torch.rand(tokens.shape) < 0.5 + 0.5 * torch.rand(len(tokens), 1), mask_token
    )


@exercise(_one_rate_for_all, _a_rate_for_each_token, _any_rate, _the_first_ones, _in_place)
def check_mask(answer) -> None:
    """A function (tokens, mask_token) that masks each sample's tokens at a rate of its own, uniform
    in [0.5, 1].
    """
    torch.manual_seed(0)
    tokens = torch.randint(MASK, (256, 900))
    before = tokens.clone()
    given = answer(tokens, MASK)
    expect(
        torch.equal(tokens, before),
        "the tokens that were given have been changed; they are still needed as targets",
    )
    expect(
        given.shape == tokens.shape,
        f"the shape is {tuple(given.shape)}, not {tuple(tokens.shape)}",
    )
    masked = given == MASK
    expect(
        torch.equal(given[~masked], tokens[~masked]),
        "a token that is not masked has changed",
    )
    rates = masked.float().mean(dim=1)
    expect(
        rates.std() > 0.02,
        f"all samples mask nearly the same share, {rates.mean():.2f}; each should "
        "have its own rate",
    )
    expect(rates.min() > 0.43, f"a sample masks only {rates.min():.2f} of its tokens")
    expect(rates.max() > 0.95, f"no sample masks more than {rates.max():.2f} of its tokens")
    expect(
        abs(rates.mean() - 0.75) < 0.04,
        f"on average {rates.mean():.2f} are masked instead of 0.75",
    )
    halves = masked[:, :450].float().mean() - masked[:, 450:].float().mean()
    expect(abs(halves) < 0.03, "the masked tokens crowd in one part of the sample")


def _temperature_upside_down(logits, temperature, points):
    ends = (logits * temperature).softmax(-1).cumsum(-1)
    return (points[..., None] >= ends).sum(-1).clamp(max=logits.shape[-1] - 1)


def _temperature_after_the_softmax(logits, temperature, points):
    ends = (logits.softmax(-1) / temperature).cumsum(-1)
    return (points[..., None] >= ends).sum(-1).clamp(max=logits.shape[-1] - 1)


def _no_temperature(logits, temperature, points):
    return (
        (points[..., None] >= logits.softmax(-1).cumsum(-1)).sum(-1).clamp(max=logits.shape[-1] - 1)
    )


def _one_too_far(logits, temperature, points):
    ends = (logits / temperature).softmax(-1).cumsum(-1)
    return ((points[..., None] >= ends).sum(-1) + 1).clamp(max=logits.shape[-1] - 1)


@exercise(
    _temperature_upside_down,
    _temperature_after_the_softmax,
    _no_temperature,
    _one_too_far,
    lambda logits, temperature, points: logits.argmax(-1),
)
def check_sample_tokens(answer) -> None:
    """A function (logits, temperature, points) that samples as the package's
    `sample_tokens` does, with the random points given.
    """
    for seed, (shape, temperature) in enumerate(
        (((7,), 1.0), ((6, 64, 50), 1.0), ((4, 64, 50), 2.0), ((4, 64, 50), 0.5))
    ):
        logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        points = torch.rand(*shape[:-1], 1, generator=torch.Generator().manual_seed(99))[..., 0]
        expected = sample_tokens(logits, temperature, torch.Generator().manual_seed(99))
        given = answer(logits, temperature, points)
        expect(
            given.shape == expected.shape,
            f"for logits {tuple(shape)} the shape is {tuple(given.shape)}",
        )
        share = (given == expected).float().mean().item()
        expect(
            share > 0.995,
            f"at temperature {temperature} only {share:.0%} of the draws are those of the package",
        )


def _surest_of_all(confidence, masked, k):
    order = confidence.argsort(dim=1, descending=True)
    return torch.zeros_like(masked).scatter(1, order[:, :k], True)


def _least_sure(confidence, masked, k):
    order = confidence.masked_fill(~masked, math.inf).argsort(dim=1)
    return torch.zeros_like(masked).scatter(1, order[:, :k], True)


def _k_of_the_batch(confidence, masked, k):
    best = confidence.masked_fill(~masked, -1.0).flatten().topk(k * len(masked)).indices
    return torch.zeros_like(masked).flatten().scatter(0, best, True).view_as(masked)


def _those_that_stay_masked(confidence, masked, k):
    return masked & ~_keep(confidence, masked, k)


def _keep(confidence, masked, k):
    order = confidence.masked_fill(~masked, -1.0).argsort(dim=1, descending=True)
    return torch.zeros_like(masked).scatter(1, order[:, :k], True)


@exercise(_surest_of_all, _least_sure, _k_of_the_batch, _those_that_stay_masked)
def check_keep_surest(answer) -> None:
    """A function (confidence, masked, k) that marks in each row the k masked places with the
    largest confidence.
    """
    generator = torch.Generator().manual_seed(0)
    for rows, places, k in ((1, 4, 1), (3, 16, 5), (5, 64, 20)):
        confidence = (
            torch.rand(rows, places, generator=generator)
            * torch.arange(1, rows + 1)[:, None]
            / rows
        )
        order = torch.rand(rows, places, generator=generator).argsort(dim=1)
        masked = order >= places // 4
        given = answer(confidence, masked, k)
        expect(
            given.shape == masked.shape,
            f"the shape is {tuple(given.shape)}, not {tuple(masked.shape)}",
        )
        given = given.bool()
        expect(not (given & ~masked).any(), "a place is marked that has been unmasked already")
        counts = given.sum(dim=1).tolist()
        expect(
            counts == [k] * rows,
            f"{counts} places are marked in the rows instead of {k} in each",
        )
        for row in range(rows):
            worst_kept = confidence[row][given[row]].min()
            best_left = confidence[row][masked[row] & ~given[row]].max()
            expect(
                worst_kept >= best_left,
                "a masked place is left out although it is surer than one that is marked",
            )


def _mean_of_all(logits, tokens, masked, weights):
    losses = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(
        weights
    )
    return (losses * weights).sum() / weights.sum()


def _without_weights(logits, tokens, masked, weights):
    return F.cross_entropy(logits[masked], tokens[masked])


def _divided_by_the_count(logits, tokens, masked, weights):
    return (
        F.cross_entropy(logits[masked], tokens[masked], reduction="none") * weights[masked]
    ).mean()


def _zero_where_unmasked(logits, tokens, masked, weights):
    losses = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(
        weights
    )
    return (losses * weights * masked).sum() / weights.sum()


def _of_the_unmasked(logits, tokens, masked, weights):
    return _right_loss(logits, tokens, ~masked, weights)


def _right_loss(logits, tokens, masked, weights):
    believed = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return -(believed * weights)[masked].sum() / weights[masked].sum()


@exercise(
    _mean_of_all,
    _without_weights,
    _divided_by_the_count,
    _zero_where_unmasked,
    _of_the_unmasked,
)
def check_masked_loss(answer) -> None:
    """A function (logits, tokens, masked, weights): the weighted mean of the cross-entropy over the
    masked tokens.
    """
    generator = torch.Generator().manual_seed(0)
    for clips, places, codes in ((1, 3, 2), (4, 16, 10), (8, 64, 50)):
        logits = torch.randn(clips, places, codes, generator=generator, requires_grad=True)
        tokens = torch.randint(codes, (clips, places), generator=generator)
        masked = torch.rand(clips, places, generator=generator) < 0.7
        masked[0, 0], masked[0, 1] = True, False
        weights = 1.0 + torch.randint(2, (clips, places), generator=generator)
        weights[0, 0] = 2.0
        given = answer(logits, tokens, masked, weights)
        expect(torch.as_tensor(given).numel() == 1, "the loss should be a single number")
        expect(
            torch.as_tensor(given).requires_grad,
            "the loss has lost its way back to the logits: no gradient",
        )
        (gradient,) = torch.autograd.grad(given.sum(), logits)
        expect(
            not gradient[~masked].any(),
            "an unmasked token pulls at the logits: its answer stands in the input",
        )
        expected = _right_loss(logits, tokens, masked, weights).item()
        close = math.isclose(given.item(), expected, rel_tol=1e-4)
        expect(
            close,
            f"for {clips} clips of {places} tokens the loss is {given.item():.4f} "
            f"instead of {expected:.4f}",
        )
