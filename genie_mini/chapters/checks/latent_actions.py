"""Exercises of the chapter on latent actions."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.action_map import fit_action_map
from genie_mini.models.latent_action import displaced, entropy
from genie_mini.models.quantizer import Quantizer, QuantizerConfig


def _bits(code, truth):
    """Mutual information of two sequences of labels, and the entropy of the second, in bits."""
    joint = torch.zeros(int(max(code)) + 1, int(max(truth)) + 1)
    for pair in zip(code, truth, strict=True):
        joint[pair] += 1 / len(code)
    of_truth = entropy(joint.sum(0)).item()
    return (entropy(joint.sum(1)).item() + of_truth - entropy(joint.flatten()).item()) / math.log(
        2
    ), of_truth / math.log(2)


def _first_seen(latent, real, num_latent):
    return np.array(
        [
            real[latent == code][0] if (latent == code).any() else real[0]
            for code in range(num_latent)
        ]
    )


def _for_each_real_action(latent, real, num_latent):
    counts = np.zeros((num_latent, 8), dtype=int)
    np.add.at(counts, (latent, real), 1)
    return counts.argmax(axis=0)[:num_latent]


def _never_seen_is_zero(latent, real, num_latent):
    counts = np.zeros((num_latent, 8), dtype=int)
    np.add.at(counts, (latent, real), 1)
    return counts.argmax(axis=1)


@exercise(
    _first_seen,
    _for_each_real_action,
    _never_seen_is_zero,
    lambda latent, real, num_latent: np.zeros(num_latent, dtype=int),
)
def check_majority_map(answer) -> None:
    """A function (latent, real, num_latent): the commonest real action of each code; the commonest
    of all if it was never seen.
    """
    for seed, num_labels, num_latent in ((0, 200, 8), (1, 30, 8), (2, 50, 6)):
        rng = np.random.default_rng(seed)
        # the last code is never seen
        latent = rng.integers(num_latent - 1, size=num_labels)
        real = np.where(
            rng.random(num_labels) < 0.6,
            (3 * latent + 1) % 8,
            rng.choice(8, size=num_labels, p=[0.1] * 7 + [0.3]),
        )
        given = answer(latent.copy(), real.copy(), num_latent)
        given = np.asarray(given)
        expect(
            given.shape == (num_latent,),
            f"{num_latent} codes need as many names, but the shape is {given.shape}",
        )
        expected = fit_action_map(latent, real, num_latent)
        for code in range(num_latent - 1):
            seen = np.bincount(real[latent == code], minlength=8)
            fits = int(given[code]) in range(8) and seen[int(given[code])] == seen.max()
            expect(
                fits,
                f"code {code} stood most often for action {expected[code]}, not for {given[code]}",
            )
        expect(
            given[-1] == expected[-1],
            f"a code without labels should get the commonest action of all, {expected[-1]}",
        )


@exercise(
    lambda code, truth: (
        _bits(code, truth)[0] * math.log(2),
        _bits(code, truth)[0] / max(_bits(code, truth)[1], 1e-9),
    ),
    lambda code, truth: (
        _bits(code, truth)[0],
        _bits(code, truth)[0] / max(_bits(truth, code)[1], 1e-9),
    ),
    lambda code, truth: (_bits(code, truth)[1], 1.0),
    lambda code, truth: (sum(map(lambda a, b: a == b, code, truth)) / len(code),) * 2,
)
def check_mutual_information(answer) -> None:
    """A function of two lists of labels: (bits that the first tells of the second, their share of
    the second's entropy).
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(4, (400,), generator=generator)
    noisy = torch.where(
        torch.rand(400, generator=generator) < 0.3,
        torch.randint(4, (400,), generator=generator),
        truth,
    )
    cases = {
        "a code that is the truth under other names": ((truth + 1) % 4, truth),
        "a code that tells two of four movements apart": (truth // 2, truth),
        "a code with 8 values that knows the truth and something else": (
            truth * 2 + torch.arange(400) % 2,
            truth,
        ),
        "a code that is wrong now and then": (noisy, truth),
        "a code that is always the same": (torch.zeros_like(truth), truth),
    }
    for name, (codes, actions) in cases.items():
        code, real = codes.tolist(), actions.tolist()
        given = answer(list(code), list(real))
        told, share = (float(number) for number in given)
        expected, of_truth = _bits(code, real)
        expect(
            abs(told - expected) < 1e-3,
            f"{name} tells {expected:.3f} bits, not {told:.3f}",
        )
        expect(
            abs(share - expected / of_truth) < 1e-3,
            f"{name} tells a share of {expected / of_truth:.3f}, not {share:.3f}",
        )


def _unit(vectors):
    return F.normalize(vectors, dim=-1)


@exercise(
    lambda vectors, codebook, temperature: (vectors @ codebook.T / temperature).softmax(-1),
    lambda vectors, codebook, temperature: (
        _unit(vectors) @ _unit(codebook).T * temperature
    ).softmax(-1),
    lambda vectors, codebook, temperature: (
        _unit(vectors) @ _unit(codebook).T / temperature
    ).softmax(0),
    lambda vectors, codebook, temperature: F.one_hot(
        (_unit(vectors) @ _unit(codebook).T).argmax(-1), len(codebook)
    ).float(),
)
def check_soft_assignment(answer) -> None:
    """A function (vectors, codebook, temperature) that gives what `Quantizer.assign` gives, (n,
    codes).
    """
    torch.manual_seed(0)
    quantizer = Quantizer(QuantizerConfig(num_codes=8, code_width=16))
    with torch.no_grad():
        quantizer.codebook.mul_(torch.rand(8, 1) + 0.5)
        vectors = 3 * torch.randn(8, 16)
        for temperature in (0.5, 0.1, 2.0):
            given = answer(vectors, quantizer.codebook.detach().clone(), temperature)
            expect(
                given.shape == (8, 8),
                f"8 vectors and 8 codes need shares (8, 8), but the shape is {tuple(given.shape)}",
            )
            sums = given.sum(-1)
            expect(
                torch.allclose(sums, torch.ones(8), atol=1e-4),
                "the shares of a vector do not sum to one",
            )
            expected = quantizer.assign(vectors, temperature)
            close = torch.allclose(given, expected, atol=1e-5)
            expect(
                close,
                f"at temperature {temperature} the shares are not those of Quantizer.assign",
            )


def _wrong_way(frame, down, right):
    return displaced(frame[None, None], [(-down, -right), (8, 8)])[0, 0, ..., 0, :]


@exercise(
    lambda frame, down, right: frame.roll((down, right), dims=(0, 1)),
    _wrong_way,
    lambda frame, down, right: displaced(frame[None, None], [(right, down), (8, 8)])[
        0, 0, ..., 0, :
    ],
    lambda frame, down, right: F.pad(frame, (0, 0, 8, 8, 8, 8))[
        8 - down : 8 - down + len(frame), 8 - right : 8 - right + frame.shape[1]
    ],
)
def check_displaced(answer) -> None:
    """A function (frame, down, right) that moves (height, width, 3), the edges repeated, as
    `displaced` does.
    """
    frame = torch.rand(12, 16, 3, generator=torch.Generator().manual_seed(0))
    for down, right in ((0, 0), (3, 0), (-2, 0), (0, 5), (0, -4), (2, -3)):
        given = answer(frame.clone(), down, right)
        expect(
            given.shape == frame.shape,
            f"the shape is {tuple(given.shape)}, not {tuple(frame.shape)}",
        )
        expected = displaced(frame[None, None], [(down, right)])[0, 0, ..., 0, :]
        rows, columns = (
            slice(max(0, down), 12 + min(0, down)),
            slice(max(0, right), 16 + min(0, right)),
        )
        inside = torch.equal(given[rows, columns], expected[rows, columns])
        expect(
            inside,
            f"moved {down} down and {right} to the right, the picture is not where it should be",
        )
        expect(
            torch.equal(given, expected),
            f"moved {down} down and {right} to the right, the edges are not repeated",
        )


@exercise(
    lambda before, after: (after - before + 2) % 20,
    lambda before, after: after // 4,
    lambda before, after: before % 5,
    lambda before, after: after,
)
def check_empty_code(answer) -> None:
    """A function (before, after) of places on a ring of 20, at most 2 apart: a code 0 to 4 that
    says all and means nothing.
    """
    before, move = (
        index.flatten()
        for index in torch.meshgrid(torch.arange(20), torch.arange(-2, 3), indexing="ij")
    )
    after = (before + move) % 20
    code = answer(before.clone(), after.clone())
    code = torch.as_tensor(code)
    expect(
        code.shape == before.shape,
        f"{len(before)} transitions need as many codes, but the shape is {tuple(code.shape)}",
    )
    within = not code.is_floating_point() and 0 <= int(code.min()) <= int(code.max()) <= 4
    expect(within, "the codes are not whole numbers from 0 to 4")
    outcomes: dict[tuple[int, int], int] = {}
    for start, value, end in zip(before.tolist(), code.tolist(), after.tolist(), strict=True):
        first = outcomes.setdefault((start, value), end)
        expect(
            first == end,
            f"from place {start}, code {value} leads to {first} and to {end}: it does not say all",
        )
    told = _bits(code.tolist(), (move + 2).tolist())[0]
    expect(told < 1e-3, f"the code still tells {told:.2f} bits of the movement")


def _brighter(frames):
    return (frames[:, 1:].mean(dim=(2, 3, 4)) > frames[:, :-1].mean(dim=(2, 3, 4))).long()


def _brighter_than_so_far(frames):
    means = frames.mean(dim=(2, 3, 4))
    return (means[:, 1:] > means.cumsum(1)[:, :-1] / torch.arange(1, frames.shape[1])).long()


def _looks_one_further(frames):
    return _brighter(torch.cat([frames[:, 1:], frames[:, :1]], dim=1))


def _compares_with_the_whole_clip(frames):
    means = frames.mean(dim=(2, 3, 4))
    return (means[:, 1:] > means.mean(dim=1, keepdim=True)).long()


def _first_peeks_at_the_third(frames):
    return torch.cat([_brighter(frames[:, 1:3]), _brighter(frames)[:, 1:]], dim=1)


def _middle_peeks_at_the_last(frames):
    codes = _brighter(frames)
    codes[:, 2] = (frames[:, -1].mean(dim=(1, 2, 3)) > 0.5).long()
    return codes


def _touch_only_the_last(infer, frames):
    touched = frames.clone()
    touched[:, -1] = 1 - touched[:, -1]
    return bool((infer(touched) == infer(frames))[:, :-1].all())


def _forbid_the_next_frame(infer, frames):
    for k in range(1, frames.shape[1]):
        touched = frames.clone()
        touched[:, k:] = 1 - touched[:, k:]
        if (infer(touched) != infer(frames))[:, :k].any():
            return False
    return True


@exercise(
    _touch_only_the_last,
    _forbid_the_next_frame,
    lambda infer, frames: True,
    lambda infer, frames: False,
)
def check_is_causal(answer) -> None:
    """A function (infer, frames): does no action, (clips, T - 1), depend on a frame after the one
    it leads to?
    """
    frames = torch.rand(32, 6, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    models = {
        "compares each frame with the one before": (_brighter, True),
        "compares each frame with all before it": (_brighter_than_so_far, True),
        "looks one frame too far": (_looks_one_further, False),
        "compares with the whole clip": (_compares_with_the_whole_clip, False),
        "is honest, but its first action peeks at the third frame": (
            _first_peeks_at_the_third,
            False,
        ),
        "is honest, but its third action peeks at the last frame": (
            _middle_peeks_at_the_last,
            False,
        ),
    }
    for name, (infer, causal) in models.items():
        clips = frames.clone()
        given = answer(infer, clips)
        expect(
            torch.equal(clips, frames),
            "your function changes the frames it is given: work on a clone",
        )
        expect(
            bool(given) == causal,
            f"a model that {name} is {'' if causal else 'not '}causal",
        )
