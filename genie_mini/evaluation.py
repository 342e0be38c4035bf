"""Scores of a Genie on levels it never saw, each with what chance would get and the best that is possible.

The simulator's true actions and positions are used here, and only here.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genie_mini.drawing import player_drawings
from genie_mini.genie import Genie, in_windows, write_whole
from genie_mini.session import PlaySession, Rollout
from genie_mini.tokenizer import still_patches
from genie_mini.world import ACTIONS, Truth, random_actions, record

LABELLED = 200  # transitions whose real action may be looked at to name the latent ones, as in the paper's Figure 15


@dataclass(frozen=True)
class Score:
    """One figure. `chance` is what a model without skill gets, `best` what a perfect one would; None where neither exists."""

    name: str
    value: float
    unit: str
    chance: float | None = None
    best: float | None = None
    goal: float | None = None


def psnr(frames: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of the mean squared error over everything given (not the mean of single PSNRs)."""
    return -10 * math.log10(max((frames - truth).square().mean().item(), 1e-12))


def in_batches(function, *tensors, size=16):
    """Call a function on slices of its arguments and join what it returns."""
    parts = [function(*(tensor[start : start + size] for tensor in tensors)) for start in range(0, len(tensors[0]), size)]
    return torch.cat(parts)


def tokenizer_scores(genie: Genie, frames: Tensor) -> list[Score]:
    """Quality, codes in use, and flicker of the tokenizer on held-out clips (batch, T, height, width, 3)."""
    tokenizer = genie.tokenizer
    tokens = in_batches(tokenizer.encode, frames)
    decoded = in_batches(tokenizer.decode, tokens)
    still = still_patches(frames, tokenizer.config.patch_size)
    changed = tokens[:, 1:] != tokens[:, :-1]
    mean_picture = frames.mean(dim=(0, 1), keepdim=True)
    num_codes = tokenizer.config.quantizer.num_codes
    return [
        Score("tokenizer PSNR", psnr(decoded, frames), "dB", psnr(mean_picture, frames), None, 32.0),
        Score("codes in use", tokens.unique().numel() / num_codes, "share", 1 / num_codes, 1.0, 0.5),
        Score("flicker: tokens that change where pixels do not", changed[still].float().mean().item(), "share", 1.0, 0.0, 0.03),
        Score("tokens that change where pixels do", changed[~still].float().mean().item(), "share", 0.0, 1.0),
    ]


def fit_action_map(latent: np.ndarray, real: np.ndarray, num_latent: int) -> np.ndarray:
    """For each latent action the real action it most often stood for, (num_latent,); the commonest one if never seen."""
    counts = np.zeros((num_latent, len(ACTIONS)), dtype=int)
    np.add.at(counts, (latent, real), 1)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), counts.sum(axis=0).argmax())


def visible(truth: Truth) -> np.ndarray:
    """Transitions whose action can be seen: no other action would have led to the same picture. (clips, T - 1) bool."""
    return truth.outcomes == 1 << truth.actions


def action_map(genie: Genie, latent: Tensor, truth: Truth) -> tuple[np.ndarray, list[Score]]:
    """Name the latent actions with 200 labels, and score the names on the other transitions.

    Args:
        genie: the Genie. latent: (clips, T - 1) int64, inferred. truth: of the same clips.

    Returns:
        The map, (latent actions,) real actions, and its scores.
    """
    seen = visible(truth)
    latent_seen, real_seen = latent.numpy()[seen], truth.actions[seen]
    order = np.random.default_rng(0).permutation(len(real_seen))
    fit, test = order[:LABELLED], order[LABELLED:]
    names = fit_action_map(latent_seen[fit], real_seen[fit], genie.config.dynamics.num_actions)
    right = names[latent_seen[test]] == real_seen[test]
    commonest = np.bincount(real_seen[test]).max() / len(test)
    scores = [Score("action map, visible actions", right.mean(), "share", commonest, 1.0, 0.95)]
    for action, name in enumerate(ACTIONS):
        scores.append(Score(f"action map, {name}", right[real_seen[test] == action].mean(), "share", None, 1.0))
    used = np.bincount(latent.flatten().numpy(), minlength=len(names)) > 0
    scores.append(Score("latent actions in use", used.mean(), "share", 1 / len(names), 1.0))
    # Where several actions look alike (a jump in mid-air is like doing nothing), any of them is a right answer.
    alike = (truth.outcomes >> names[latent.numpy()]) & 1
    scores.append(Score("action map, all transitions", alike.mean(), "share", None, 1.0))
    return names, scores


def cycle_scores(genie: Genie, names: np.ndarray, num_levels: int = 384) -> list[Score]:
    """Play each latent action once after four real frames, infer it back from the generated frame.

    Asked in the moments in which every real action has an effect of its own: in the air, a jump does nothing, and no model
    could tell it from doing nothing. The score over all moments stands beside it. The best possible is the same test with
    the simulator as the dynamics model, each latent action played as the real one that it stands for.
    """
    size, num_actions = genie.config.tokenizer.image_size[0], genie.config.dynamics.num_actions
    before = random_actions(np.random.default_rng(11), num_levels, 3)
    endings, distinct = [], np.ones(num_levels, dtype=bool)
    for real in range(len(ACTIONS)):
        actions = np.concatenate([before, np.full((num_levels, 1), real)], axis=1)
        frames, truth = record(num_levels, 5, size=size, seed=11, held_out=True, actions=actions)
        endings.append(torch.from_numpy(frames[:, 4]))
        distinct &= visible(truth)[:, -1]
    prompt = torch.from_numpy(frames[:, :4])
    model, simulator = [], []
    for latent in range(num_actions):
        generated = Rollout(genie, prompt, seed=latent).step(torch.full((num_levels,), latent))
        for pictures, results in ((generated, model), (endings[names[latent]], simulator)):
            inferred = genie.latent_action_model.infer(torch.cat([prompt, pictures[:, None]], dim=1))[:, -1]
            results.append((inferred == latent).numpy())
    model, simulator = np.stack(model), np.stack(simulator)

    def score(name, chosen, goal=None):
        return Score(name, model[chosen].mean(), "share", 1 / num_actions, simulator[chosen].mean(), goal)

    return [
        score("cycle consistency", np.s_[:, distinct], 0.85),
        *(score(f"cycle consistency, latent {latent}", np.s_[latent, distinct]) for latent in range(num_actions)),
        score("cycle consistency, all moments", np.s_[:]),
    ]


def prediction_scores(genie: Genie, frames: Tensor, latent: Tensor) -> list[Score]:
    """How well generated frames match the real ones when the inferred actions are played."""
    steps = 4
    generator = torch.Generator().manual_seed(0)
    inferred, random = Rollout(genie, frames[:, :1]), Rollout(genie, frames[:, :1])
    for t in range(steps):
        inferred.step(latent[:, t])
        random.step(torch.randint(genie.config.dynamics.num_actions, (len(frames),), generator=generator))
    with_inferred, with_random = psnr(inferred.frames, frames[:, steps]), psnr(random.frames, frames[:, steps])

    prompt = 8
    rollout = Rollout(genie, frames[:, :prompt])
    guessed = rollout.step(latent[:, prompt - 1])
    truth = frames[:, prompt]
    again = psnr(frames[:, prompt - 1], truth)
    tokenized = psnr(in_batches(genie.tokenizer.decode, in_batches(genie.tokenizer.encode, frames))[:, prompt], truth)
    return [
        Score("delta PSNR at t = 4", with_inferred - with_random, "dB", 0.0, None, 3.0),
        Score("PSNR at t = 4, inferred actions", with_inferred, "dB", with_random, None),
        Score("next frame above repeating the last", psnr(guessed, truth) - again, "dB", 0.0, tokenized - again, 3.0),
    ]


def player_errors(frames: Tensor) -> Tensor:
    """How badly the player fits each place of each picture, (..., height, width, 3) -> (..., rows, columns) of his corner.

    The mean squared error over the opaque pixels of the best of his eight drawings.
    """
    size = frames.shape[-2]
    drawings, opaque = player_drawings(size)
    pixels = frames.reshape(-1, size, size, 3).permute(0, 3, 1, 2)
    error = (
        torch.nn.functional.conv2d(pixels.square(), opaque)
        - 2 * torch.nn.functional.conv2d(pixels, drawings * opaque)
        + (drawings.square() * opaque).sum(dim=(1, 2, 3))[:, None, None]
    ) / opaque.sum(dim=(1, 2, 3))[:, None, None]
    return error.amin(dim=1).reshape(*frames.shape[:-3], *error.shape[-2:])


def count_players(frames: Tensor) -> Tensor:
    """How many players can be seen: (..., height, width, 3) -> (...) int64.

    One of his eight drawings must match with an error (`player_errors`) below a limit that neither noise nor any picture of the
    world without the player reaches. Matches that overlap count once.
    """
    size = frames.shape[-2]
    error = player_errors(frames.reshape(-1, size, size, 3))
    side = size - error.shape[-1] + 1
    best_nearby = -torch.nn.functional.max_pool2d(-error[:, None], 2 * side - 1, stride=1, padding=side - 1)[:, 0]
    found = (error < (0.04 if size == 64 else 0.015)) & (error == best_nearby)
    return found.sum(dim=(1, 2)).reshape(frames.shape[:-3])


def player_present(frames: Tensor) -> Tensor:
    """Whether a player can be seen: (..., height, width, 3) -> (...) bool."""
    return count_players(frames) > 0


def infer_long(genie: Genie, frames: Tensor) -> Tensor:
    """Infer the actions of a video longer than the latent action model was trained on, (batch, T, ...) -> (batch, T - 1)."""
    return in_windows(genie.latent_action_model.infer, frames)


def rollout_scores(genie: Genie, num_levels: int = 32, length: int = 64) -> list[Score]:
    """Play the latent actions inferred from long real videos, and see whether the player survives in the picture."""
    size = genie.config.tokenizer.image_size[0]
    frames, truth = record(num_levels, length + 1, size=size, seed=13, held_out=True)
    frames = torch.from_numpy(frames)
    latent = infer_long(genie, frames)

    def play(temperature):
        rollout = Rollout(genie, frames[:, :1])
        return torch.stack([rollout.step(latent[:, t], temperature=temperature) for t in range(length)], dim=1)

    generated, careful = play(1.0), play(0.2)
    # A patchwork of random tokens holds players too, but not just one: both are asked.
    tokenizer = genie.tokenizer.config
    generator = torch.Generator().manual_seed(0)
    patchwork = torch.randint(tokenizer.quantizer.num_codes, (num_levels, 1, tokenizer.num_tokens), generator=generator)
    chance, model, careful, best = map(count_players, (genie.tokenizer.decode(patchwork), generated, careful, frames[:, 1:]))

    def score(name, test, goal=None, counts=model):
        value, lowest, highest = (test(numbers).float().mean().item() for numbers in (counts, chance, best))
        return Score(name, value, "share", lowest, highest, goal)

    return [
        score(f"player present in a roll-out of {length} frames", lambda counts: counts > 0, 0.95),
        score(f"exactly one player in a roll-out of {length} frames", lambda counts: counts == 1),
        score(f"player present in frame {length}", lambda counts: counts[:, -1] > 0),
        score("player present in the roll-out, temperature 0.2", lambda counts: counts > 0, counts=careful),
    ]


def speed_scores(genie: Genie, frames: Tensor) -> list[Score]:
    """Frames a second of `PlaySession.step` with 8 rounds, and how far cached logits are from uncached ones."""
    session = PlaySession(genie, frames[0, 0])
    for _ in range(16):  # fill the window first
        session.step(0)
    seconds = []
    for step in range(240):
        began = time.perf_counter()
        session.step(step % genie.config.dynamics.num_actions)
        seconds.append(time.perf_counter() - began)
    return [
        Score("frames a second at play, 8 rounds", 1 / float(np.median(seconds)), "1/s", None, None, 24.0),
        Score("largest difference of cached and uncached logits", cache_difference(genie, frames[:2]), "", None, 0.0, 1e-4),
    ]


@torch.no_grad()
def cache_difference(genie: Genie, frames: Tensor) -> float:
    """Largest difference between logits computed frame by frame with the cache and all at once."""
    dynamics = genie.dynamics
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    whole = dynamics(tokens, actions)
    past, largest = dynamics.remember(tokens[:, :1], actions[:, :0]), 0.0
    for t in range(1, tokens.shape[1]):
        frame, action = tokens[:, t : t + 1], actions[:, t - 1 : t]
        logits = dynamics.to_logits(dynamics.transformer(dynamics.embed(frame, action), past)[0])
        largest = max(largest, (logits[:, 0] - whole[:, t]).abs().max().item())
        past = dynamics.remember(frame, action, past)
    return largest


def evaluate(genie: Genie, num_clips: int = 128) -> tuple[list[Score], np.ndarray]:
    """Compute all scores; returns them and the map from latent to real actions. Takes a minute or two."""
    genie.eval()
    size = genie.config.tokenizer.image_size[0]
    frames, truth = record(num_clips, 16, size=size, seed=7, held_out=True)
    frames = torch.from_numpy(frames)
    latent = in_batches(genie.latent_action_model.infer, frames)
    names, scores = action_map(genie, latent, truth)
    scores = tokenizer_scores(genie, frames[:64]) + scores + cycle_scores(genie, names)
    scores += prediction_scores(genie, frames[:64], latent[:64])
    return scores + rollout_scores(genie) + speed_scores(genie, frames), names


def format_scores(scores: list[Score]) -> str:
    """A table for the terminal; a goal that is met is marked with +, one that is missed with -."""
    lines = [f"{'score':58} {'value':>9} {'chance':>9} {'best':>9} {'goal':>9}"]
    for score in scores:
        cells = [f"{'' if cell is None else f'{cell:.4g}':>9}" for cell in (score.value, score.chance, score.best, score.goal)]
        mark = "" if score.goal is None else " +" if meets_goal(score) else " -"
        lines.append(f"{score.name + (f' ({score.unit})' if score.unit else ''):58} {' '.join(cells)}{mark}")
    return "\n".join(lines)


def meets_goal(score: Score) -> bool:
    """Whether a score is as good as its goal; where the best is zero, less is better."""
    return score.value <= score.goal if score.best == 0.0 else score.value >= score.goal


def save_scores(path: Path, scores: list[Score], names: np.ndarray) -> None:
    """Write the scores and the names of the latent actions as JSON."""
    content = {"scores": [asdict(score) for score in scores], "latent_to_real": [ACTIONS[name] for name in names]}
    write_whole(path, json.dumps(content, indent=1, default=float).encode() + b"\n")
