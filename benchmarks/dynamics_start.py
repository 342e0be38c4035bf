"""What it is worth to begin with a code read out as it is put in (`models.dynamics`): a dynamics
model from nothing, behind the tokenizer and the latent actions of a trained Genie, against one
whose last layer begins at random. About twenty minutes on one core for `pocket`:

    python benchmarks/dynamics_start.py WEIGHTS --data FILMS

WEIGHTS is a Genie's folder, FILMS what it was trained on, as for `genie-mini train`.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from machine import commit

from genie_mini import Genie
from genie_mini.data.cache import CachedVideos
from genie_mini.data.sources import cached_films
from genie_mini.evaluation.any_world import draw_clips, prediction_scores
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import CLIP_FRAMES
from genie_mini.models.dynamics import DynamicsModel
from genie_mini.training.config import TRAINING_PRESETS
from genie_mini.training.phases import build_phases
from genie_mini.training.step import take_all_steps

SEEDS, CLIPS = (0, 1, 2), 64


def trained(genie, videos, steps, seed, at_random):
    """A dynamics model after some steps of one clip."""
    torch.manual_seed(seed)
    genie.dynamics = DynamicsModel(genie.config.dynamics)
    if at_random:
        genie.dynamics.to_logits.reset_parameters()
    config = replace(
        TRAINING_PRESETS["pocket"],
        tokenizer_steps=0,
        latent_action_steps=0,
        latent_action_pretraining_steps=0,
        dynamics_steps=steps,
        seed=seed,
    )
    phase = build_phases(genie, videos, config)[1]
    take_all_steps(replace(phase, parts=phase.parts[1:]), videos, config)
    genie.dynamics.eval()


def scores(genie, clips, tokens, latent):
    """The loss on held-out clips, and by how much the next frame is above repeating the last."""
    torch.manual_seed(0)
    with torch.no_grad():
        loss = genie.dynamics.loss(tokens, latent)["loss"].item()
    return loss, prediction_scores(genie, clips, latent)[1].value


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    asked = parser.parse_args()
    genie = Genie.from_pretrained(asked.weights).eval()
    films = cached_films(asked.data, genie.config.tokenizer.image_size, asked.cache)
    videos, held_out = CachedVideos(films), CachedVideos(films, "held out")
    clips = draw_clips(held_out, CLIPS, CLIP_FRAMES, key=0)
    tokens = in_batches(genie.tokenizer.encode, clips.frames)
    latent = in_batches(genie.latent_action_model.infer, clips.frames)
    print(f"commit {commit()}, {asked.steps} steps, {len(clips.frames)} held-out clips")
    for start, at_random in (("at random", True), ("as it is put in", False)):
        rows = []
        for seed in SEEDS:
            trained(genie, videos, asked.steps, seed, at_random)
            rows.append(scores(genie, clips, tokens, latent))
            print(f"{start}, seed {seed}: loss {rows[-1][0]:.2f}, next frame {rows[-1][1]:+.2f} dB")
        # of three seeds, 95% by Student's t
        spread = 4.30 * np.std(rows, axis=0, ddof=1) / math.sqrt(len(SEEDS))
        for name, mean, half in zip(
            ("loss", "next frame"), np.mean(rows, axis=0), spread, strict=True
        ):
            print(f"{start}, {name}: {mean:.2f} +- {half:.2f}", flush=True)


if __name__ == "__main__":
    main()
