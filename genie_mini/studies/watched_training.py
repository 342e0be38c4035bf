"""A training, watched: what the networks of a run could do at one moment after the other.

A *moment* is a copy of the run's checkpoint. All moments are scored on the same held-out levels and
drawn from the same films, so that they differ by what was learnt and by nothing else.
"""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genie_mini.evaluation.action_map import LABELLED, fit_action_map, visible_actions
from genie_mini.evaluation.any_world import (
    Clips,
    dream,
    hit_share,
    prediction_scores,
    reconstruct,
    tokenizer_scores,
)
from genie_mini.evaluation.intervals import MeasuredScore, measured
from genie_mini.evaluation.metrics import in_batches
from genie_mini.evaluation.player_detector import count_players
from genie_mini.evaluation.rules import judge
from genie_mini.files import PARTS, to_uint8
from genie_mini.genie import CLIP_FRAMES, Genie, config_from_json
from genie_mini.studies.training_timeline import training_config
from genie_mini.training.checkpoint import read_checkpoint, read_notes, restore
from genie_mini.training.request import Request
from genie_mini.world.recording import Truth, record
from genie_mini.world.simulation import ACTIONS

DREAMT = 32  # frames of a roll-out
SHOWN = (1, 2, 4, 8, 16, 32)  # of them those that are drawn, from 1
ROWS = ("tokenizer", "dream")  # of a drawing, below the real frames
_PROMPT = 4  # frames that `dream` begins from
# Clips whose labels name the latent actions, clips that are scored, roll-outs, films drawn of them.
_NAMING, _SCORED, _ROLLOUTS, _FILMS = 32, 32, 8, 2
_KEYS = {"clips": 31, "roll-outs": 30}  # of their levels and actions
_ABSENT = 0.93  # grey of what cannot be drawn yet
_COLORS = 256  # of all pictures of a training


@dataclass(frozen=True)
class Moment:
    """A Genie as it was at one step of its training.

    Attributes:
        genie: in evaluation mode.
        phase, step: where the run was.
        begun: the names of its parts (`files.PARTS`) that have learnt something by then.
    """

    genie: Genie
    phase: int
    step: int
    begun: frozenset[str]


def begun_parts(request: Request, phase: int, step: int) -> frozenset[str]:
    """The names of the parts that know something when `step` of `phase` is to come: have begun to
    learn, or were trained before the run.
    """
    if not request.what["began as"].startswith("preset "):
        return frozenset(PARTS)
    config = training_config(request)
    # Patches are counted before the first step.
    counted = request.what["networks"]["tokenizer"]["codebook"] == "patches"
    first = (phase, step)
    begun = {
        "tokenizer": counted or first > (0, 0),
        "latent_action_model": first > (1, 0),
        "dynamics": first > (1, config.latent_action_pretraining_steps),
    }
    return frozenset(name for name in PARTS if begun[name])


def read_moment(path: Path) -> Moment:
    """The Genie that a checkpoint holds.

    Raises:
        GenieError: it is no whole checkpoint, or of networks of another version.
    """
    request, where = read_notes(path)
    genie = Genie(config_from_json(request.what["networks"]))
    restore(genie, None, read_checkpoint(path)[0], path)
    phase, step = where["phase"], where["step"]
    return Moment(genie.eval(), phase, step, begun_parts(request, phase, step))


@cache
def held_out_clips(size: int) -> tuple[Clips, Truth]:
    """Clips of `CLIP_FRAMES` frames, each of a level of its own; the first `_NAMING` give labels.

    Args:
        size: 32 or 64 pixels.
    """
    number = _NAMING + _SCORED
    frames, truth = record(number, CLIP_FRAMES, size=size, seed=_KEYS["clips"], held_out=True)
    return Clips(np.arange(number), torch.from_numpy(frames), np.arange(number)), truth


@cache
def held_out_films(size: int) -> Tensor:
    """What roll-outs begin from and are led by, (`_ROLLOUTS`, `_PROMPT` + `DREAMT`, size, size, 3);
    the first `_FILMS` are drawn.
    """
    length = _PROMPT + DREAMT
    frames, _ = record(_ROLLOUTS, length, size=size, seed=_KEYS["roll-outs"], held_out=True)
    return torch.from_numpy(frames)


def score_moment(moment: Moment) -> tuple[list[MeasuredScore], list[list[int]] | None, Tensor]:
    """Score and draw a moment, each part from when it has begun to learn.

    Returns:
        The scores, with intervals over levels; for each latent action how often it went with each
        of `ACTIONS`, among visible actions, None before there are any; and the drawing, see
        `draw_moment`.
    """
    genie, size = moment.genie, moment.genie.config.tokenizer.image_size[0]
    clips, truth = held_out_clips(size)
    scored = Clips(clips.starts[_NAMING:], clips.frames[_NAMING:], clips.groups[_NAMING:])
    scores, counts, dreamt = [], None, None
    if "tokenizer" in moment.begun:
        scores += tokenizer_scores(genie, scored)[:1]
    if "latent_action_model" in moment.begun:
        latent = in_batches(genie.latent_action_model.infer, clips.frames)
        score, counts = name_actions(latent, truth, genie.config.dynamics.num_actions)
        scores.append(score)
    if "dynamics" in moment.begun:
        scores += prediction_scores(genie, scored, latent[_NAMING:])
        dreamt = dream(genie, held_out_films(size))
        scores += rollout_scores(dreamt)
    return scores, counts, draw_moment(moment, dreamt)


def name_actions(
    latent: Tensor, truth: Truth, num_latent: int
) -> tuple[MeasuredScore, list[list[int]]]:
    """Name the latent actions by `LABELLED` labels of the first clips, and score the names on the
    visible actions of the others.

    Args:
        latent: (clips, T - 1) inferred. truth: of the same clips. num_latent: how many there are.

    Returns:
        The score, and (latent actions, real actions) counts of the clips that are scored.
    """
    codes, visible = latent.numpy(), visible_actions(truth)
    known = visible[:_NAMING]
    order = np.random.default_rng(0).permutation(known.sum())[:LABELLED]
    taught, told = codes[:_NAMING][known][order], truth.actions[:_NAMING][known][order]
    names = fit_action_map(taught, told, num_latent)
    codes, real, visible = codes[_NAMING:], truth.actions[_NAMING:], visible[_NAMING:]
    right = torch.from_numpy(names[codes] == real)
    score = measured(
        "action map, visible actions",
        hit_share(right, torch.from_numpy(visible)),
        np.arange(len(codes)),
        "share",
        chance=float(np.bincount(real[visible]).max() / visible.sum()),
        best=1.0,
    )
    counts = np.zeros((num_latent, len(ACTIONS)), dtype=int)
    np.add.at(counts, (codes[visible], real[visible]), 1)
    return score, counts.tolist()


ROLLOUT_TESTS = {
    "exactly one player": lambda frames: count_players(frames[:, 1:]) == 1,
    "rules obeyed": lambda frames: torch.from_numpy(judge(frames).obeyed),
}
"""From clips (clips, 1 + T, size, size, 3) to (clips, T) bool, of all frames but the first."""


@cache
def _of_real_films(name: str, size: int) -> float:
    """What a test says of the real films: the best that is possible."""
    return ROLLOUT_TESTS[name](held_out_films(size)[:, _PROMPT - 1 :]).float().mean().item()


def rollout_scores(dreamt: Tensor) -> list[MeasuredScore]:
    """In how many dreamt frames there is just one player, and how many follow from the frame
    before by the rules of the game, whatever the action.

    Args:
        dreamt: (`_ROLLOUTS`, `DREAMT`, size, size, 3), of `held_out_films`.
    """
    scores, size = [], dreamt.shape[-2]
    last = held_out_films(size)[:, _PROMPT - 1 : _PROMPT]
    for name, test in ROLLOUT_TESTS.items():
        hits = test(torch.cat([last, dreamt], dim=1))
        scores.append(
            measured(
                f"{name} in a roll-out of {DREAMT} frames",
                hit_share(hits, torch.ones_like(hits)),
                np.arange(len(hits)),
                "share",
                best=_of_real_films(name, size),
            )
        )
    return scores


def draw_moment(moment: Moment, dreamt: Tensor | None) -> Tensor:
    """What is shown of a moment, grey where a part has not begun to learn.

    Args:
        moment: the Genie, then.
        dreamt: of `held_out_films`; None where it cannot dream yet.

    Returns:
        (`_FILMS`, `ROWS`, `SHOWN`, size, size, 3) uint8: `SHOWN` frames of each film behind the
        tokenizer, and dreamt.
    """
    films = held_out_films(moment.genie.config.tokenizer.image_size[0])[:_FILMS]
    shown = torch.tensor(SHOWN) - 1
    absent = torch.full_like(films[:, shown], _ABSENT)
    kept = absent
    if "tokenizer" in moment.begun:
        kept = in_batches(lambda film: reconstruct(moment.genie, film), films)[:, _PROMPT + shown]
    drawn = absent if dreamt is None else dreamt[:_FILMS, shown]
    return torch.from_numpy(to_uint8(torch.stack([kept, drawn], dim=1)))


def real_rows(size: int) -> Tensor:
    """The real frames beside which moments are drawn, (`_FILMS`, `SHOWN`, size, size, 3) uint8."""
    shown = held_out_films(size)[:_FILMS, _PROMPT - 1 + torch.tensor(SHOWN)]
    return torch.from_numpy(to_uint8(shown))


def sprite(real: np.ndarray, drawn: list[np.ndarray]) -> bytes:
    """All pictures of a training as one PNG of a small palette; see `unpack_sprite`.

    Args:
        real: (films, columns, size, size, 3) uint8, from `real_rows`.
        drawn: of each moment (films, rows, columns, size, size, 3) uint8, from `draw_moment`.
    """
    strips = [real, *(row for moment in drawn for row in moment.swapaxes(0, 1))]
    columns, size = real.shape[1:3]
    pixels = np.stack(strips).transpose(0, 1, 3, 2, 4, 5).reshape(-1, columns * size, 3)
    file = io.BytesIO()
    small = Image.fromarray(pixels).quantize(_COLORS, dither=Image.Dither.NONE)
    small.save(file, "png", optimize=True)
    return file.getvalue()


def unpack_sprite(path: Path, num_rows: int, num_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a training.

    Args:
        path: of the PNG. num_rows, num_columns: of a drawing.

    Returns:
        Float in [0, 1]: the real frames, (films, columns, size, size, 3), and the moments,
        (moments, films, rows, columns, size, size, 3).
    """
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
    size = pixels.shape[1] // num_columns
    strips = pixels.reshape(-1, _FILMS, size, num_columns, size, 3).swapaxes(2, 3)
    moments = strips[1:].reshape(-1, num_rows, *strips.shape[1:]).swapaxes(1, 2)
    return strips[0], moments
