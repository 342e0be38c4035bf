r"""Put a Genie of a game into the package: rounded to bfloat16, scored on the game's held-out films
as it ships, with its prompts, its model card and the tables of a chapter.

    python tools/ship_world.py runs/coinrun mini-coinrun procgen:coinrun "the command that trained it" COMMIT \
        ["the hardware that trained it"]

COMMIT is that of the code that trained it. Several commands are joined by " && "; what is to be said
of them stands in NOTES.md of the run. Without the last argument the hardware is this machine. Takes
some ten minutes.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from ship_weights import cell, hardware, last_rows, notes

from genie_mini.chapters.tables import RESULTS
from genie_mini.data.gymnasium_envs import POLICIES, USUAL_POLICY
from genie_mini.files import PARTS, WEIGHTS, sha256, write_atomic
from genie_mini.genie import Genie
from genie_mini.play.prompts import PROMPTS

CARD = """# Model card: `{name}`

Genie for 64x64 frames of `{game}`, learnt from films alone.

| | |
|---|---|
| command | `{command}` |
| commit | `{commit}` |
| seed | 0 |
| data | `{game}`: {frames} frames, at most {longest} of a level, filmed by a player who keeps to each button for four steps on average; no actions. SHA-256 of the films: `{films}` |
| steps | {steps} |
| time | {time} |
| hardware | {hardware} |
| format | safetensors, bfloat16, {size:.1f} MB together; computed with in float32 |
| licence | MIT, like the code; what it draws it learnt from pictures by others: `genie_mini/chapters/results/clips/coinrun-licences.txt` |

{notes}
## Scores

`{evaluation}`, on the weights as they ship: {clips} clips from {films_scored} levels that training did not see. Intervals are over levels. "Chance" is what no skill gets, "best" what is possible, where that is known.
The training has one seed.

| score | value | 95% interval | chance | best |
|---|---|---|---|---|
{scores}

## Files

| file | SHA-256 |
|---|---|
{files}
"""


def report(folder: Path, game: str, policy: str) -> dict:
    """What `genie-mini evaluate` finds, with the command."""
    out = folder / f"{policy}.json"
    told = ["genie-mini", "evaluate", "--weights", folder.name, "--data", game]
    command = [sys.executable, "-m", "genie_mini.cli", *told[1:3], str(folder), *told[4:]]
    extra = [] if policy == USUAL_POLICY else ["--policy", policy]
    subprocess.run([*command, *extra, "--out", str(out)], check=True)
    return {"command": " ".join([*told, *extra]), **json.loads(out.read_text(encoding="utf-8"))}


def table_row(score: dict) -> str:
    """A score for the card."""
    interval = "" if score["interval"] is None else "{:.4g} to {:.4g}".format(*score["interval"])
    name = f"{score['name']}{' ({})'.format(score['unit']) if score['unit'] else ''}"
    figures = (cell(score["value"]), interval, cell(score["chance"]), cell(score["best"]))
    return f"| {name} | {' | '.join(figures)} |"


def main(run: Path, name: str, game: str, command: str, commit: str, trained_on: str) -> None:
    """Round, score, and write weights, prompts, names, card and tables."""
    rounded = run / name
    Genie.from_pretrained(run).save(rounded, torch.bfloat16)
    shutil.copytree(run / PROMPTS, rounded / PROMPTS, dirs_exist_ok=True)
    reports = {policy: report(rounded, game, policy) for policy in POLICIES}
    logs = list(last_rows(run))
    made = {
        "commit": commit,
        "seed": 0,
        "processor": trained_on,
        "minutes": round(sum(seconds for *_, seconds in logs) / 60, 1),
    }
    kept = ("weights", "data_sha256", "num_clips", "num_films", "num_groups", "scores")
    for policy, found in reports.items():
        content = {"commands": [*command.split(" && "), found["command"]], **made}
        content |= {key: found[key] for key in kept}
        suffix = "" if policy == USUAL_POLICY else f"-{policy}"
        table = RESULTS / "worlds" / f"{game.split(':')[-1]}{suffix}.json"
        write_atomic(table, json.dumps(content, indent=1).encode() + b"\n")
    found, target = reports[USUAL_POLICY], WEIGHTS / name
    target.mkdir(exist_ok=True)
    shutil.copytree(rounded / PROMPTS, target / PROMPTS, dirs_exist_ok=True)
    files = ["config.json", *(f"{part}.safetensors" for part in PARTS)]
    for file in files:
        shutil.copy(rounded / file, target / file)
    card = CARD.format(
        name=name,
        game=game,
        command=command,
        commit=commit,
        frames=f"{found['source']['frames']:,}",
        longest=found["source"]["longest"],
        films=found["data_sha256"],
        steps=", ".join(f"{phase}: {steps}" for phase, steps, _ in logs),
        time=", ".join(f"{phase}: {seconds / 60:.0f} minutes" for phase, _, seconds in logs),
        hardware=trained_on,
        notes=notes(run),
        size=sum((target / file).stat().st_size for file in files) / 1e6,
        evaluation=found["command"],
        clips=found["num_clips"],
        films_scored=found["num_films"],
        scores="\n".join(map(table_row, found["scores"])),
        files="\n".join(f"| `{file}` | `{sha256(target / file)}` |" for file in files),
    )
    write_atomic(target / "MODEL_CARD.md", card.encode())


if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:6], sys.argv[6] if len(sys.argv) == 7 else hardware())
