"""Does a dream stay a game? Long roll-outs, read by the referee (`evaluation.rules`)."""

import numpy as np
import torch
from torch import Tensor

from genie_mini.evaluation.intervals import mean_interval
from genie_mini.evaluation.player_detector import count_players
from genie_mini.evaluation.rules import judge
from genie_mini.evaluation.scores import infer_long
from genie_mini.genie import Genie
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.rollout import Rollout
from genie_mini.world.recording import record

LONG_GAME = 256  # frames
_ENDS = (16, 64, 128, LONG_GAME)  # of the stretches that the table tells of
_HELD = 4  # frames for which random play holds an action
_STEPS = (PLAY_MASKGIT_STEPS, PLAY_MASKGIT_STEPS // 2)


def long_game_rows(genie: Genie, cases: int, seed: int, num_frames: int = LONG_GAME) -> list[dict]:
    """How often a dream shows exactly one player, and how often it obeys the rules, by age.

    Each level is played from one picture, with the latent actions of a real game of it, and with
    random ones, each held for four frames. The first rows tell of the real games themselves.

    Args:
        genie: any trained Genie of the platformer.
        cases: levels, none of which training saw.
        seed: of levels, actions and sampling.
        num_frames: of a game.

    Returns:
        A row for each way to play and each stretch of frames, `from` to `to`: the shares
        `one_player` and `obeyed`, each with a 95% interval over levels (`_low`, `_high`; None for
        fewer than five levels).
    """
    size = genie.config.tokenizer.image_size[0]
    recorded, _ = record(cases, num_frames + 1, size=size, seed=[seed, 31], held_out=True)
    films = torch.from_numpy(recorded)
    changes = -(-num_frames // _HELD)
    drawn = np.random.default_rng([seed, 37]).integers(
        genie.config.dynamics.num_actions, size=(cases, changes)
    )
    plays = {
        "of a real game": infer_long(genie, films),
        "random": torch.from_numpy(drawn).repeat_interleave(_HELD, dim=1)[:, :num_frames],
    }
    rows = _stretches({"actions": "the real game itself", "steps": 0}, films)
    for count in _STEPS:
        for name, latent in plays.items():
            rollout = Rollout(genie, films[:, :1], seed=seed)
            frames = [
                rollout.step(latent[:, t].to(genie.device), count).cpu() for t in range(num_frames)
            ]
            dream = torch.cat([films[:, :1], torch.stack(frames, dim=1)], dim=1)
            rows += _stretches({"actions": name, "steps": count}, dream)
    return rows


def _stretches(told: dict, clips: Tensor) -> list[dict]:
    """Rows that begin with what is `told`, of clips whose first frame is the prompt."""
    alone = (count_players(clips[:, 1:]) == 1).numpy()
    obeyed = judge(clips).obeyed
    last = alone.shape[1]
    ends = [end for end in _ENDS if end < last] + [last]
    stretches = [*zip([0, *ends], ends, strict=False), (0, last)]
    rows = []
    for begin, end in dict.fromkeys(stretches):
        row = {**told, "from": begin + 1, "to": end}
        for name, good in (("one_player", alone), ("obeyed", obeyed)):
            of_levels = good[:, begin:end].mean(axis=1)
            low, high = mean_interval(of_levels) or (None, None)
            row |= {name: float(of_levels.mean()), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows
