"""Exercises of the chapter on training one's own."""

import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.intervals import FEWEST_GROUPS
from genie_mini.training.config import TRAINING_PRESETS, TrainingConfig
from genie_mini.training.phases import build_phases


def _corner(width, height):
    side = min(width, height)
    return 0, 0, side, side


def _size_not_end(width, height):
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


@exercise(
    _corner,
    _size_not_end,
    lambda width, height: ((width - height) // 2, 0, (width + height) // 2, height),
)
def check_square(answer) -> None:
    """A function (width, height) that gives the box (left, top, right, bottom) of the middle
    square.
    """
    for width, height in ((96, 64), (64, 64), (64, 96), (101, 64), (1, 7)):
        given = answer(width, height)
        left, top, right, bottom = given
        side, where = min(width, height), f"for {width}x{height} pixels"
        expect(
            (right - left, bottom - top) == (side, side),
            f"{where} the box is {right - left}x{bottom - top}",
        )
        inside = 0 <= left <= right <= width and 0 <= top <= bottom <= height
        expect(inside, f"{where} the box {tuple(given)} lies partly outside")
        middle = (left, top) == ((width - side) // 2, (height - side) // 2)
        expect(middle, f"{where} the box {tuple(given)} is not in the middle")


def _second_phase_added_up(config):
    steps = config.tokenizer_steps + config.latent_action_steps + config.dynamics_steps
    return steps * config.batch_size * config.num_frames


def _batches_all_alike(config):
    world = config.latent_action_pretraining_steps + config.dynamics_steps
    steps = config.tokenizer_steps + max(config.latent_action_steps, world)
    return steps * config.batch_size * config.num_frames


@exercise(
    _second_phase_added_up,
    _batches_all_alike,
    lambda config: (
        (config.tokenizer_steps + config.dynamics_steps) * config.batch_size * config.num_frames
    ),
    lambda config: (
        (config.tokenizer_steps + config.latent_action_pretraining_steps + config.dynamics_steps)
        * config.batch_size
    ),
)
def check_frames_seen(answer) -> None:
    """A function of a TrainingConfig that gives the number of frames a training looks at."""
    nobody: Any = SimpleNamespace(tokenizer=None, latent_action_model=None, dynamics=None)
    no_videos: Any = None
    own = TrainingConfig(
        tokenizer_steps=5,
        latent_action_steps=9,
        latent_action_pretraining_steps=2,
        dynamics_steps=3,
        num_frames=8,
    )
    for name, config in {
        "pocket": TRAINING_PRESETS["pocket"],
        "mini": TRAINING_PRESETS["mini"],
        "a small one": own,
    }.items():
        given = answer(config)
        counted = sum(
            math.prod(phase.clips(step))
            for phase in build_phases(nobody, no_videos, config)
            for step in range(phase.steps)
        )
        expect(
            given == counted,
            f"the schedule {name} looks at {counted:,} frames, but you say {given:,}",
        )


def _never_twice(times):
    taken = []
    for number, time in enumerate(times):
        if time - times[0] >= len(taken) / 10 - 0.002:
            taken.append(number)
    return taken


def _from_zero(times):
    taken = []
    for number, time in enumerate(times):
        while time >= len(taken) / 10 - 0.002:
            taken.append(number)
    return taken


def _before_its_time(times):
    taken = []
    for number, time in enumerate(times):
        while time - times[0] >= len(taken) / 10 - 0.002:
            taken.append(number)
    return taken


@exercise(lambda times: list(range(0, len(times), 3)), _never_twice, _from_zero, _before_its_time)
def check_ten_a_second(answer) -> None:
    """A function of rising times (seconds) that gives the numbers of the frames taken at ten frames
    a second.
    """
    thirty, five, film = np.arange(30) / 30, np.arange(6) / 5, np.arange(25) / 25
    uneven = np.array([0.0, 0.05, 0.17, 0.18, 0.52, 0.53, 0.7])
    for name, times in {
        "30 frames a second": thirty,
        "5 frames a second": five,
        "25 frames a second": film,
        "times that begin at 3 seconds": film + 3,
        "uneven times": uneven,
        "times rounded to 0.001": thirty.round(3),
    }.items():
        given = answer(times.tolist())
        moments = np.arange(0, times[-1] - times[0] + 0.002, 0.1)
        since = times - times[0]
        expected = [int(np.flatnonzero(since <= moment + 0.002)[-1]) for moment in moments]
        expect(
            list(given) == expected,
            f"for {name} you take {list(given)}, not {expected}",
        )


def _entropy(codes):
    counts = np.unique(np.asarray(codes), return_counts=True)[1]
    shares = counts / counts.sum()
    return -(shares * np.log2(shares)).sum()


@exercise(lambda codes: len(np.unique(codes)), _entropy, lambda codes: np.exp(_entropy(codes)))
def check_effective_codes(answer) -> None:
    """A function of an integer array that gives 2 to the power of the entropy, in bits, of how its
    values are shared.
    """
    lopsided = np.array([[0] * 97, [0] * 94 + [1, 2, 3]])
    for name, codes in {
        "eight codes used alike": np.arange(8).repeat(5).reshape(5, 8),
        "a single code": np.full((3, 4), 6),
        "two codes, one half each": np.array([2, 7] * 9),
        "one code nearly always": lopsided,
    }.items():
        given = answer(codes)
        shares = [np.mean(codes == code) for code in range(8)]
        expected = 2 ** sum(-share * np.log2(share) for share in shares if share > 0)
        expect(
            abs(given - expected) < 1e-6,
            f"for {name} you say {given:.3f}, not {expected:.3f}",
        )


class _Numbered:
    """Videos in which every pixel tells its key, clip, frame and column."""

    def batch(self, num_clips, num_frames, key):
        clips = torch.zeros(num_clips, num_frames, 4, 8, 3)
        clips += (
            torch.arange(8).view(1, 1, 1, 8, 1) / 100
            + torch.arange(num_clips).view(-1, 1, 1, 1, 1) / 1000
        )
        clips += torch.arange(num_frames).view(1, -1, 1, 1, 1) / 1e5
        return clips + torch.arange(4).view(1, 1, 4, 1, 1) / 1e4 + sum(key) / 2000


class _Planted:
    def __init__(self, videos):
        self.videos = videos

    def batch(self, num_clips, num_frames, key):
        return self.turn(self.videos.batch(num_clips, num_frames, key), key)


class _NoKey(_Planted):
    def turn(self, clips, key):
        return torch.where(torch.rand(len(clips), 1, 1, 1, 1) < 0.5, clips.flip(dims=[3]), clips)


class _FrameByFrame(_Planted):
    def turn(self, clips, key):
        turned = torch.from_numpy(np.random.default_rng(key).random(clips.shape[:2]) < 0.5)
        return torch.where(turned[..., None, None, None], clips.flip(dims=[3]), clips)


class _UpsideDown(_Planted):
    def turn(self, clips, key):
        turned = torch.from_numpy(np.random.default_rng(key).random(len(clips)) < 0.5)
        return torch.where(turned[:, None, None, None, None], clips.flip(dims=[2]), clips)


class _Always(_Planted):
    def turn(self, clips, key):
        return clips.flip(dims=[3])


class _AllOrNone(_Planted):
    def turn(self, clips, key):
        return clips.flip(dims=[3]) if sum(key) % 2 else clips


@exercise(_NoKey, _FrameByFrame, _UpsideDown, _Always, _AllOrNone)
def check_mirrored(answer) -> None:
    """A class made from Videos whose `batch` mirrors each clip with probability one half, the same
    for the same key.
    """
    plain, mirrored, keys = (
        _Numbered(),
        answer(_Numbered()),
        [[0, 0, step] for step in range(30)],
    )
    shares = []
    for key in keys:
        clips, given = plain.batch(8, 5, key), mirrored.batch(8, 5, list(key))
        expect(given is not None, "`batch` returns nothing")
        expect(
            given.shape == clips.shape,
            f"a batch has the shape {tuple(given.shape)}, not {tuple(clips.shape)}",
        )
        as_it_was, turned = (
            (given == clips).flatten(1).all(1),
            (given == clips.flip(dims=[3])).flatten(1).all(1),
        )
        neither = ~(as_it_was | turned)
        expect(
            not neither.any(),
            f"clip {int(neither.int().argmax())} is neither as it was nor mirrored as "
            "a whole, left to right",
        )
        shares.append(turned.float().mean().item())
    expect(
        0.35 < np.mean(shares) < 0.65,
        f"{np.mean(shares):.2f} of the clips are mirrored, not about half",
    )
    expect(
        any(0 < share < 1 for share in shares),
        "within a batch all clips are mirrored or none: let each have its own chance",
    )
    late = answer(_Numbered()).batch(8, 5, list(keys[-1]))
    again = [mirrored.batch(8, 5, list(keys[-1])) for _ in range(4)]
    expect(
        all(torch.equal(late, clips) for clips in again),
        "the same key gives other clips when asked again",
    )


_ASKED = (
    "next frame above repeating the last",
    "delta PSNR at t = 4",
    "cycle consistency",
    "codes in use",
)


def _read_report(answer):
    """The content of a report, given as such, or as the path of its file or of the run's folder."""
    if isinstance(answer, str | os.PathLike):
        path = Path(answer)
        answer = json.loads((path / "report.json" if path.is_dir() else path).read_text("utf-8"))
    expect(isinstance(answer, dict) and "scores" in answer, "a report holds `scores`")
    expect(
        "num_groups" in answer,
        "these are scores on levels of the platformer: `genie-mini evaluate --data` writes a "
        "report on films of yours",
    )
    scores = {entry["name"]: entry for entry in answer["scores"]}
    for name in _ASKED:
        expect(name in scores, f"a report of films holds the score {name!r}")
    for name, entry in scores.items():
        low, high = entry.get("interval") or (0, 0)
        expect(low <= high, f"the interval of {name} ends below its beginning")
    mean, cycle = np.mean(answer["cycle"]), scores["cycle consistency"]["value"]
    expect(abs(mean - cycle) < 0.01, f"the cycle's shares have a mean of {mean:.2f}")
    return answer, scores


def _above(entry, least):
    """Whether a score's interval lies above a figure, and that in words."""
    low, high = entry.get("interval") or (-math.inf, math.inf)
    words = f"{entry['name']}: {entry['value']:.2f} ({low:.2f} to {high:.2f}), above {least:g}"
    return low > least, words


def _rubric(report, scores):
    """The points that must be met, and the others, each with what was found."""
    cycle, codes = scores["cycle consistency"], scores["codes in use"]
    apart = sum(share > cycle["chance"] for share in report["cycle"])
    clips, groups, actions = report["num_clips"], report["num_groups"], len(report["cycle"])
    words = f"clips held out: {clips}, at least 64; groups: {groups}, at least {FEWEST_GROUPS}"
    musts = [
        (clips >= 64 and groups >= FEWEST_GROUPS, words),
        _above(scores["next frame above repeating the last"], 0),
        _above(scores["delta PSNR at t = 4"], 0),
        _above(cycle, cycle["chance"]),
    ]
    others = [
        (
            2 * apart >= actions,
            f"actions seen again above chance: {apart} of {actions}, at least half",
        ),
        (codes["value"] >= 0.25, f"codes in use: {codes['value']:.2f}, at least 0.25"),
    ]
    flicker = scores.get("flicker: tokens that change where pixels do not")
    follows = scores.get("tokens that change where pixels do")
    if flicker and follows:  # in a noisy film nothing is ever still
        share, idle = follows["value"], flicker["value"]
        words = f"tokens change: {share:.2f} where pixels do, {idle:.2f} elsewhere"
        others.append((share > 5 * idle, f"{words}, more than five times as often"))
    told = scores.get("bits told, as a share of what can be seen")
    if told:  # where the true actions are known
        others.append((told["value"] >= 0.5, f"{told['name']}: {told['value']:.2f}, at least 0.5"))
    return musts, others


def _report(**changes):
    """A report that meets all points, but for the changes: of `cycle`, of the frame, or of a
    score's value and interval.
    """
    scores = {
        "next_frame": ["next frame above repeating the last", 2.0, (1.0, 3.0)],
        "delta": ["delta PSNR at t = 4", 2.0, (1.0, 3.0)],
        "cycle_score": ["cycle consistency", 0.5, (0.4, 0.6)],
        "codes": ["codes in use", 0.6, None],
        "flicker": ["flicker: tokens that change where pixels do not", 0.01, (0.0, 0.02)],
        "follows": ["tokens that change where pixels do", 0.8, (0.7, 0.9)],
        "told": ["bits told, as a share of what can be seen", 0.7, (0.6, 0.8)],
    }
    content = {"num_clips": 128, "num_groups": 17, "cycle": [0.5] * 8}
    for name, change in changes.items():
        if name in scores:
            scores[name][1:] = change
        else:
            content[name] = change
    entries = [
        {"name": name, "value": value, "chance": 0.125, "interval": interval}
        for name, value, interval in scores.values()
    ]
    return {**content, "scores": entries}


@exercise(
    {},
    "no_such_run/report.json",
    {"scores": _report()["scores"], "latent_to_real": ["left"]},
    _report(num_clips=16),
    _report(num_groups=4),
    _report(next_frame=(2.0, None)),
    _report(next_frame=(0.5, (-0.1, 1.0))),
    _report(next_frame=(3.0, (4.0, 2.0))),
    _report(delta=(0.4, (-0.2, 0.9))),
    _report(cycle_score=(0.15, (0.1, 0.2)), cycle=[0.15] * 8),
    _report(cycle=[0.2] * 8),
    _report(codes=(0.1, None), told=(0.4, (0.3, 0.5))),
    _report(flicker=(0.5, (0.4, 0.6)), told=(0.4, (0.3, 0.5))),
    _report(cycle_score=(0.375, (0.3, 0.4)), cycle=[1.0] * 3 + [0.0] * 5, codes=(0.1, None)),
)
def check_own_world(answer) -> str:
    """The report of `genie-mini evaluate --data` on one's own films: its path, or what it holds."""
    musts, others = _rubric(*_read_report(answer))
    lines = "\n".join(f"{'+' if met else '-'} {words}" for met, words in musts + others)
    missed = sum(not met for met, _ in musts), sum(not met for met, _ in others)
    expect(
        missed[0] == 0 and missed[1] <= 1,
        f"by the rubric\n{lines}\n{missed[0]} of the first four points are missed, and "
        f"{missed[1]} of the others",
    )
    return lines
