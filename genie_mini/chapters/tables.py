"""Results that take minutes to compute: tables and small models that lie beside this file, each
with what made it.
"""

import json
from pathlib import Path

from genie_mini.errors import GenieError
from genie_mini.files import table_weights, weights_hashes

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
    print(*content["commands"], sep="\n")
    print(f"({content['minutes']:.0f} minutes of training, commit {content['commit']}", end="; ")
    print(f"{content['processor']})")
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
    print(content["command"])
    print(f"(commit {content['commit']}; {content['processor']})")
    return content["rows"]


def _read(name):
    file = RESULTS / f"{name}.json"
    if not file.is_file():
        raise GenieError(f"there is no table {name!r} in {RESULTS}")
    return json.loads(file.read_text(encoding="utf-8"))
