"""Exercises of the chapter on Genie 2, Genie 3 and after."""

import math

import numpy as np

from genie_mini.chapters.checks import exercise, expect

KINDS = ("published", "stated", "not public")
_TRUE_KINDS = {
    "a": "published",
    "b": "stated",
    "c": "not public",
    "d": "stated",
    "e": "published",
    "f": "not public",
    "g": "stated",
    "h": "not public",
}


@exercise(
    dict.fromkeys("abcdefgh", "published"),
    _TRUE_KINDS | {"c": "stated"},
    _TRUE_KINDS | {"f": "published"},
    {letter: kind for letter, kind in _TRUE_KINDS.items() if letter != "h"},
    _TRUE_KINDS | {"b": "Stated by DeepMind"},
)
def check_kinds(answer) -> None:
    """A dictionary from the claims a to h to the kind of each: "published", "stated" or "not
    public".
    """
    expect(isinstance(answer, dict), "give a dictionary from letters to kinds")
    for letter, kind in _TRUE_KINDS.items():
        expect(letter in answer, f"claim {letter} is missing")
        expect(
            answer[letter] in KINDS,
            f"claim {letter} has the kind {answer[letter]!r}, which is not one of "
            f"{', '.join(KINDS)}",
        )
        expect(
            answer[letter] == kind,
            f"claim {letter} is not {answer[letter]!r}: where does the sentence "
            "stand, if anywhere?",
        )


@exercise(
    lambda width, height, patch, codes, fps: (
        (width // patch) * (height // patch) * math.log2(codes) * fps
    ),
    lambda width, height, patch, codes, fps: width * height / patch**2 * math.log2(codes) * fps,
    lambda width, height, patch, codes, fps: (
        math.ceil(width / patch) * math.ceil(height / patch) * codes * fps
    ),
    lambda width, height, patch, codes, fps: (
        math.ceil(width / patch) * math.ceil(height / patch) * math.log2(codes)
    ),
)
def check_token_bits(answer) -> None:
    """A function (width, height, patch, codes, fps) that gives the bits a second of the tokens;
    patches at the edge count whole.
    """
    for width, height, patch, codes, fps in (
        (160, 90, 4, 1024, 10),
        (64, 64, 8, 1024, 10),
        (30, 20, 7, 8, 24),
    ):
        given = answer(width, height, patch, codes, fps)
        columns = sum(1 for _ in range(0, width, patch))
        rows = sum(1 for _ in range(0, height, patch))
        expected = columns * rows * fps * math.log2(codes)
        what = f"{width}x{height} in patches of {patch} with {codes} codes at {fps} FPS"
        problem = f"{what}: {given:g} bits a second is wrong"
        expect(
            math.isclose(given, expected),
            f"{problem}; a frame has {columns} columns and {rows} rows",
        )


@exercise(
    lambda x, y: np.polyfit(x, y, 1),
    lambda x, y: np.polyfit(np.log(x), np.log(y), 1),
    lambda x, y: np.polyfit(np.log(x), np.log(y), 1)[::-1],
    lambda x, y: (
        np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]),
        y[0] / x[0] ** (np.log(y[-1] / y[0]) / np.log(x[-1] / x[0])),
    ),
)
def check_power_law(answer) -> None:
    """A function (x, y) that gives (exponent, factor) of y = factor * x^exponent, by least squares
    of the logarithms.
    """
    generator = np.random.default_rng(0)
    for exponent, factor, noise in (
        (2.0, 3.0, 0.0),
        (0.5, 1e3, 0.0),
        (-1.0, 7.0, 0.3),
        (0.85, 1e2, 0.2),
    ):
        x = np.array([1.0, 3.0, 10.0, 40.0, 90.0, 300.0])
        y = factor * x**exponent * np.exp(noise * generator.standard_normal(len(x)))
        given = answer(x, y)
        expect(
            given is not None and len(given) == 2,
            "give two numbers, the exponent and the factor",
        )
        logs = np.stack([np.log(x), np.ones(len(x))], axis=1)
        slope, offset = np.linalg.lstsq(logs, np.log(y), rcond=None)[0]
        kind = "points on an exact power law" if not noise else "points scattered about a power law"
        expect(
            math.isclose(given[0], slope, rel_tol=1e-6),
            f"{kind}: the exponent is {slope:.3f}, not {given[0]:.3f}",
        )
        expect(
            math.isclose(given[1], np.exp(offset), rel_tol=1e-6),
            f"{kind}: the factor is {np.exp(offset):.3g}, not {given[1]:.3g}",
        )


@exercise(
    lambda flops, peak, used: flops / peak / 86400,
    lambda flops, peak, used: flops / peak * used / 86400,
    lambda flops, peak, used: flops / (peak * used) / 3600,
)
def check_days(answer) -> None:
    """A function (flops, peak, used) that gives days: `peak` is in FLOP a second, `used` the share
    of it that is reached.
    """
    for flops, peak, used in (
        (86400e9, 1e9, 1.0),
        (6.6e22, 1e11, 0.5),
        (6.6e22, 256 * 459e12, 0.4),
    ):
        given = answer(flops, peak, used)
        expected = flops / peak / used / (24 * 60 * 60)
        expect(
            math.isclose(given, expected),
            f"{flops:.3g} FLOP at {peak:.3g} a second, {used:.0%} reached, are "
            f"{expected:.4g} days, not {given:.4g}",
        )


def _pairs(tokens, frames):
    """Count them one by one: every token of the new frame looks at its frame, and at its place in
    every frame.
    """
    return sum(1 for _ in range(tokens) for _ in [*range(tokens), *range(frames)])


@exercise(
    lambda tokens, frames: frames * tokens * (frames + tokens),
    lambda tokens, frames: tokens**2 + frames,
    lambda tokens, frames: tokens**2 + tokens * frames**2,
    lambda tokens, frames: tokens * frames * tokens,
)
def check_new_frame_pairs(answer) -> None:
    """A function (tokens, frames) that gives the pairs for ONE new frame with the past kept;
    `frames` counts the new one too.
    """
    for tokens, frames in ((1, 1), (4, 3), (64, 16), (100, 300)):
        given = answer(tokens, frames)
        expected = _pairs(tokens, frames)
        expect(
            given == expected,
            f"a new frame of {tokens} tokens, the last of {frames} frames, has "
            f"{expected} pairs, not {given}",
        )


def _frames_kept(budget, tokens, layers, width):
    """Add frames until the next one no longer fits."""
    frame, frames = 0, 0
    for _ in ("key", "value"):
        frame += 2 * width * layers * tokens
    while (frames + 1) * frame <= budget:
        frames += 1
    return frames


@exercise(
    lambda budget, tokens, layers, width, fps: budget // (2 * tokens * layers * width) / fps,
    lambda budget, tokens, layers, width, fps: budget / (4 * tokens * layers * width) / fps,
    lambda budget, tokens, layers, width, fps: budget // (4 * tokens * layers * width),
    lambda budget, tokens, layers, width, fps: budget // (4 * tokens * layers * width) * fps,
)
def check_seconds_kept(answer) -> None:
    """A function (budget, tokens, layers, width, fps) that gives the seconds of past whose keys and
    values fit into the budget.
    """
    for budget, tokens, layers, width, fps in (
        (4e6, 10, 5, 20, 10),
        (95e9, 920, 24, 4608, 10),
        (95e9, 3600, 24, 4608, 24),
        (1e3, 64, 4, 128, 10),
    ):
        given = answer(budget, tokens, layers, width, fps)
        frames = _frames_kept(budget, tokens, layers, width)
        case = f"{budget:g} bytes, {tokens} tokens a frame, {layers} layers of width {width}"
        expect(
            math.isclose(given, frames / fps),
            f"{case}: {frames} whole frames fit, {frames / fps:.3f} s at {fps} FPS, "
            f"not {given:.3f}",
        )
