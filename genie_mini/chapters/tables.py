"""Results that take minutes to compute: tables and small models that lie beside this file, each
with what made it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.files import table_weights, weights_hashes
from genie_mini.studies.watched_training import unpack_sprite

RESULTS = Path(__file__).parent / "results"
_ROOT = Path(__file__).parents[2]  # where the tables' commands were given


def read_table(name: str) -> list[dict]:
    """The rows of a saved table; prints the command that made it, and whether its weights are those
    that are here.

    Args:
        name: of the file in `RESULTS`, without its ending, such as "memory/recall".

    Raises:
        GenieError: there is no such table.
    """
    content = _read(name)
    now = weights_hashes(table_weights(content["command"], root=_ROOT))
    same = "these weights" if now == content["weights"] else "OTHER WEIGHTS"
    dynamics = content["weights"]["dynamics.safetensors"][:8]
    print(f"{content['command']}  ({same}, dynamics {dynamics})")
    return content["rows"]


def with_interval(row: dict, name: str) -> str:
    """A share of a table's row and its 95% interval, as a reader wants them: "0.71 (0.64-0.78)".

    Args:
        row: holds it, and its ends as `low` and `high`, or `NAME_low` and `NAME_high` where it
            holds several; None for both where they are not known.
        name: of the share.
    """
    low, high = (row.get(f"{name}_{end}", row.get(end)) for end in ("low", "high"))
    return f"{row[name]:.2f}" + (f" ({low:.2f}-{high:.2f})" if low is not None else "")


def read_scores(name: str) -> dict[str, dict]:
    """The scores of a Genie whose weights do not ship, by the scores' names, as `genie-mini
    evaluate --data` writes them; prints the commands that made them, the minutes of training, the
    commit and the processor.

    Args:
        name: of the file in `RESULTS`, without its ending, such as "worlds/breakout".

    Raises:
        GenieError: there are no such scores.
    """
    content = _read(name)
    _tell(content, content["commands"], f"{content['minutes']:.0f} minutes of training, ")
    return {score["name"]: score for score in content["scores"]}


def read_trainings(name: str) -> list[dict]:
    """The rows of a study that trained networks of its own, which do not ship; prints the command
    that made it, the commit and the processor.

    Args:
        name: of the file in `RESULTS`, without its ending, such as "latent_actions/gifts".

    Raises:
        GenieError: there is no such table.
    """
    content = _read(name)
    _tell(content, [content["command"]])
    return content["rows"]


@dataclass(frozen=True)
class WatchedTraining:
    """What a training could do at one moment after the other. Steps are counted over all phases.

    Attributes:
        minutes: until the last step, on a machine that may have had other work.
        stretches: where each network learnt: its `first` step, and the `steps` that it has taken of
            those that were `asked` for, in so many `minutes`.
        restarts: steps at which the latent action model began anew.
        curves: the logged numbers by name, (steps, values), each the mean of the steps around it.
        moments: each with the steps `taken` by then, its `minutes`, the parts that had `begun` to
            learn, its `scores`, and `counts`: for each latent action how often it went with each
            real one where that could be seen, None before there are any.
        real: (films, columns, size, size, 3) in [0, 1], frames of held-out films.
        drawn: (moments, films, rows, columns, size, size, 3) what a moment makes of them.
        rows: what lies in these rows. columns: which frames, counted from the last one shown.
    """

    minutes: float
    stretches: dict[str, dict[str, float]]
    restarts: list[int]
    curves: dict[str, tuple[list[float], list[float]]]
    moments: list[dict]
    real: np.ndarray
    drawn: np.ndarray
    rows: list[str]
    columns: list[int]

    def score(self, name: str) -> list[tuple[int, dict]]:
        """(steps taken, score) of each moment that has the score of this name."""
        return [
            (moment["taken"], score)
            for moment in self.moments
            for score in moment["scores"]
            if score["name"] == name
        ]


def read_watched(name: str) -> WatchedTraining:
    """A training that was watched (`benchmarks/watched_training.py`), whose weights do not ship;
    prints the commands that made it, the commit and the processor.

    Args:
        name: of the file in `RESULTS`, without its ending, such as "trainings/pocket".

    Raises:
        GenieError: there is no such training.
    """
    content = _read(name)
    _tell(content, content["commands"])
    pictures = content["pictures"]
    real, drawn = unpack_sprite(
        RESULTS / Path(name).parent / pictures["file"],
        len(pictures["rows"]),
        len(pictures["shown"]),
    )
    told = {key: content[key] for key in ("minutes", "stretches", "restarts", "curves", "moments")}
    return WatchedTraining(
        **told, real=real, drawn=drawn, rows=pictures["rows"], columns=pictures["shown"]
    )


@dataclass(frozen=True)
class GameClips:
    """Clips of a game that need not be installed.

    Attributes:
        frames: (clips, T, height, width, 3) float in [0, 1].
        actions: the true ones, (clips, T - 1) int64, entry t leading from frame t to t + 1.
        names: of the actions.
    """

    frames: Tensor
    actions: np.ndarray
    names: list[str]


def read_clips(name: str) -> GameClips:
    """Clips that `benchmarks/game_clips.py` kept; prints the command that made them.

    Args:
        name: of the file in `RESULTS`, without its ending, such as "clips/coinrun".

    Raises:
        GenieError: there are no such clips.
    """
    content = _read(name)
    print(f"{content['command']}  (commit {content['commit']}, seed {content['seed']})")
    pictures, actions = content["pictures"], np.array(content["actions"])
    with Image.open(RESULTS / Path(name).parent / pictures["file"]) as file:
        sheet = torch.from_numpy(np.array(file)).float() / 255
    clips = sheet.unflatten(0, (len(actions), -1)).unflatten(2, (-1, pictures["side"]))
    return GameClips(clips.transpose(1, 2).contiguous(), actions, content["names"])


def _tell(content, commands, more=""):
    """Print what made a table whose weights do not ship."""
    print(*commands, sep="\n")
    print(f"({more}commit {content['commit']}; {content['processor']})")


def _read(name):
    file = RESULTS / f"{name}.json"
    if not file.is_file():
        raise GenieError(f"there is no table {name!r} in {RESULTS}")
    return json.loads(file.read_text(encoding="utf-8"))
