"""The experiments on memory that `genie-mini memory` reruns, each a table with the command, seed
and weights that made it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from genie_mini.errors import GenieError
from genie_mini.evaluation.action_map import action_map
from genie_mini.evaluation.metrics import in_batches
from genie_mini.evaluation.scores import EVALUATION_SEED
from genie_mini.genie import CLIP_FRAMES, Genie
from genie_mini.studies.ablations import ablations, influence
from genie_mini.studies.attention import attention_rows
from genie_mini.studies.budget import budget_rows
from genie_mini.studies.drift import drift_rows
from genie_mini.studies.long_games import long_game_rows, steps_rows
from genie_mini.studies.recall import recall_rows, way_rows
from genie_mini.world.recording import record
from genie_mini.world.simulation import ACTIONS


def action_names(genie: Genie, num_clips: int = 64) -> np.ndarray:
    """The real action that each latent one stands for, from 200 labels (`evaluation.action_map`):
    (latent actions,).
    """
    frames, truth = record(
        num_clips,
        CLIP_FRAMES,
        size=genie.config.tokenizer.image_size[0],
        seed=EVALUATION_SEED,
        held_out=True,
    )
    latent = in_batches(genie.latent_action_model.infer, torch.from_numpy(frames))
    return action_map(genie, latent, truth)[0]


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        about: what it tells, in a few words.
        rows: gives the rows of its table for a Genie and what it `takes`.
        cases: how many worlds or clips it looks at by default.
        takes: which of `names` (the real action of each latent one), `cases` and `seed` it wants.
    """

    about: str
    rows: Callable[..., list[dict]]
    cases: int
    takes: tuple[str, ...] = ("names", "cases", "seed")


EXPERIMENTS = {
    "recall": Experiment("recall against age", recall_rows, cases=256),
    "recall-played": Experiment(
        "the same as played, without its comparisons",
        partial(recall_rows, played_alone=True),
        cases=256,
    ),
    "recall-way": Experiment("recall against the length of the way", way_rows, cases=256),
    "ablations": Experiment(
        "spatial, temporal and action memory switched off",
        ablations,
        cases=256,
        takes=("cases", "seed"),
    ),
    "leaks": Experiment(
        "what one old frame does to the next", influence, cases=8, takes=("cases", "seed")
    ),
    "attention": Experiment(
        "where the heads look", attention_rows, cases=64, takes=("cases", "seed")
    ),
    "drift": Experiment("how far roll-outs stray", drift_rows, cases=16),
    "long-games": Experiment(
        "does a long dream stay a game", long_game_rows, cases=32, takes=("cases", "seed")
    ),
    "steps": Experiment(
        "what MaskGIT steps are worth", steps_rows, cases=64, takes=("cases", "seed")
    ),
    "budget": Experiment("what the window costs", budget_rows, cases=1, takes=()),
}


def run_experiment(
    genie: Genie, name: str, names: list[str] | None, cases: int | None, seed: int
) -> list[dict]:
    """Run one of `EXPERIMENTS`.

    Args:
        genie: any trained Genie.
        names: real actions by name, one for each latent action (`read_measured_names`);
            None: find them with 200 labels.
        cases: worlds or clips; None: as many as the experiment takes by default.
        seed: of levels, actions and sampling.

    Raises:
        ValueError: a name is not one of the platformer's actions.
    """
    experiment = EXPERIMENTS[name]
    if names is None:
        real = action_names(genie)
    elif unknown := set(names) - set(ACTIONS):
        raise GenieError(
            f"the platformer has no action {', '.join(sorted(unknown))}: memory is measured in "
            "the platformer"
        )
    else:
        real = np.array([ACTIONS.index(name) for name in names])
    given = {
        "names": real,
        "cases": experiment.cases if cases is None else cases,
        "seed": seed,
    }
    return experiment.rows(genie.eval(), **{what: given[what] for what in experiment.takes})


def format_rows(rows: list[dict]) -> str:
    """Rows of the same keys as a table for the terminal."""

    def cell(value):
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )
