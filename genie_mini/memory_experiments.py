"""The experiments on memory that `genie-mini memory` reruns, each a table with the command, seed and weights that made it."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genie_mini.drawing import PLAYER_SCREEN_X, SCREEN
from genie_mini.evaluation import action_map, in_batches, player_errors, psnr
from genie_mini.genie import Genie, weights_folder, write_whole
from genie_mini.lookback import LOOKBACKS
from genie_mini.memory import Dreamt, Simulated, latent_actions, recall, twin_worlds
from genie_mini.memory_ablations import ablations, attention_rows, influence
from genie_mini.session import Rollout
from genie_mini.world import ACTIONS, record

AGES = (*range(1, 21), 24, 28, 32, 36, 40)
OLDEST_EXACT = 20  # an exact window is asked no further: nothing older than the window can reach it
DRIFT_FRAMES = (1, 2, 5, 10, 20, 50, 100, 150, 200)


class ExactWindow(Rollout):
    """A roll-out that computes its past anew for each frame, from the tokens of the window's frames alone: nothing leaks in."""

    def __init__(self, genie: Genie, prompt: Tensor, seed: int = 0):
        super().__init__(genie, prompt, seed)
        prompt = prompt[:, -self._window :].float()
        self._history = genie.tokenizer.encode(prompt)
        self._actions = genie.latent_action_model.infer(prompt) if prompt.shape[1] > 1 else torch.empty(len(prompt), 0).long()

    def step(self, actions: Tensor, **options) -> Tensor:
        """See `Rollout.step`."""
        window = self._window
        shown, led = self._history[:, -window:], self._actions[:, -(window - 1) :] if window > 1 else self._actions[:, :0]
        self._past = self.genie.dynamics.remember(shown, led)
        frames = super().step(actions, **options)
        self._history = torch.cat([self._history, self.tokens[:, None]], dim=1)
        self._actions = torch.cat([self._actions, actions[:, None]], dim=1)
        return frames


def action_names(genie: Genie, num_clips: int = 64) -> np.ndarray:
    """The real action that each latent one stands for, from 200 labels (`evaluation.action_map`): (latent actions,)."""
    frames, truth = record(num_clips, 16, size=genie.config.tokenizer.image_size[0], seed=7, held_out=True)
    latent = in_batches(genie.latent_action_model.infer, torch.from_numpy(frames))
    return action_map(genie, latent, truth)[0]


def recall_rows(genie: Genie, names: np.ndarray, cases: int, seed: int, played_alone: bool = False) -> list[dict]:
    """Recall against age: as played, with an exact window, with a prompt that never showed the landmark, and by the oracle.

    With `played_alone` only the first, for the comparison of models; the others take twice as long.
    """
    worlds = twin_worlds(max(1, cases // 2), genie.config.tokenizer.image_size[0], seed)

    def played(kind):
        return lambda prompt, simulation: Dreamt(kind(genie, prompt, seed=seed), names)

    def oracle(prompt, simulation):
        return Simulated(simulation, worlds.size)

    curves = {"played": recall(played(Rollout), worlds, AGES)}
    if not played_alone:
        curves["never seen"] = recall(played(Rollout), worlds, AGES[1:], unseen=True)
        curves["oracle"] = recall(oracle, worlds, AGES)
        if genie.config.dynamics.lookback == "recent":
            curves["exact window"] = recall(played(ExactWindow), worlds, [age for age in AGES if age <= OLDEST_EXACT])
    return [{"model": name, **asdict(row)} for name, rows in curves.items() for row in rows]


def drift_rows(
    genie: Genie, names: np.ndarray, cases: int, seed: int, num_frames: int = max(DRIFT_FRAMES)
) -> list[dict]:
    """How far roll-outs with the true actions stray from the simulator, for some temperatures and prompts.

    The levels are as many as `cases`. Each row tells of a stretch of frames, up to one of DRIFT_FRAMES: `psnr` in dB; `psnr_still`,
    for comparison, that of the prompt's last frame, repeated; and how far the player is from his true place on the screen, in pixels
    of the 64x64 screen, looked for where he fits best, in frames in which he has not jumped out of the picture.
    """
    size, longest_prompt = genie.config.tokenizer.image_size[0], genie.config.dynamics.context - 1
    frames, truth = record(cases, longest_prompt + num_frames, size=size, seed=[seed, 29], held_out=True)
    frames = torch.from_numpy(frames)
    real = truth.actions[:, longest_prompt - 1 :]
    latent_of = latent_actions(names, np.unique(real))
    latent = torch.tensor([[latent_of[action] for action in row] for row in real])
    targets = frames[:, longest_prompt:]

    def play(temperature, prompt):
        rollout = Rollout(genie, frames[:, longest_prompt - prompt : longest_prompt], seed=seed)
        return torch.stack([rollout.step(latent[:, t], temperature=temperature) for t in range(num_frames)], dim=1)

    rows, heights = [], torch.from_numpy(truth.positions[:, longest_prompt:, 1])
    true_places = torch.stack([heights, torch.full_like(heights, PLAYER_SCREEN_X)], dim=-1)
    in_picture = heights >= 0
    for temperature, prompt in ((1.0, 1), (1.0, 4), (1.0, longest_prompt), (0.5, 4), (0.0, 4)):
        dreamt = play(temperature, prompt)
        strayed = (find_player(dreamt) * (SCREEN // size) - true_places).float().norm(dim=-1)
        start = 0
        for end in (frame for frame in DRIFT_FRAMES if frame <= num_frames):
            part = slice(start, end)
            still = frames[:, longest_prompt - 1 : longest_prompt].expand_as(targets[:, part])
            rows.append({
                "temperature": temperature, "prompt": prompt, "from": start + 1, "to": end,
                "psnr": psnr(dreamt[:, part], targets[:, part]), "psnr_still": psnr(still, targets[:, part]),
                "player_pixels": strayed[:, part][in_picture[:, part]].mean().item(),
            })  # fmt: skip
            start = end
    return rows


def find_player(frames: Tensor) -> Tensor:
    """Row and column of the player's corner where he fits best, pixels: (..., height, width, 3) -> (..., 2) int64."""
    error = player_errors(frames)
    best = error.flatten(-2).argmin(dim=-1)
    return torch.stack([best // error.shape[-1], best % error.shape[-1]], dim=-1)


def budget_rows(genie: Genie, num_steps: int = 24) -> list[dict]:
    """What a window costs, for each way of looking back with the weights of this Genie.

    Tokens and bits of the window; bytes of its frames as pixels, as tokens, and as the keys and values that attention reads and
    that play keeps; and the median time of a frame at play once all memories are full, in milliseconds, of 8 rounds, the ways
    taking turns so that a busy machine slows them all alike.
    """
    tokenizer, dynamics = genie.config.tokenizer, genie.config.dynamics
    transformer = genie.dynamics.transformer.config
    bits = int(np.ceil(np.log2(dynamics.num_codes)))
    frame_bytes = 2 * 4 * transformer.num_blocks * tokenizer.num_tokens * transformer.num_heads * transformer.head_width
    generator = torch.Generator().manual_seed(0)
    prompt = torch.rand(1, 1, *tokenizer.image_size, 3, generator=generator)
    rollouts = {name: Rollout(genie.with_lookback(name), prompt) for name in LOOKBACKS}
    seconds: dict[str, list[float]] = {name: [] for name in LOOKBACKS}
    fill = max(rollout.genie.dynamics.lookback.reach for rollout in rollouts.values())
    for step in range(fill + num_steps):
        for name, rollout in rollouts.items():
            began = time.perf_counter()
            rollout.step(torch.tensor([step % dynamics.num_actions]), num_steps=min(8, tokenizer.num_tokens))
            if step >= fill:
                seconds[name].append(time.perf_counter() - began)
    return [
        {
            "lookback": name, "window_frames": dynamics.context, "reach_frames": rollout.genie.dynamics.lookback.reach,
            "tokens_per_frame": tokenizer.num_tokens, "bits_per_token": bits,
            "window_tokens": dynamics.context * tokenizer.num_tokens,
            "window_pixel_bytes": dynamics.context * tokenizer.image_size[0] * tokenizer.image_size[1] * 3,
            "window_token_bytes": dynamics.context * tokenizer.num_tokens * bits / 8,
            "read_bytes": (dynamics.context - 1) * frame_bytes,
            "kept_bytes": rollout.genie.dynamics.lookback.reach * frame_bytes,
            "frame_milliseconds": 1000 * float(np.median(seconds[name])),
            "cost": float(np.median(seconds[name]) / np.median(seconds["recent"])),
        }
        for name, rollout in rollouts.items()
    ]  # fmt: skip


# name: (what it tells, cases by default, function of genie, names, cases and seed)
EXPERIMENTS: dict[str, tuple[str, int, Callable[[Genie, np.ndarray, int, int], list[dict]]]] = {
    "recall": ("recall against age", 256, recall_rows),
    "recall-played": ("the same as played, without its comparisons", 256, partial(recall_rows, played_alone=True)),
    "ablations": ("spatial, temporal and action memory switched off", 256, lambda genie, names, cases, seed: ablations(genie, cases, seed)),
    "leaks": ("what one old frame does to the next", 8, lambda genie, names, cases, seed: influence(genie, [*range(1, 41)], cases, seed)),
    "attention": ("where the heads look", 64, lambda genie, names, cases, seed: attention_rows(genie, cases, seed)),
    "drift": ("how far roll-outs stray", 16, drift_rows),
    "budget": ("what the window costs", 1, lambda genie, names, cases, seed: budget_rows(genie)),
}  # fmt: skip


def run_experiment(genie: Genie, name: str, names: list[str] | None, cases: int | None, seed: int) -> list[dict]:
    """Run one of `EXPERIMENTS`.

    Args:
        genie: any trained Genie.
        names: real actions by name, one for each latent action, from `controls.read_action_names`; None: find them with 200 labels.
        cases: worlds or clips; None: as many as the experiment takes by default.
        seed: of levels, actions and sampling.

    Raises:
        ValueError: a name is not one of the platformer's actions.
    """
    _, usual_cases, function = EXPERIMENTS[name]
    if names is None:
        real = action_names(genie)
    elif unknown := set(names) - set(ACTIONS):
        raise ValueError(f"the platformer has no action {', '.join(sorted(unknown))}: memory is measured in the platformer")
    else:
        real = np.array([ACTIONS.index(name) for name in names])
    return function(genie.eval(), real, usual_cases if cases is None else cases, seed)


def save_table(path: Path, rows: list[dict], command: str, seed: int, weights: str | Path) -> None:
    """Write rows as JSON, with the command and seed that made them and the SHA-256 of each file of the weights."""
    content = {"command": command, "seed": seed, "weights": weights_hashes(weights_folder(weights)), "rows": rows}
    write_whole(path, json.dumps(content, indent=1).encode() + b"\n")


def weights_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a trained Genie by name, as `save_table` keeps them."""
    files = sorted([folder / "config.json", *folder.glob("*.safetensors")])
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.stem != "checkpoint"}


def table_weights(command: str, root: Path) -> Path:
    """The folder of the weights that the command of a saved table names (`mini` where it names none), run from `root`."""
    words = command.split()
    name = words[words.index("--weights") + 1] if "--weights" in words else "mini"
    return root / weights_folder(name)  # shipped weights have an absolute path, which stays as it is


def format_rows(rows: list[dict]) -> str:
    """Rows of the same keys as a table for the terminal."""

    def cell(value):
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
