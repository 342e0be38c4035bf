"""What do the latent actions mean? A map to the real ones from 200 labels, as in the paper's Figure
15.
"""

import numpy as np
import torch
from torch import Tensor

from genie_mini.contract import check_indices, check_integer, check_parts, shown
from genie_mini.errors import GenieError
from genie_mini.evaluation.metrics import Score
from genie_mini.genie import Genie
from genie_mini.world.recording import Truth
from genie_mini.world.simulation import ACTIONS

# transitions whose real action may be looked at to name the latent ones, as in the paper's Figure
# 15
LABELLED = 200


def check_actions(name: str, numbers: np.ndarray, limit: int) -> None:
    """Raise a GenieError unless these are integers in [0, limit)."""
    if numbers.dtype.kind not in "iu" or not ((numbers >= 0) & (numbers < limit)).all():
        raise GenieError(f"{name} actions are integers in [0, {limit}), got {shown(numbers)}")


def check_names(names: np.ndarray, num_latent: int | None = None) -> np.ndarray:
    """A map from latent to real actions, (latent actions,), or a GenieError."""
    names = np.asarray(names)
    if names.ndim != 1 or len(names) != (len(names) if num_latent is None else num_latent):
        raise GenieError(f"names hold one real action for each latent one, got {shown(names)}")
    check_actions("real", names, len(ACTIONS))
    return names


def check_truth(truth: Truth) -> None:
    """Raise a GenieError unless this is a recording's `Truth`."""
    if not isinstance(truth, Truth):
        raise GenieError(f"truth is what `record` returns beside frames, got {shown(truth)}")


def fit_action_map(
    latent: np.ndarray, real: np.ndarray, num_latent: int, num_real: int = len(ACTIONS)
) -> np.ndarray:
    """For each latent action the real action it most often stood for, (num_latent,); the commonest
    one if never seen.
    """
    num_latent = check_integer("num_latent", num_latent, 1, 2**12)
    latent, real = np.asarray(latent), np.asarray(real)
    for name, numbers, limit in (("latent", latent, num_latent), ("real", real, num_real)):
        check_actions(name, numbers, limit)
    if latent.shape != real.shape or not latent.size:
        raise GenieError(
            f"each latent action needs its real one, got shapes {latent.shape} and {real.shape}"
        )
    counts = np.zeros((num_latent, num_real), dtype=int)
    np.add.at(counts, (latent, real), 1)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), counts.sum(axis=0).argmax())


def visible_actions(truth: Truth) -> np.ndarray:
    """Transitions whose action can be seen: no other action would have led to the same picture.
    (clips, T - 1) bool.
    """
    check_truth(truth)
    return truth.outcomes == 1 << truth.actions


def action_map(genie: Genie, latent: Tensor, truth: Truth) -> tuple[np.ndarray, list[Score]]:
    """Name the latent actions with 200 labels, and score the names on the other transitions.

    Args:
        genie: the Genie. latent: (clips, T - 1) int64, inferred. truth: of the same clips.

    Returns:
        The map, (latent actions,) real actions, and its scores.
    """
    check_parts(genie, "config")
    num_actions = genie.config.dynamics.num_actions
    check_truth(truth)
    device = torch.device("cpu")
    latent = check_indices("latent actions", latent, truth.actions.shape, num_actions, device)
    seen = visible_actions(truth)
    if seen.sum() <= LABELLED:
        raise GenieError(
            f"{LABELLED} actions that can be seen name the latent ones and further ones score the "
            f"names, but these clips hold {seen.sum()}: give more"
        )
    latent_seen, real_seen = latent.numpy()[seen], truth.actions[seen]
    order = np.random.default_rng(0).permutation(len(real_seen))
    fit, test = order[:LABELLED], order[LABELLED:]
    names = fit_action_map(latent_seen[fit], real_seen[fit], num_actions)
    right = names[latent_seen[test]] == real_seen[test]
    commonest = np.bincount(real_seen[test]).max() / len(test)
    scores = [Score("action map, visible actions", right.mean(), "share", commonest, 1.0, 0.95)]
    for action, name in enumerate(ACTIONS):
        scores.append(
            Score(
                f"action map, {name}", right[real_seen[test] == action].mean(), "share", None, 1.0
            )
        )
    used = np.bincount(latent.flatten().numpy(), minlength=len(names)) > 0
    scores.append(Score("latent actions in use", used.mean(), "share", 1 / len(names), 1.0))
    # Where several actions look alike (a jump in mid-air is like doing nothing), any of them is a
    # right answer.
    alike = (truth.outcomes >> names[latent.numpy()]) & 1
    scores.append(Score("action map, all transitions", alike.mean(), "share", None, 1.0))
    return names, scores
