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
    file = RESULTS / f"{name}.json"
    if not file.is_file():
        raise GenieError(f"there is no table {name!r} in {RESULTS}")
    content = json.loads(file.read_text(encoding="utf-8"))
    now = weights_hashes(table_weights(content["command"], root=_ROOT))
    same = "these weights" if now == content["weights"] else "OTHER WEIGHTS"
    dynamics = content["weights"]["dynamics.safetensors"][:8]
    print(f"{content['command']}  ({same}, dynamics {dynamics})")
    return content["rows"]
