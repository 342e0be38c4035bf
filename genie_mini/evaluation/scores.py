"""Scores of a Genie on levels it never saw, each with what chance would get and the best that is
possible.

The simulator's true actions and positions are used here, and only here.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import check_frames, check_indices, check_integer, check_parts
from genie_mini.evaluation.action_map import action_map, check_names
from genie_mini.evaluation.any_world import BEFORE_NEXT, PLAYED, best_drawn, predict
from genie_mini.evaluation.cycle_consistency import cycle_scores
from genie_mini.evaluation.metrics import MOST_CLIPS, PARITY, Score, in_batches, psnr
from genie_mini.evaluation.player_detector import count_players
from genie_mini.files import write_atomic
from genie_mini.genie import CLIP_FRAMES, Genie, in_windows
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.models.tokenizer import still_patches
from genie_mini.rollout import PlaySession, Rollout
from genie_mini.world.recording import record
from genie_mini.world.simulation import ACTIONS

_TIMED_STEPS = 240  # of play; the median of their times counts
EVALUATION_SEED = 7  # of the held-out clips that most scores, and the names of actions, come from


def tokenizer_scores(genie: Genie, frames: Tensor) -> list[Score]:
    """Quality, codes in use, and flicker of the tokenizer on held-out clips (batch, T, height,
    width, 3).
    """
    check_parts(genie, "tokenizer")
    tokenizer = genie.tokenizer
    frames = check_frames(frames, tokenizer.config.image_size, fewest=2)
    tokens = in_batches(tokenizer.encode, frames)
    decoded = in_batches(tokenizer.decode, tokens)
    still = still_patches(frames, tokenizer.config.patch_size)
    changed = tokens[:, 1:] != tokens[:, :-1]
    mean_picture = frames.mean(dim=(0, 1), keepdim=True)
    num_codes = tokenizer.config.quantizer.num_codes
    return [
        Score(
            "tokenizer PSNR", psnr(decoded, frames), "dB", psnr(mean_picture, frames), None, 32.0
        ),
        Score(
            "codes in use", tokens.unique().numel() / num_codes, "share", 1 / num_codes, 1.0, 0.5
        ),
        Score(
            "flicker: tokens that change where pixels do not",
            changed[still].float().mean().item(),
            "share",
            1.0,
            0.0,
            0.03,
        ),
        Score(
            "tokens that change where pixels do",
            changed[~still].float().mean().item(),
            "share",
            0.0,
            1.0,
        ),
    ]


def prediction_scores(genie: Genie, frames: Tensor, latent: Tensor) -> list[Score]:
    """How well generated frames match the real ones when the inferred actions are played."""
    check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
    size, num_actions = genie.config.tokenizer.image_size, genie.config.dynamics.num_actions
    frames = check_frames(frames, size, fewest=BEFORE_NEXT + 1)
    shape = (len(frames), frames.shape[1] - 1)
    latent = check_indices("latent actions", latent, shape, num_actions)
    predicted = predict(genie, frames, latent)
    with_inferred, with_random = (
        psnr(drawn, frames[:, PLAYED]) for drawn in (predicted.told, predicted.untold)
    )
    truth = frames[:, BEFORE_NEXT]
    again = psnr(frames[:, BEFORE_NEXT - 1], truth)
    tokenized = psnr(best_drawn(genie, frames[:, : BEFORE_NEXT + 1], BEFORE_NEXT)[:, 0], truth)
    return [
        Score("delta PSNR at t = 4", with_inferred - with_random, "dB", 0.0, None, 3.0),
        Score("PSNR at t = 4, inferred actions", with_inferred, "dB", with_random, None),
        Score(
            "next frame above repeating the last",
            psnr(predicted.following, truth) - again,
            "dB",
            0.0,
            tokenized - again,
            3.0,
        ),
    ]


def infer_long(genie: Genie, frames: Tensor) -> Tensor:
    """Infer the actions of a video longer than the latent action model was trained on, (batch, T,
    ...) -> (batch, T - 1).
    """
    check_parts(genie, "latent_action_model")
    return in_windows(genie.latent_action_model.infer, frames)


def rollout_scores(genie: Genie, num_levels: int = 32, length: int = 64) -> list[Score]:
    """Play the latent actions inferred from long real videos, and see whether the player survives
    in the picture.
    """
    check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
    num_levels = check_integer("num_levels", num_levels, 1, MOST_CLIPS)
    length = check_integer("length", length, 1, MOST_CLIPS)
    size = genie.config.tokenizer.image_size[0]
    recorded, truth = record(num_levels, length + 1, size=size, seed=13, held_out=True)
    frames = torch.from_numpy(recorded)
    latent = infer_long(genie, frames)

    def play(temperature: float) -> Tensor:
        rollout = Rollout(genie, frames[:, :1])
        return torch.stack(
            [rollout.step(latent[:, t], temperature=temperature) for t in range(length)], dim=1
        )

    generated, careful = play(1.0), play(0.2)
    # A patchwork of random tokens holds players too, but not just one: both are asked.
    tokenizer = genie.tokenizer.config
    generator = torch.Generator().manual_seed(0)
    patchwork = torch.randint(
        tokenizer.quantizer.num_codes, (num_levels, 1, tokenizer.num_tokens), generator=generator
    )
    chance, model, careful, best = map(
        count_players, (genie.tokenizer.decode(patchwork), generated, careful, frames[:, 1:])
    )

    def score(
        name: str,
        test: Callable[[Tensor], Tensor],
        goal: float | None = None,
        counts: Tensor = model,
    ) -> Score:
        value, lowest, highest = (
            test(numbers).float().mean().item() for numbers in (counts, chance, best)
        )
        return Score(name, value, "share", lowest, highest, goal)

    return [
        score(f"player present in a roll-out of {length} frames", lambda counts: counts > 0, 0.95),
        score(f"exactly one player in a roll-out of {length} frames", lambda counts: counts == 1),
        score(f"player present in frame {length}", lambda counts: counts[:, -1] > 0),
        score(
            "player present in the roll-out, temperature 0.2",
            lambda counts: counts > 0,
            counts=careful,
        ),
    ]


def speed_scores(genie: Genie, frames: Tensor) -> list[Score]:
    """Frames a second of `PlaySession.step` as it is played, and how far cached logits are
    from uncached ones.
    """
    check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
    frames = check_frames(frames, genie.config.tokenizer.image_size, fewest=2)
    session = PlaySession(genie, frames[0, 0])
    for _ in range(genie.config.dynamics.context):  # fill the window first
        session.step(0)
    seconds = []
    for step in range(_TIMED_STEPS):
        began = time.perf_counter()
        session.step(step % genie.config.dynamics.num_actions)
        seconds.append(time.perf_counter() - began)
    return [
        Score(
            f"frames a second at play, {PLAY_MASKGIT_STEPS} MaskGIT steps",
            1 / float(np.median(seconds)),
            "1/s",
            None,
            None,
            24.0,
        ),
        Score(
            "largest difference of cached and uncached logits",
            cache_difference(genie, frames[:2]),
            "",
            None,
            0.0,
            PARITY,
        ),
    ]


@torch.no_grad()
def cache_difference(genie: Genie, frames: Tensor) -> float:
    """Largest difference between logits computed frame by frame with the cache and all at once."""
    check_parts(genie, "tokenizer", "latent_action_model", "dynamics")
    dynamics = genie.dynamics
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    whole = dynamics(tokens, actions)
    cache, largest = dynamics.prefill(tokens[:, :1], actions[:, :0]), 0.0
    for t in range(1, tokens.shape[1]):
        frame, action = tokens[:, t : t + 1], actions[:, t - 1 : t]
        logits = dynamics.to_logits(dynamics.transformer(dynamics.embed(frame, action), cache)[0])
        largest = max(largest, (logits[:, 0] - whole[:, t]).abs().max().item())
        cache = dynamics.append(cache, frame, action)
    return largest


def evaluate(genie: Genie, num_clips: int = 128) -> tuple[list[Score], np.ndarray]:
    """Compute all scores; returns them and the map from latent to real actions. Takes minutes."""
    check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
    num_clips = check_integer("num_clips", num_clips, 1, MOST_CLIPS)
    genie.eval()
    size = genie.config.tokenizer.image_size[0]
    recorded, truth = record(num_clips, CLIP_FRAMES, size=size, seed=EVALUATION_SEED, held_out=True)
    frames = torch.from_numpy(recorded)
    latent = in_batches(genie.latent_action_model.infer, frames)
    names, scores = action_map(genie, latent, truth)
    scores = tokenizer_scores(genie, frames[:64]) + scores + cycle_scores(genie, names)
    scores += prediction_scores(genie, frames[:64], latent[:64])
    return scores + rollout_scores(genie) + speed_scores(genie, frames), names


def format_scores(scores: list[Score]) -> str:
    """A table for the terminal; a goal that is met is marked with +, one that is missed with -."""
    lines = [f"{'score':58} {'value':>9} {'chance':>9} {'best':>9} {'goal':>9}"]
    for score in scores:
        cells = [
            f"{'' if cell is None else f'{cell:.4g}':>9}"
            for cell in (score.value, score.chance, score.best, score.goal)
        ]
        mark = "" if score.goal is None else " +" if meets_goal(score) else " -"
        lines.append(
            f"{score.name + (f' ({score.unit})' if score.unit else ''):58} {' '.join(cells)}{mark}"
        )
    return "\n".join(lines)


def meets_goal(score: Score) -> bool:
    """Whether a score is as good as its goal, if any; where the best is zero, less is better."""
    if score.goal is None:
        return True
    return score.value <= score.goal if score.best == 0.0 else score.value >= score.goal


def save_scores(path: Path, scores: list[Score], names: np.ndarray) -> None:
    """Write the scores and the names of the latent actions as JSON."""
    names = check_names(names)
    content = {
        "scores": [asdict(score) for score in scores],
        "latent_to_real": [ACTIONS[name] for name in names],
    }
    write_atomic(path, json.dumps(content, indent=1, default=float).encode() + b"\n")
