"""Exercises of the chapter on measuring a world model."""

import math

import numpy as np
import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.action_map import fit_action_map
from genie_mini.evaluation.metrics import psnr
from genie_mini.models.tokenizer import still_patches


@exercise(
    lambda predicted, truth: (predicted - truth).square().mean().item(),
    lambda predicted, truth: -10 * math.log((predicted - truth).square().mean().item() + 1e-12),
    lambda predicted, truth: -10 * math.log10((predicted - truth).abs().mean().item() + 1e-12),
    lambda predicted, truth: float(
        np.mean([psnr(one, other) for one, other in zip(predicted, truth, strict=True)])
    ),
    lambda predicted, truth: -10 * (predicted - truth).square().mean().log10().item(),
)
def check_psnr(answer) -> None:
    """A function (predicted, truth) that gives the PSNR in dB of all pixels together, for colours
    from 0 to 1.
    """
    truth = torch.rand(3, 4, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    uneven = truth.clone()
    uneven[0] += 0.3
    cases = (
        ("a prediction that is off by 0.1 everywhere", truth + 0.1),
        ("a black prediction", torch.zeros_like(truth)),
        (
            "a prediction with one bad clip and two perfect ones (mean first, then the logarithm)",
            uneven,
        ),
        ("a perfect prediction", truth),
    )
    for what, predicted in cases:
        given = answer(predicted, truth)
        expected = psnr(predicted, truth)
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


def _shares(frames, tokens):
    still, changed = still_patches(frames, 8), (tokens[:, 1:] != tokens[:, :-1]).float()
    return still, changed


def _of_all(frames, tokens):
    still, changed = _shares(frames, tokens)
    return (changed * still).mean(), (changed * ~still).mean()


def _of_the_changes(frames, tokens):
    still, changed = _shares(frames, tokens)
    return still[changed > 0].float().mean(), (~still)[changed > 0].float().mean()


def _to_the_first(frames, tokens):
    still, changed = still_patches(frames, 8), (tokens[:, 1:] != tokens[:, :1]).float()
    return changed[still].mean(), changed[~still].mean()


@exercise(
    _of_all,
    _of_the_changes,
    _to_the_first,
    lambda frames, tokens: 2 * ((tokens[:, 1:] != tokens[:, :-1]).float().mean(),),
    lambda frames, tokens: (0.0, 0.0),
)
def check_flicker(answer) -> None:
    """A function (frames, tokens) that gives the shares of tokens that change in still and in
    changing patches.
    """
    generator = torch.Generator().manual_seed(0)
    for still_share, flickers, follows in ((0.7, 0.1, 0.9), (0.3, 0.5, 0.6)):
        clips, length = 3, 6
        stays = torch.rand(clips, length, 64, generator=generator) < still_share
        chances = torch.where(stays, flickers, follows)
        turns = torch.rand(clips, length, 64, generator=generator) < chances
        tokens = turns.long().cumsum(dim=1)
        shades = (~stays).long().cumsum(dim=1).float() / 10
        patches = shades.view(clips, length, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
        frames = patches[..., None].expand(-1, -1, -1, -1, 3)
        given = answer(frames, tokens)
        still, changed = _shares(frames, tokens)
        for what, share, expected in zip(
            ("did not change", "changed"),
            given,
            (changed[still].mean(), changed[~still].mean()),
            strict=True,
        ):
            expect(
                abs(float(share) - float(expected)) < 1e-4,
                f"of the patches that {what}, {float(expected):.3f} have a new token, "
                f"not {float(share):.3f}",
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
