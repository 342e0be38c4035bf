"""The experiments on memory that `genie-mini memory` reruns, each a table with the command, seed
and weights that made it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from genie_mini.errors import GenieError
from genie_mini.evaluation.action_map import action_map
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import Genie
from genie_mini.studies.ablations import ablations, influence
from genie_mini.studies.attention import attention_rows
from genie_mini.studies.budget import budget_rows
from genie_mini.studies.drift import drift_rows
from genie_mini.studies.recall import recall_rows
from genie_mini.world.recording import record
from genie_mini.world.simulation import ACTIONS


def action_names(genie: Genie, num_clips: int = 64) -> np.ndarray:
    """The real action that each latent one stands for, from 200 labels (`evaluation.action_map`):
    (latent actions,).
    """
    frames, truth = record(
        num_clips, 16, size=genie.config.tokenizer.image_size[0], seed=7, held_out=True
    )
    latent = in_batches(genie.latent_action_model.infer, torch.from_numpy(frames))
    return action_map(genie, latent, truth)[0]


# name: (what it tells, cases by default, function of genie, names, cases and seed)
EXPERIMENTS: dict[str, tuple[str, int, Callable[[Genie, np.ndarray, int, int], list[dict]]]] = {
    "recall": ("recall against age", 256, recall_rows),
    "recall-played": (
        "the same as played, without its comparisons",
        256,
        partial(recall_rows, played_alone=True),
    ),
    "ablations": (
        "spatial, temporal and action memory switched off",
        256,
        lambda genie, names, cases, seed: ablations(genie, cases, seed),
    ),
    "leaks": (
        "what one old frame does to the next",
        8,
        lambda genie, names, cases, seed: influence(genie, [*range(1, 41)], cases, seed),
    ),
    "attention": (
        "where the heads look",
        64,
        lambda genie, names, cases, seed: attention_rows(genie, cases, seed),
    ),
    "drift": ("how far roll-outs stray", 16, drift_rows),
    "budget": ("what the window costs", 1, lambda genie, names, cases, seed: budget_rows(genie)),
}


def run_experiment(
    genie: Genie, name: str, names: list[str] | None, cases: int | None, seed: int
) -> list[dict]:
    """Run one of `EXPERIMENTS`.

    Args:
        genie: any trained Genie.
        names: real actions by name, one for each latent action, from `controls.read_action_names`;
            None: find them with 200 labels.
        cases: worlds or clips; None: as many as the experiment takes by default.
        seed: of levels, actions and sampling.

    Raises:
        ValueError: a name is not one of the platformer's actions.
    """
    _, usual_cases, function = EXPERIMENTS[name]
    if names is None:
        real = action_names(genie)
    elif unknown := set(names) - set(ACTIONS):
        raise GenieError(
            f"the platformer has no action {', '.join(sorted(unknown))}: memory is measured in "
            "the platformer"
        )
    else:
        real = np.array([ACTIONS.index(name) for name in names])
    return function(genie.eval(), real, usual_cases if cases is None else cases, seed)


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
