"""Cycle consistency: is the latent action that was played the one that is seen in the picture?"""

from typing import Any

import numpy as np
import torch

from genie_mini.contract import check_integer, check_parts
from genie_mini.evaluation.action_map import check_names, visible_actions
from genie_mini.evaluation.metrics import MOST_CLIPS, Score
from genie_mini.genie import Genie
from genie_mini.rollout import Rollout
from genie_mini.world.recording import random_actions, record
from genie_mini.world.simulation import ACTIONS, NOTHING


def cycle_scores(genie: Genie, names: np.ndarray, num_levels: int = 384) -> list[Score]:
    """Play each latent action once after four real frames, infer it back from the generated frame.

    Asked in the moments in which every real action has an effect of its own: in the air, a jump
    does nothing, and no model could tell it from doing nothing. The score over all moments stands
    beside it. The best possible is the same test with the simulator as the dynamics model, each
    latent action played as the real one that it stands for.

    A model that walks into walls gets more than the best in all moments: it does what cannot be
    done. So the last score asks of every futile action, one after which the simulator's picture is
    that of doing nothing, whether the same is seen in the model's frame as in the simulator's.
    """
    check_parts(genie, "config", "latent_action_model")
    num_levels = check_integer("num_levels", num_levels, 1, MOST_CLIPS)
    names = check_names(names, genie.config.dynamics.num_actions)
    size, num_actions = genie.config.tokenizer.image_size[0], genie.config.dynamics.num_actions
    before = random_actions(np.random.default_rng(11), num_levels, 3)
    endings, distinct = [], np.ones(num_levels, dtype=bool)
    for real in range(len(ACTIONS)):
        actions = np.concatenate([before, np.full((num_levels, 1), real)], axis=1)
        frames, truth = record(num_levels, 5, size=size, seed=11, held_out=True, actions=actions)
        endings.append(torch.from_numpy(frames[:, 4]))
        distinct &= visible_actions(truth)[:, -1]
    prompt = torch.from_numpy(frames[:, :4])
    dreamt, simulated, futile = [], [], []
    shown = Rollout(genie, prompt)
    for latent, real in enumerate(names):
        generated = shown.again(seed=latent).step(torch.full((num_levels,), latent)).cpu()
        dreamt.append(_seen_action(genie, prompt, generated))
        simulated.append(_seen_action(genie, prompt, endings[real]))
        nothing_done = (endings[real] == endings[NOTHING]).flatten(1).all(dim=1)
        futile.append(nothing_done.numpy() & (real != NOTHING))
    seen, possible = np.stack(dreamt), np.stack(simulated)
    latents = np.arange(num_actions)[:, None]
    model, simulator = seen == latents, possible == latents

    def score(name: str, chosen: Any, goal: float | None = None) -> Score:
        return Score(
            name, model[chosen].mean(), "share", 1 / num_actions, simulator[chosen].mean(), goal
        )

    return [
        score("cycle consistency", np.s_[:, distinct], 0.85),
        *(
            score(f"cycle consistency, latent {latent}", np.s_[latent, distinct])
            for latent in range(num_actions)
        ),
        score("cycle consistency, all moments", np.s_[:]),
        Score(
            "futile actions that do nothing",
            (seen == possible)[np.stack(futile)].mean(),
            "share",
            1 / num_actions,
            1.0,
        ),
    ]


def _seen_action(genie, prompt, pictures):
    """The latent action that each picture is seen to follow from, (levels,)."""
    clips = torch.cat([prompt, pictures[:, None]], dim=1)
    return genie.latent_action_model.infer(clips)[:, -1].cpu().numpy()
