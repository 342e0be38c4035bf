"""Put trained weights into the package: rounded to bfloat16, evaluated as they ship, with their
model card.

    python tools/ship_weights.py runs/mini "the command that trained them" ["on what hardware"]

Where they were trained on this machine, its own words need not be given.
"""

import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from genie_mini.evaluation.scores import evaluate, meets_goal, save_scores
from genie_mini.files import PARTS, WEIGHTS, sha256, write_atomic
from genie_mini.genie import Genie
from genie_mini.run_log import PHASES, clock, read_log
from genie_mini.world import ACTIONS, HELD_OUT_SEED

CARD = """# Model card: `{name}`

Genie for 64x64 frames of this repository's platformer, learnt from pictures alone.

| | |
|---|---|
| command | `{command}` |
| seed | 0 |
| data | `genie_mini.world.record`, filmed anew for every batch, level seeds below 2^{seed_bits}; no actions, no positions |
| steps | {steps} |
| time | {time} |
| hardware | {hardware} |
| format | safetensors, bfloat16, {size:.1f} MB together; computed with in float32 |
| licence | MIT, like the code |

{notes}
## Scores

On levels with seeds from 2^{seed_bits} on, which training never draws, computed by `genie-mini evaluate` on the weights as they ship. PSNR is that of
the mean squared error over all frames. "Chance" is what no skill gets, "best" what is possible; both are measured where a number cannot be
known beforehand. Tokenizer and prediction: 64 clips of 16 frames. Action map: the visible transitions of 128 clips. Cycle consistency: those of 384
moments in which all actions differ; "all moments": all 384. Futile actions: those of all moments that
end in the picture of doing nothing; do they look so in the dream, too? Roll-outs: 32 levels. All is one training, with one seed, and has no intervals: two
values that are close may not differ.

| score | value | chance | best | goal | met |
|---|---|---|---|---|---|
{scores}

Latent actions, named with 200 labelled transitions: {names}.

## Files

| file | SHA-256 |
|---|---|
{files}

## Limits

It knows one game. It remembers sixteen frames. What comes into view where nobody has been is invented anew each time. A picture from outside
the game is drawn with the game's tokens.
"""


def cell(value: float | None) -> str:
    """A number for the table."""
    return "" if value is None else f"{value:.4g}"


def last_rows(folder: Path) -> Iterator[tuple[str, int, float]]:
    """(phase, number of steps, seconds) of each log of a training run."""
    for phase in PHASES:
        seconds = clock(read_log(folder, phase))
        if len(seconds):  # else a phase of no steps
            yield phase, len(seconds), float(seconds[-1])


def notes(folder: Path) -> str:
    """What is to be said of a run's training, from its NOTES.md."""
    file = folder / "NOTES.md"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def hardware() -> str:
    """This machine in words; run it with as many threads (OMP_NUM_THREADS) as the training had."""
    cores = torch.get_num_threads()
    kind = f"{platform.machine()} processor with {torch.backends.cpu.get_cpu_capability()}"
    return f"{cores} core{'s' if cores > 1 else ''} of an {kind}; no GPU"


def main(folder: Path, command: str, trained_on: str) -> None:
    """Round, evaluate, and write weights, scores and card."""
    target = WEIGHTS / "mini"
    Genie.from_pretrained(folder).save(target, torch.bfloat16)
    genie = Genie.from_pretrained(target)
    scores, names = evaluate(genie)
    save_scores(target / "scores.json", scores, names)
    files = [target / "config.json", *(target / f"{part}.safetensors" for part in PARTS)]
    runs = list(last_rows(folder))
    card = CARD.format(
        name="mini",
        command=command,
        notes=notes(folder),
        seed_bits=HELD_OUT_SEED.bit_length() - 1,
        steps=", ".join(f"{phase}: {steps}" for phase, steps, _ in runs),
        time=", ".join(f"{phase}: {seconds / 60:.0f} minutes" for phase, _, seconds in runs),
        hardware=trained_on,
        size=sum(file.stat().st_size for file in files) / 1e6,
        scores="\n".join(
            f"| {score.name}{f' ({score.unit})' if score.unit else ''} | {cell(score.value)} | "
            f"{cell(score.chance)} | "
            f"{cell(score.best)} | {cell(score.goal)} | "
            f"{'' if score.goal is None else 'yes' if meets_goal(score) else 'no'} |"
            for score in scores
        ),
        names=", ".join(f"{latent} {ACTIONS[real]}" for latent, real in enumerate(names)),
        files="\n".join(f"| `{file.name}` | `{sha256(file)}` |" for file in files),
    )
    write_atomic(target / "MODEL_CARD.md", card.encode())
    print(json.dumps({score.name: score.value for score in scores}, indent=1, default=float))


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else hardware())
