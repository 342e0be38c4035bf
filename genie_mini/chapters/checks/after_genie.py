"""Exercises of the chapter on Genie 2, Genie 3 and after."""

import math

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.kv_cache import KVCache
from genie_mini.models.st_transformer import STTransformerConfig

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
    expect_entries(answer, "from letters to kinds", _TRUE_KINDS, "claim")
    for letter, kind in _TRUE_KINDS.items():
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


def _tokens(width, height, patch):
    """Count the patches one by one."""
    return sum(1 for _ in range(0, width, patch) for _ in range(0, height, patch))


@exercise(
    lambda width, height, codes, fps, budget: math.ceil(
        math.sqrt(width * height * math.log2(codes) * fps / budget)
    ),
    lambda width, height, codes, fps, budget: next(
        patch
        for patch in range(1, 10_000)
        if (width // patch) * (height // patch) * math.log2(codes) * fps <= budget
    ),
    lambda width, height, codes, fps, budget: next(
        patch
        for patch in range(1, 10_000)
        if math.ceil(width / patch) * math.ceil(height / patch) * math.log2(codes) <= budget
    ),
    lambda width, height, codes, fps, budget: next(
        patch for patch in range(1, 10_000) if _tokens(width, height, patch) * fps <= budget
    ),
)
def check_smallest_patch(answer) -> None:
    """A function (width, height, codes, fps, budget) that gives the smallest patch whose tokens
    stay within so many bits a second; patches at the edge count whole.
    """
    for width, height, codes, fps, budget in (
        (64, 64, 1024, 10, 6400),
        (160, 90, 1024, 10, 92_000),
        (160, 90, 1024, 10, 91_999),
        (1280, 720, 1024, 24, 92_000),
        (30, 20, 8, 24, 1000),
    ):
        given = answer(width, height, codes, fps, budget)
        case = f"{width}x{height} with {codes} codes at {fps} FPS in {budget} bits a second"
        expect(given == int(given) and given >= 1, f"{case}: {given} is no size of a patch")
        needed = [
            _tokens(width, height, patch) * math.log2(codes) * fps
            for patch in (int(given), max(1, int(given) - 1))
        ]
        expect(
            needed[0] <= budget,
            f"{case}: patches of {given} take {needed[0]:.0f}",
        )
        expect(given == 1 or needed[1] > budget, f"{case}: {given - 1} would do as well")


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
    lambda flops, peak, used, days: flops / (peak * used) / 86_400 / days,
    lambda flops, peak, used, days: math.ceil(flops / peak / 86_400 / days),
    lambda flops, peak, used, days: math.ceil(flops / (peak * used) / 86_400 * days),
    lambda flops, peak, used, days: int(flops / (peak * used * 86_400 * days)),
    lambda flops, peak, used, days: math.ceil(flops / (peak * used) / 3600 / days),
)
def check_machines(answer) -> None:
    """A function (flops, peak, used, days) that gives the whole machines that finish in so many
    days: `peak` is one machine's, in FLOP a second, `used` the share of it that is reached.
    """
    for flops, peak, used, days in (
        (86_400e9, 1e9, 1.0, 1),
        (6.6e22, 459e12, 0.4, 16.3),
        (6.6e22, 1e11, 0.5, 365),
        (1e15, 1e11, 0.25, 30),
    ):
        given = answer(flops, peak, used, days)
        case = f"{flops:.3g} FLOP at {peak:.3g} a second, {used:.0%} reached, in {days} days"
        expect(given == int(given), f"{case}: {given:.2f} is no number of machines")
        expect(
            given * peak * used * days * 24 * 60 * 60 >= flops,
            f"{case}: {given} machines do not finish in time",
        )
        expect(
            (given - 1) * peak * used * days * 24 * 60 * 60 < flops,
            f"{case}: with one machine fewer than {given} it would be done as well",
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


_DESIGN = dict(patch=40, seconds=60, steps=4, num_blocks=8, width=2816, num_heads=22)


def _small_stack(design, num_blocks):
    """Parameters of the dynamics model with so many blocks, and the operations of one pass over a
    frame with its past at hand; nothing is computed but shapes.
    """
    grid = 720 // design["patch"], 1280 // design["patch"]
    tokens, frames = grid[0] * grid[1], math.ceil(design["seconds"] * 24)
    stack = STTransformerConfig(num_blocks, design["width"], design["num_heads"])
    with torch.device("meta"), torch.no_grad():
        dynamics = DynamicsModel(DynamicsConfig(grid, 1024, stack, context=frames + 1))
        kept = [
            torch.empty(tokens, stack.num_heads, frames, stack.features_per_head)
            for _ in range(num_blocks)
        ]
        frame, action = torch.zeros(1, tokens, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            dynamics.predict_logits(frame, action, KVCache(kept, kept, frames))
    return np.array(
        [
            sum(parameter.numel() for parameter in dynamics.parameters()),
            counter.get_total_flops(),
        ],
        dtype=float,
    )


def _counted(design):
    """(parameters, operations a pass), by adding up blocks, which are all alike."""
    one, two = _small_stack(design, 1), _small_stack(design, 2)
    return one + (design["num_blocks"] - 1) * (two - one)


@exercise(
    _DESIGN | dict(patch=48),
    _DESIGN | dict(patch=80),
    _DESIGN | dict(patch=20),
    _DESIGN | dict(seconds=10),
    _DESIGN | dict(steps=1),
    _DESIGN | dict(steps=8),
    _DESIGN | dict(width=2112),
    _DESIGN | dict(num_blocks=24, width=1632, num_heads=12),
    {name: value for name, value in _DESIGN.items() if name != "steps"},
)
def check_design(answer) -> None:
    """A dictionary of the sizes of a Genie for 720p, on which the rubric's six points are tried one
    by one.
    """
    expect_entries(answer, "of sizes", _DESIGN)
    patch, seconds, steps = answer["patch"], answer["seconds"], answer["steps"]
    expect(
        patch <= 40 and 1280 % patch == 0 and 720 % patch == 0,
        f"point 1: patches of {patch} are larger than 40, or do not cut 1280x720 evenly",
    )
    expect(seconds >= 60, f"point 2: {seconds} s of memory are less than a minute")
    expect(steps >= 4, f"point 3: {steps} steps a frame are fewer than four")
    parameters, flops = _counted(answer)
    expect(
        parameters >= 1e9,
        f"point 4: the dynamics model has {parameters / 1e9:.2f} billion parameters",
    )
    tokens, frames = 1280 * 720 // patch**2, math.ceil(seconds * 24)
    kept = 2 * 2 * answer["num_blocks"] * answer["width"] * tokens * frames
    size = 2 * parameters + kept
    expect(
        size <= 95e9,
        f"point 5: weights ({2 * parameters / 1e9:.1f} GB) and past ({kept / 1e9:.1f} GB) "
        "do not fit into 95 GB",
    )
    milliseconds = 1000 * (steps + 1) * flops / (0.4 * 459e12)
    expect(
        milliseconds <= 1000 / 24,
        f"point 6: a frame takes {milliseconds:.0f} ms, and has 1000 / 24",
    )
