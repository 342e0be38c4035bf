"""The names of the latent actions, kept beside the weights."""

import json
from pathlib import Path

from genie_mini.errors import GenieError
from genie_mini.files import weights_folder


def read_action_names(weights: str | Path) -> list[str] | None:
    """What each latent action turned out to mean, such as "left", as `genie-mini evaluate` found
    it.

    Args:
        weights: what `Genie.from_pretrained` takes: a name, or a folder.

    Returns:
        One name for each latent action; None if the folder holds no scores.json.

    Raises:
        ValueError: scores.json does not hold a list of names under "latent_to_real".
    """
    path = weights_folder(weights) / "scores.json"
    if not path.exists():
        return None
    try:
        return [
            str(name) for name in json.loads(path.read_text(encoding="utf-8"))["latent_to_real"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GenieError(
            f'{path} has no list of names under "latent_to_real"; `genie-mini evaluate` writes it'
        ) from error


def check_action_names(names: list[str] | None, num_actions: int) -> list[str]:
    """The names, one for each latent action, empty ones if unknown; a ValueError if the number is
    wrong.
    """
    if names is None:
        return [""] * num_actions
    if len(names) != num_actions:
        raise GenieError(f"there are {num_actions} latent actions, but {len(names)} names for them")
    return list(names)
