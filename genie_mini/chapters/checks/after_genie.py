"""Exercises of the chapter on Genie 2, Genie 3 and after."""

import math

import numpy as np
import torch
import torch.nn.functional as F
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


# The paper's Tables 10 to 12: parameters of the dynamics model, training FLOPs, tokens.
_PARAMETERS = np.array([41e6, 96e6, 192e6, 404e6, 811e6, 1.6e9, 2.7e9, 10.1e9])
_FLOPS = np.array([2.05e20, 3.58e20, 6.4e20, 1.2e21, 2.2e21, 4.04e21, 6.91e21, 6.6e22])
_TOKENS = np.array([750e9] * 7 + [942e9])


@exercise(
    0.0,
    -1e20,
    1e20,
    1.39e20,
    2.05e20,
    1.07e8,
    1.07e20 / 7,
)
def check_fixed_part(answer) -> str:
    """The FLOPs that, taken from each of the first seven rows, leave a power law of exponent
    one.
    """
    left = _FLOPS - float(answer)
    expect(answer >= 0, "a part of what was counted is not below zero")
    expect(left.min() > 0, "that is all that the smallest model's row has, or more")
    slope = np.polyfit(np.log(_PARAMETERS[:7]), np.log(left[:7]), 1)[0]
    expect(
        abs(slope - 1) < 0.005,
        f"without it the seven rows grow as parameters to the power {slope:.3f}",
    )
    per_token = left / _PARAMETERS / _TOKENS
    return (
        f"FLOPs per parameter and token: {per_token[:7].min():.1f} to {per_token[:7].max():.1f} in "
        f"the seven rows, {per_token[7]:.1f} in the last"
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


# A frame of 32 by 18 patches, as many seconds of past at 24 FPS as make it as long as it is large,
# and what each change makes of it.
_BEFORE = dict(patch=40, seconds=24, fps=24, passes=5, width=128, heads=2)
_CHANGES = {
    "a": dict(seconds=48),
    "b": dict(patch=20),
    "c": dict(fps=48),
    "d": dict(passes=9),
    "e": dict(heads=4),
    "f": dict(width=256),
}
_FACTORS = dict(a=1.5, b=10.0, c=1.5, d=1.8, e=1.0, f=2.0)


def _attention_flops(patch, seconds, fps, passes, width, heads):
    """The operations of both attentions of one layer for one new frame, all its passes together, as
    PyTorch counts them; nothing is computed but shapes.
    """
    tokens, frames, share = 1280 * 720 // patch**2, seconds * fps, width // heads
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter, sdpa_kernel(SDPBackend.MATH):
        around = torch.empty(1, heads, tokens, share)
        now, back = torch.empty(tokens, heads, 1, share), torch.empty(tokens, heads, frames, share)
        for _ in range(passes):
            F.scaled_dot_product_attention(around, around, around)
            F.scaled_dot_product_attention(now, back, back)
    return counter.get_total_flops()


@exercise(
    dict.fromkeys("abcdef", 2.0),
    _FACTORS | {"a": 2.0, "c": 2.0},
    _FACTORS | {"b": 16.0},
    _FACTORS | {"b": 4.0},
    _FACTORS | {"d": 2.0},
    _FACTORS | {"e": 2.0},
    {change: factor for change, factor in _FACTORS.items() if change != "f"},
)
def check_one_change(answer) -> None:
    """A dictionary from the changes a to f to the factor by which each makes a new frame's
    attention dearer.
    """
    expect_entries(answer, "from letters to factors", _CHANGES, "change")
    before = _attention_flops(**_BEFORE)
    for letter, change in _CHANGES.items():
        counted = _attention_flops(**_BEFORE | change) / before
        expect(
            math.isclose(answer[letter], counted, rel_tol=0.01),
            f"change {letter} was counted, and the factor is {counted:.2f}, not {answer[letter]:g}",
        )


def _longest_past(room, bandwidth, passes, fps, frame_bytes):
    """Add frames until the next one no longer fits, or can no longer be read in time."""
    frames = 0
    while True:
        size = (frames + 1) * frame_bytes
        if size > room:
            return frames / fps, "room"
        if size * passes * fps > bandwidth:
            return frames / fps, "reading"
        frames += 1


@exercise(
    lambda room, bandwidth, passes, fps, frame_bytes: (room // frame_bytes / fps, "room"),
    lambda room, bandwidth, passes, fps, frame_bytes: (
        bandwidth / fps / passes // frame_bytes / fps,
        "reading",
    ),
    lambda room, bandwidth, passes, fps, frame_bytes: _longest_past(
        room, bandwidth, 1, fps, frame_bytes
    ),
    lambda room, bandwidth, passes, fps, frame_bytes: _longest_past(
        room, bandwidth, passes, fps, frame_bytes
    )[0],
    lambda room, bandwidth, passes, fps, frame_bytes: (
        min(room, bandwidth / fps / passes) / frame_bytes / fps,
        "room" if room <= bandwidth / fps / passes else "reading",
    ),
    lambda room, bandwidth, passes, fps, frame_bytes: (
        _longest_past(room, bandwidth, passes, 1, frame_bytes)[0] / fps,
        "reading",
    ),
)
def check_longest_past(answer) -> None:
    """A function (room, bandwidth, passes, fps, frame_bytes) that gives the seconds of past that
    both fit and can be read in time, and what stands in the way of more, "room" or "reading".
    """
    for room, bandwidth, passes, fps, frame_bytes in (
        (95e9, 2e12, 5, 24, 1.6e9),
        (95e9, 2e12, 1, 10, 4.1e8),
        (95e9, 2e13, 5, 24, 1.6e9),
        (4e6, 1e9, 9, 10, 3000),
        (1e6, 1e9, 2, 10, 2e6),
    ):
        given = answer(room, bandwidth, passes, fps, frame_bytes)
        expect(
            isinstance(given, tuple) and len(given) == 2 and given[1] in ("room", "reading"),
            'give two things, the seconds and "room" or "reading"',
        )
        seconds, limit = _longest_past(room, bandwidth, passes, fps, frame_bytes)
        case = (
            f"{room:g} bytes of room, {bandwidth:g} a second read, {passes} passes at {fps} FPS, "
            f"{frame_bytes:g} bytes a frame"
        )
        expect(
            math.isclose(given[0], seconds, abs_tol=1e-9),
            f"{case}: {seconds * fps:.0f} whole frames, {seconds:.3f} s, not {given[0]:.3f}",
        )
        expect(given[1] == limit, f"{case}: the limit is {limit}, not {given[1]}")


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
