"""Exercises of the chapter on measuring a world model."""

import functools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.action_map import fit_action_map
from genie_mini.evaluation.metrics import psnr
from genie_mini.evaluation.scores import tokenizer_scores
from genie_mini.models.patches import unfold
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig, still_patches
from genie_mini.world import record


def _decibels(error):
    return -10 * math.log10(max(float(error), 1e-12))


def _of_bytes(predicted, truth):
    return psnr(predicted.float() / 255, truth.float() / 255)


@exercise(
    lambda predicted, truth: _decibels(((predicted - truth) / 255).square().mean()),
    lambda predicted, truth: _decibels((predicted.float() - truth.float()).square().mean()),
    lambda predicted, truth: _decibels((predicted.float() - truth.float()).square().mean() / 255),
    lambda predicted, truth: (
        -10 * math.log(((predicted.float() - truth.float()) / 255).square().mean() + 1e-12)
    ),
    lambda predicted, truth: float(
        np.mean([_of_bytes(one, other) for one, other in zip(predicted, truth, strict=True)])
    ),
    lambda predicted, truth: (
        -10 * ((predicted.float() - truth.float()) / 255).square().mean().log10().item()
    ),
)
def check_psnr_of_bytes(answer) -> None:
    """A function (predicted, truth) that gives the PSNR in dB of all pixels together, for colours
    as bytes.
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(50, 200, (3, 4, 8, 8, 3), generator=generator, dtype=torch.uint8)
    uneven = truth.clone()
    uneven[0] += 40
    cases = (
        ("a prediction that is 25 too bright everywhere", truth + 25),
        ("a prediction that is 25 too dark everywhere", truth - 25),
        ("a black prediction", torch.zeros_like(truth)),
        (
            "a prediction with one bad clip and two perfect ones (mean first, then the logarithm)",
            uneven,
        ),
        ("a perfect prediction", truth),
    )
    for what, predicted in cases:
        given = answer(predicted, truth)
        expected = _of_bytes(predicted, truth)
        expect(
            math.isclose(float(given), expected, abs_tol=0.01),
            f"for {what} the PSNR is {expected:.2f} dB, not {float(given):.2f}",
        )


@exercise(
    lambda value, chance, best: value / best if best else 1 - value,
    lambda value, chance, best: (value - chance) / (1 - chance),
    lambda value, chance, best: (value - chance) / abs(best - chance),
    lambda value, chance, best: min(1.0, max(0.0, (value - chance) / (best - chance))),
)
def check_between(answer) -> None:
    """A function (value, chance, best) that gives 0 for chance and 1 for the best possible."""
    for value, chance, best, expected in (
        (0.5, 0.0, 1.0, 0.5),
        (0.4, 0.4, 1.0, 0.0),
        (0.7, 0.4, 1.0, 0.5),
        (30.0, 20.0, 40.0, 0.5),
        (0.25, 0.125, 0.625, 0.25),
        (0.03, 1.0, 0.0, 0.97),
        (18.0, 20.0, 40.0, -0.1),
    ):
        given = answer(value, chance, best)
        expect(
            math.isclose(given, expected, abs_tol=1e-6),
            f"{value:g} between a chance of {chance:g} and a best of {best:g} lies at "
            f"{expected:g}, not {given:g}",
        )


def _name_and_test(latent, real, labels, test):
    names = fit_action_map(latent[:labels], real[:labels], 32)
    return (names[latent] == real)[test].mean()


@exercise(
    lambda latent, real, labels: _name_and_test(latent, real, labels, slice(labels)),
    lambda latent, real, labels: _name_and_test(latent, real, labels, slice(None)),
    lambda latent, real, labels: (fit_action_map(latent, real, 32)[latent] == real)[labels:].mean(),
    lambda latent, real, labels: (real[labels:] == np.bincount(real[:labels]).argmax()).mean(),
    lambda latent, real, labels: (latent[labels:] == real[labels:]).mean(),
)
def check_name_and_test(answer) -> None:
    """A function (latent, real, labels): names by majority from the first transitions, scored on
    the others.
    """
    rng = np.random.default_rng(0)
    for num_codes, noise, labels in ((8, 0.2, 100), (8, 0.0, 100), (32, 0.6, 40)):
        real = rng.choice(8, size=400, p=[0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
        codes = (real * 5 + 3) % 8 + 8 * rng.integers(num_codes // 8, size=400)
        latent = np.where(rng.random(400) < noise, rng.integers(num_codes, size=400), codes)
        given = answer(latent.copy(), real.copy(), labels)
        expected = _name_and_test(latent, real, labels, slice(labels, None))
        expect(
            abs(float(given) - expected) < 0.005,
            f"with {num_codes} codes and {labels} labels, {expected:.3f} of the other "
            f"transitions are named rightly, not {float(given):.3f}",
        )


def _parts(frames, tokens):
    """Of each transition but the last: does the patch rest until the one after it, does the token
    change, and is it back after the next?
    """
    still = still_patches(frames, 8)
    changed = tokens[:, 1:-1] != tokens[:, :-2]
    return still, changed, (tokens[:, 2:] == tokens[:, :-2]).float()


def _come_back(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    return back[still[:, :-1] & still[:, 1:] & changed].mean()


def _rest_once(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    return back[still[:, :-1] & changed].mean()


def _never_left(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    return back[still[:, :-1] & still[:, 1:]].mean()


def _wherever(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    return back[changed].mean()


def _of_all_at_rest(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    return (back * changed)[still[:, :-1] & still[:, 1:]].mean()


def _change_again(frames, tokens):
    still, changed, back = _parts(frames, tokens)
    again = (tokens[:, 2:] != tokens[:, 1:-1]).float()
    return again[still[:, :-1] & still[:, 1:] & changed].mean()


@exercise(_rest_once, _never_left, _wherever, _of_all_at_rest, _change_again)
def check_come_back(answer) -> None:
    """A function (frames, tokens): of the tokens that change while their patch rests for three
    frames, the share that is back in the third.
    """
    generator = torch.Generator().manual_seed(0)
    clips, length = 3, 6
    for still_share, flips, codes in ((0.7, 0.3, 3), (0.4, 0.6, 8)):
        stays = torch.rand(clips, length, 64, generator=generator) < still_share
        chances = torch.where(stays, flips, 0.9)
        turns = torch.rand(clips, length, 64, generator=generator) < chances
        steps = torch.randint(1, codes, turns.shape, generator=generator)
        # a patch that rests flips to and fro, one that moves takes any code
        tokens = (turns * torch.where(stays, codes // 2, steps)).cumsum(dim=1) % codes
        shades = (~stays).long().cumsum(dim=1).float() / 10
        patches = shades.view(clips, length, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
        frames = patches[..., None].expand(-1, -1, -1, -1, 3)
        given, expected = float(answer(frames, tokens)), float(_come_back(frames, tokens))
        expect(
            abs(given - expected) < 1e-4,
            f"of the tokens that changed at rest, {expected:.3f} came back, not {given:.3f}",
        )


def _covariances(one, two):
    return torch.cov(one.T), torch.cov(two.T)


def _only_means(one, two):
    return (one.mean(dim=0) - two.mean(dim=0)).square().sum()


def _only_variances(one, two):
    return _only_means(one, two) + (one.std(dim=0) - two.std(dim=0)).square().sum()


def _without_the_root(one, two):
    first, second = _covariances(one, two)
    return _only_means(one, two) + (first + second - 2 * first @ second).trace()


def _root_of_each_entry(one, two):
    first, second = _covariances(one, two)
    return _only_means(one, two) + (first + second - 2 * (first @ second).abs().sqrt()).trace()


@exercise(_only_means, _only_variances, _without_the_root, _root_of_each_entry)
def check_frechet(answer) -> None:
    """A function of two clouds (points, features): the Frechet distance of the Gaussians fitted to
    them.
    """
    generator = torch.Generator().manual_seed(0)

    def cloud(shift, mixing):
        return torch.randn(400, 3, generator=generator, dtype=torch.float64) @ mixing + shift

    round_one = torch.eye(3, dtype=torch.float64)
    slanted = torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 2.0]], dtype=torch.float64)
    same = cloud(0.0, slanted)
    for what, one, two in (
        ("a cloud and itself", same, same),
        (
            "two clouds of one shape, apart",
            cloud(0.0, round_one),
            cloud(2.0, round_one),
        ),
        ("a small and a large one", cloud(0.0, round_one), cloud(0.0, 3 * round_one)),
        ("a round and a slanted one", cloud(0.0, round_one), cloud(1.0, slanted)),
        (
            "two that slant in different ways",
            cloud(0.0, slanted),
            cloud(0.0, slanted.T),
        ),
    ):
        given = answer(one, two)
        first, second = _covariances(one, two)
        roots = torch.linalg.eigvals(first @ second).real.clamp(min=0).sqrt().sum()
        expected = float(_only_means(one, two) + first.trace() + second.trace() - 2 * roots)
        expect(
            abs(float(given) - expected) < 0.01 * max(1.0, expected),
            f"for {what} the distance is {expected:.2f}, not {float(given):.2f}",
        )


_CODES, _PLACES = 64, 64  # of a frame of 32x32 pixels in patches of 4x4


@functools.cache
def _films():
    """Eight clips of the platformer, (8, 16, 32, 32, 3)."""
    return torch.from_numpy(record(8, 16, size=32, seed=7, held_out=True)[0])


def _bytes(frames):
    return (255 * unfold(frames, 4)).round().long()


class _Grey:
    """A planted tokenizer: whatever the tokens, it draws grey."""

    def decode(self, tokens):
        return torch.full((*tokens.shape[:2], 32, 32, 3), 0.5)


class _AlwaysTheSame(_Grey):
    def encode(self, frames):
        return torch.zeros(*frames.shape[:2], _PLACES, dtype=torch.long)


class _ByPlace(_Grey):
    def encode(self, frames):
        return torch.arange(_PLACES).expand(*frames.shape[:2], -1)


class _ByTime(_Grey):
    def encode(self, frames):
        times = torch.arange(frames.shape[1])[:, None]
        return ((times + torch.arange(_PLACES)) % _CODES).expand(len(frames), -1, -1)


class _AtRandom(_Grey):
    def encode(self, frames):
        generator = torch.Generator().manual_seed(0)
        return torch.randint(_CODES, (*frames.shape[:2], _PLACES), generator=generator)


class _Brightness(_Grey):
    def encode(self, frames):
        return _bytes(frames).float().mean(dim=-1).long() // 4


class _TheWholeFrame(_Grey):
    def encode(self, frames):
        sums = _bytes(frames).sum(dim=(2, 3))[..., None]
        return (sums + torch.arange(_PLACES)) % _CODES


class _Peeking(_Grey):
    """One that keeps the films themselves, and so has the best PSNR there is."""

    def encode(self, frames):
        self.frames = frames
        return _bytes(frames).mul(torch.arange(1, 49)).sum(dim=-1) % _CODES

    def decode(self, tokens):
        return self.frames


@exercise(_AlwaysTheSame, _ByPlace, _ByTime, _AtRandom, _Brightness, _TheWholeFrame, _Peeking)
def check_hollow_tokenizer(answer) -> None:
    """A class with `encode` and `decode` that is better than the shipped tokenizer in three of the
    package's scores, and no better than a mean picture in the fourth.
    """
    films, tokenizer = _films(), answer()
    tokens = tokenizer.encode(films)
    expect(tokens is not None, "`encode` returns nothing")
    shape = (*films.shape[:2], _PLACES)
    expect(
        tuple(tokens.shape) == shape and not tokens.is_floating_point(),
        f"frames {tuple(films.shape)} should become whole numbers {shape}, not "
        f"{tokens.dtype} {tuple(tokens.shape)}",
    )
    within = 0 <= tokens.min() and tokens.max() < _CODES
    expect(within, f"tokens are numbers from 0 to {_CODES - 1}")
    decoded = tokenizer.decode(tokens)
    expect(decoded is not None, "`decode` returns nothing")
    expect(
        decoded.shape == films.shape,
        f"decoded frames have the shape {tuple(decoded.shape)}, not {tuple(films.shape)}",
    )
    stack = STTransformerConfig(num_blocks=1, width=16, num_heads=2)
    config = TokenizerConfig((32, 32), 4, stack, stack, QuantizerConfig(_CODES))
    parts = SimpleNamespace(config=config, encode=tokenizer.encode, decode=tokenizer.decode)
    genie: Any = SimpleNamespace(tokenizer=parts)
    quality, used, flicker, follows = tokenizer_scores(genie, films)
    most = (quality.chance or 0) + 1
    for met, score, wanted in (
        (used.value >= 0.9, used, "at least 0.9"),
        (flicker.value == 0, flicker, "0"),
        (follows.value >= 0.9, follows, "at least 0.9"),
        (quality.value < most, quality, f"below {most:.1f}"),
    ):
        expect(met, f"{score.name}: {score.value:.3f}, and {wanted} is asked")
