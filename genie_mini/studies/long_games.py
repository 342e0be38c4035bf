"""Does a dream stay a game? Long roll-outs, read by the referee (`evaluation.rules`)."""

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from genie_mini.evaluation.intervals import mean_interval
from genie_mini.evaluation.metrics import in_batches, psnr
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
STEPS_GAME = 64  # frames
_COUNTS = (1, 2, 4, 8, 25)  # the last is the paper's


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
        fewer than five levels). Neither asks that anything happens: a picture that stands still
        has one player, and obeys as long as nobody hangs in the air.
    """
    films = _films(genie, cases, num_frames, seed)
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
            dream = _dream(genie, films, latent, count, seed)
            rows += _stretches({"actions": name, "steps": count}, dream)
    return rows


def steps_rows(genie: Genie, cases: int, seed: int, num_frames: int = STEPS_GAME) -> list[dict]:
    """What MaskGIT's steps are worth: the same real games, dreamt with few steps and with many.

    Args:
        genie, cases, seed, num_frames: see `long_game_rows`.

    Returns:
        A row for each number of steps: the shares `one_player` and `obeyed` of all frames, each
        with its interval, and `psnr_4`, how near frame 4 is to the real one, dB.
    """
    films = _films(genie, cases, num_frames, seed)
    latent, rows = infer_long(genie, films), []
    for count in (count for count in _COUNTS if count <= genie.dynamics.num_tokens):
        dream = _dream(genie, films, latent, count, seed)
        near = psnr(dream[:, 4], films[:, 4])
        [shares] = _shares(dream, slice(None))
        rows.append({"steps": count, **shares, "psnr_4": near})
    return rows


def _films(genie, cases, num_frames, seed):
    """Real games, (cases, num_frames + 1, size, size, 3)."""
    size = genie.config.tokenizer.image_size[0]
    recorded, _ = record(cases, num_frames + 1, size=size, seed=[seed, 31], held_out=True)
    return torch.from_numpy(recorded)


def _dream(genie, films, latent, count, seed):
    """The first frame of each film, and what comes of latent actions, (cases, frames)."""
    rollout = Rollout(genie, films[:, :1], seed=seed)
    playing = tqdm(latent.unbind(dim=1), f"{count} steps a frame", unit="frame", delay=5)
    frames = [rollout.step(now.to(genie.device), count).cpu() for now in playing]
    return torch.cat([films[:, :1], torch.stack(frames, dim=1)], dim=1)


def _stretches(told: dict, clips: Tensor) -> list[dict]:
    """Rows that begin with what is `told`, of clips whose first frame is the prompt."""
    last = clips.shape[1] - 1
    ends = [end for end in _ENDS if end < last] + [last]
    stretches = dict.fromkeys([*zip([0, *ends], ends, strict=False), (0, last)])
    shares = _shares(clips, *(slice(*stretch) for stretch in stretches))
    return [
        {**told, "from": begin + 1, "to": end, **share}
        for (begin, end), share in zip(stretches, shares, strict=True)
    ]


def _shares(clips: Tensor, *stretches: slice) -> list[dict]:
    """For each stretch of the frames after the first, how many show exactly one player, and how
    many obey the rules; with intervals over clips.
    """
    players = in_batches(count_players, clips[:, 1:])
    seen = {"one_player": (players == 1).numpy(), "obeyed": judge(clips).obeyed}
    rows = []
    for stretch in stretches:
        row: dict[str, float | None] = {}
        for name, good in seen.items():
            of_clips = good[:, stretch].mean(axis=1)
            low, high = mean_interval(of_clips) or (None, None)
            row |= {name: float(of_clips.mean()), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows
