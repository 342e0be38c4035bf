r"""Put a Genie of a game, or of several worlds, into the package: rounded to bfloat16, scored on
held-out films as it ships, with its prompts, its model card and the tables of a chapter.

    python tools/ship_world.py runs/coinrun mini-coinrun procgen:coinrun "the command that trained it" COMMIT \
        ["the hardware that trained it"]

In the place of the game may stand several --data, "films,procgen:coinrun", and after a | such as the
Genie has never seen: "films,procgen:coinrun|procgen:ninja". COMMIT is that of the code that trained
it. Several commands are joined by " && "; what is to be said of them stands in NOTES.md of the run.
Without the last argument the hardware is this machine. Takes some five minutes a report.
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

Genie for 64x64 frames of {games}, learnt from films alone.

| | |
|---|---|
| command | `{command}` |
| commit | `{commit}` |
| seed | 0 |
| data | {data}; a tenth is held out; no actions |
| steps | {steps} |
| time | {time} |
| hardware | {hardware} |
| format | safetensors, bfloat16, {size:.1f} MB together; computed with in float32 |
| licence | MIT, like the code; what it draws it learnt from pictures by others{licences} |

{notes}
## Scores

On the weights as they ship, on films that training did not see. Intervals are over films. "Chance" is what no skill gets, "best" what is possible, where that is known.
The training has one seed.

{scores}
## Files

| file | SHA-256 |
|---|---|
{files}
"""


def report(folder: Path, data: str, policy: str) -> dict:
    """What `genie-mini evaluate` finds, with the command."""
    out = folder / f"{title(data)}-{policy}.json"
    told = ["genie-mini", "evaluate", "--weights", folder.name, "--data", data]
    command = [sys.executable, "-m", "genie_mini.cli", *told[1:3], str(folder), *told[4:]]
    extra = [] if policy == USUAL_POLICY else ["--policy", policy]
    subprocess.run([*command, *extra, "--out", str(out)], check=True)
    return {"command": " ".join([*told, *extra]), **json.loads(out.read_text(encoding="utf-8"))}


def title(data: str) -> str:
    """A word for a world: its game, or its folder."""
    return Path(data.split(":")[-1]).name.split("-")[0].lower()


def films_row(data: str, found: dict) -> str:
    """The films of a world for the card."""
    source = found["source"]
    told = f"`{data}`"
    if "frames" in source:
        told += f": {source['frames']:,} frames"
        if source.get("longest"):
            told += f", at most {source['longest']} of a level"
        told += ", filmed by a player who keeps to each button for four steps on average"
    return f"{told}. SHA-256 of the films: `{found['data_sha256']}`"


def score_table(found: dict) -> str:
    """The scores of a report for the card."""
    told = (
        f"`{found['command']}`: {found['num_clips']} clips from {found['num_films']} films.\n\n"
        "| score | value | 95% interval | chance | best |\n|---|---|---|---|---|\n"
    )
    return told + "\n".join(map(table_row, found["scores"])) + "\n"


def table_row(score: dict) -> str:
    """A score for the card."""
    interval = "" if score["interval"] is None else "{:.4g} to {:.4g}".format(*score["interval"])
    name = f"{score['name']}{' ({})'.format(score['unit']) if score['unit'] else ''}"
    figures = (cell(score["value"]), interval, cell(score["chance"]), cell(score["best"]))
    return f"| {name} | {' | '.join(figures)} |"


def main(run: Path, name: str, worlds: str, command: str, commit: str, trained_on: str) -> None:
    """Round, score, and write weights, prompts, card and tables."""
    rounded = run / name
    Genie.from_pretrained(run).save(rounded, torch.bfloat16)
    shutil.copytree(run / PROMPTS, rounded / PROMPTS, dirs_exist_ok=True)
    seen, unseen = (
        [data for data in part.split(",") if data] for part in (worlds + "|").split("|")[:2]
    )
    alone = len(seen) == 1  # then other players are tried, else other worlds
    asked = [(data, USUAL_POLICY) for data in [*seen, *unseen]]
    asked += [(seen[0], policy) for policy in POLICIES if alone and policy != USUAL_POLICY]
    logs = list(last_rows(run))
    made = {
        "commit": commit,
        "seed": 0,
        "processor": trained_on,
        "minutes": round(sum(seconds for *_, seconds in logs) / 60, 1),
    }
    reports = {}
    for data, policy in asked:
        found = reports[data, policy] = report(rounded, data, policy)
        content = {"commands": [*command.split(" && "), found["command"]], **made}
        kept = ("weights", "data_sha256", "num_clips", "num_films", "num_groups", "scores")
        content |= {key: found[key] for key in kept}
        table = title(data) if alone else f"{name.removeprefix('mini-')}-{title(data)}"
        table += "" if policy == USUAL_POLICY else f"-{policy}"
        file = RESULTS / "worlds" / f"{table}.json"
        write_atomic(file, json.dumps(content, indent=1).encode() + b"\n")
    trained = [reports[data, USUAL_POLICY] for data in seen]
    write_package(rounded, seen, trained, {"command": command, **made}, logs, notes(run))


def write_package(
    rounded: Path, seen: list[str], reports: list[dict], made: dict, logs: list, told: str
) -> None:
    """Put weights, prompts and card among those that ship."""
    target = WEIGHTS / rounded.name
    target.mkdir(exist_ok=True)
    shutil.copytree(rounded / PROMPTS, target / PROMPTS, dirs_exist_ok=True)
    files = ["config.json", *(f"{part}.safetensors" for part in PARTS)]
    for file in files:
        shutil.copy(rounded / file, target / file)
    licences = ""
    if "procgen:coinrun" in seen:
        licences = ": `genie_mini/chapters/results/clips/coinrun-licences.txt`"
    card = CARD.format(
        name=rounded.name,
        games=", ".join(f"`{data}`" for data in seen),
        command=made["command"],
        commit=made["commit"],
        data="; ".join(map(films_row, seen, reports)),
        steps=", ".join(f"{phase}: {steps}" for phase, steps, _ in logs),
        time=", ".join(f"{phase}: {seconds / 60:.0f} minutes" for phase, _, seconds in logs),
        hardware=made["processor"],
        licences=licences,
        notes=told,
        size=sum((target / file).stat().st_size for file in files) / 1e6,
        scores="\n".join(map(score_table, reports)),
        files="\n".join(f"| `{file}` | `{sha256(target / file)}` |" for file in files),
    )
    write_atomic(target / "MODEL_CARD.md", card.encode())


if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:6], sys.argv[6] if len(sys.argv) == 7 else hardware())
