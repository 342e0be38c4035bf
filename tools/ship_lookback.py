"""Put a Genie with another look-back beside the memory chapter's tables: rounded to bfloat16, with
what made it.

python tools/ship_lookback.py runs/sparse "the command that trained it" book/results/memory/sparse
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from ship_weights import hardware, last_rows

from genie_mini.files import write_atomic
from genie_mini.genie import Genie


def main(folder, command, target):
    """Round, and write weights and training.json."""
    Genie.from_pretrained(folder).save(target, torch.bfloat16)
    ((_, steps, seconds),) = last_rows(folder)
    content = {
        "command": command,
        "seed": 0,
        "steps": steps,
        "minutes": round(seconds / 60, 1),
        "hardware": hardware(),
        "weights": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(target.glob("*.safetensors"))
        },
    }
    write_atomic(target / "training.json", json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
