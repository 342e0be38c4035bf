r"""Put a Genie with another look-back beside the memory chapter's tables, with what made it.

Its dynamics model is rounded to bfloat16; tokenizer and latent action model it shares with `mini`.

    python tools/ship_lookback.py RUN "the command that trained it" \
        genie_mini/chapters/results/memory/sparse ["the hardware that trained it"]

Without the last one the hardware is this machine, as it runs this.
"""

import json
import sys
from pathlib import Path

import torch
from ship_weights import hardware, last_rows

from genie_mini.files import PARTS, weights_folder, weights_hashes, write_atomic
from genie_mini.genie import Genie


def main(folder: Path, command: str, target: Path, trained_on: str) -> None:
    """Round, and write weights and training.json."""
    Genie.from_pretrained(folder).save(target, torch.bfloat16)
    own, mini = weights_hashes(target), weights_hashes(weights_folder("mini"))
    del own["config.json"]
    shared = {
        part: own[f"{part}.safetensors"]
        for part in PARTS
        if own[f"{part}.safetensors"] == mini[f"{part}.safetensors"]
    }
    for part in shared:
        (target / f"{part}.safetensors").unlink()
    write_atomic(
        target / "shared.json",
        json.dumps({"with": "mini", "parts": shared}, indent=1).encode() + b"\n",
    )
    ((_, steps, seconds),) = last_rows(folder)
    content = {
        "command": command,
        "seed": 0,
        "steps": steps,
        "minutes": round(seconds / 60, 1),
        "hardware": trained_on,
        "weights": own,
    }
    write_atomic(target / "training.json", json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    trained_on = sys.argv[4] if len(sys.argv) == 5 else hardware()
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), trained_on)
