"""How far roll-outs stray from the simulator."""

import numpy as np
import torch

from genie_mini.evaluation.metrics import psnr
from genie_mini.evaluation.player_detector import find_player
from genie_mini.genie import Genie
from genie_mini.rollout import Rollout
from genie_mini.studies.twin_worlds import latent_actions
from genie_mini.world.recording import record
from genie_mini.world.rendering import PLAYER_SCREEN_X
from genie_mini.world.sprites import SCREEN

DRIFT_FRAMES = (1, 2, 5, 10, 20, 50, 100, 150, 200)


def drift_rows(
    genie: Genie, names: np.ndarray, cases: int, seed: int, num_frames: int = max(DRIFT_FRAMES)
) -> list[dict]:
    """How far roll-outs with the true actions stray from the simulator, for some temperatures and
    prompts.

    The levels are as many as `cases`. Each row tells of a stretch of frames, up to one of
    DRIFT_FRAMES: `psnr` in dB; `psnr_still`, for comparison, that of the prompt's last frame,
    repeated; and how far the player is from his true place on the screen, in pixels of the 64x64
    screen, looked for where he fits best, in frames in which he has not jumped out of the picture.
    """
    size, longest_prompt = genie.config.tokenizer.image_size[0], genie.config.dynamics.context - 1
    recorded, truth = record(
        cases, longest_prompt + num_frames, size=size, seed=[seed, 29], held_out=True
    )
    frames = torch.from_numpy(recorded)
    real = truth.actions[:, longest_prompt - 1 :]
    latent_of = latent_actions(names, np.unique(real).tolist())
    latent = torch.tensor([[latent_of[action] for action in row] for row in real])
    targets = frames[:, longest_prompt:]

    def play(temperature, prompt):
        rollout = Rollout(genie, frames[:, longest_prompt - prompt : longest_prompt], seed=seed)
        return torch.stack(
            [rollout.step(latent[:, t], temperature=temperature).cpu() for t in range(num_frames)],
            dim=1,
        )

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
            rows.append(
                {
                    "temperature": temperature,
                    "prompt": prompt,
                    "from": start + 1,
                    "to": end,
                    "psnr": psnr(dreamt[:, part], targets[:, part]),
                    "psnr_still": psnr(still, targets[:, part]),
                    "player_pixels": strayed[:, part][in_picture[:, part]].mean().item(),
                }
            )
            start = end
    return rows
