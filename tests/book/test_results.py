"""Saved results belong to the weights that are here: whoever changes the weights must make the
tables anew.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from genie_mini import Genie
from genie_mini.chapters.tables import read_clips, read_scores, read_trainings, read_watched
from genie_mini.errors import GenieError
from genie_mini.files import PARTS, part_files, sha256, table_weights, weights_hashes
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.studies.latent_action_gifts import SEEDS, STEPS, VARIANTS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "genie_mini" / "chapters" / "results"
NO_TABLES = ("training.json", "config.json", "shared.json")
WORLDS = sorted((RESULTS / "worlds").glob("*.json"))
GIFTS = RESULTS / "latent_actions" / "gifts.json"
TABLES = sorted(
    path
    for path in RESULTS.rglob("*.json")
    if path.name not in NO_TABLES
    and path not in (*WORLDS, GIFTS)
    and path.parent.name != "speed"  # of untrained networks: tests/test_speed.py
    and path.parent.name not in ("trainings", "clips")
)
CLIPS = sorted((RESULTS / "clips").glob("*.json"))
WATCHED = sorted((RESULTS / "trainings").glob("*.json"))
TRAINED = sorted(path.parent for path in RESULTS.glob("*/*/training.json"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_was_made_with_the_weights_it_names(path):
    content = json.loads(path.read_text())
    assert content["rows"] and content["command"] and isinstance(content["seed"], int)
    found = weights_hashes(table_weights(content["command"], ROOT))
    assert {"dynamics.safetensors", "tokenizer.safetensors"} <= set(content["weights"])
    for name, expected in content["weights"].items():
        assert found[name] == expected, (
            f"{path.name} was made with other weights: run its command again"
        )


@pytest.mark.parametrize("folder", TRAINED, ids=lambda folder: folder.name)
def test_a_model_that_looks_back_differently_is_what_its_training_left(folder):
    made = json.loads((folder / "training.json").read_text())
    found = weights_hashes(folder)
    assert {name: found[name] for name in made["weights"]} == made["weights"]
    assert made["minutes"] < 45
    genie, mini = Genie.from_pretrained(folder), Genie.from_pretrained("mini")
    assert genie.config.dynamics.lookback == folder.name and folder.name in LOOKBACKS
    for part in ("tokenizer", "latent_action_model"):  # only the dynamics model went on learning
        ours, theirs = getattr(genie, part).state_dict(), getattr(mini, part).state_dict()
        assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert any(
        not a.equal(b)
        for a, b in zip(genie.dynamics.parameters(), mini.dynamics.parameters(), strict=True)
    )


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.stem)
def test_scores_of_a_genie_that_does_not_ship_say_what_made_them(path, capsys):
    made = json.loads(path.read_text(encoding="utf-8"))
    assert all(re.match(r"(genie-mini|python benchmarks/)", line) for line in made["commands"])
    assert isinstance(made["seed"], int) and 0 < made["minutes"] < 150 and made["processor"]
    assert re.fullmatch("[0-9a-f]{7,40}", made["commit"])
    assert all(re.fullmatch("[0-9a-f]{64}", found) for found in made["weights"].values())
    assert {"dynamics.safetensors", "tokenizer.safetensors"} <= set(made["weights"])
    scores = read_scores(f"worlds/{path.stem}")
    assert "next frame above repeating the last" in scores and "cycle consistency" in scores
    for score in scores.values():
        low, high = score["interval"] or [score["value"]] * 2
        assert low <= score["value"] <= high
    assert made["commands"][-1] in capsys.readouterr().out


def test_the_gifts_of_the_latent_action_model_were_all_measured_with_every_seed(capsys):
    made = json.loads(GIFTS.read_text(encoding="utf-8"))
    assert made["processor"] and re.fullmatch("[0-9a-f]{7,40}", made["commit"])
    assert (made["steps"], tuple(made["seeds"])) == (STEPS, SEEDS) and len(SEEDS) >= 3
    rows = read_trainings("latent_actions/gifts")
    assert made["command"].startswith("python benchmarks/") and made["command"] in (
        capsys.readouterr().out
    )
    assert [(row["model"], row["seed"]) for row in rows] == [
        (name, seed) for name in VARIANTS for seed in SEEDS
    ]
    for row in rows:
        assert row["bits"] < row["most"] <= 3 and 0 <= row["named"] <= 1 <= row["codes"] <= 8
    assert len({(row["most"], row["commonest"]) for row in rows}) == 1, "of the same clips"


@pytest.mark.parametrize("path", WATCHED, ids=lambda path: path.stem)
def test_what_was_kept_of_a_training_belongs_together(path, capsys):
    made = json.loads(path.read_text(encoding="utf-8"))
    assert [re.match(r"(genie-mini train|python benchmarks/)", line) for line in made["commands"]]
    assert isinstance(made["seed"], int) and made["processor"]
    assert re.fullmatch("[0-9a-f]{7,40}", made["commit"])
    if all(stretch["steps"] == stretch["asked"] for stretch in made["stretches"].values()):
        assert {"dynamics.safetensors", "tokenizer.safetensors"} <= set(made["weights"])
    pictures = made["pictures"]
    assert sha256(path.parent / pictures["file"]) == pictures["sha256"]
    assert (path.parent / pictures["file"]).stat().st_size < 300_000
    training = read_watched(f"trainings/{path.stem}")
    assert all(line in capsys.readouterr().out for line in made["commands"][:1])
    assert len(training.moments) == len(training.drawn) >= 5
    assert len({moment["sha256"] for moment in training.moments}) == len(training.moments)
    at = [moment["minutes"] for moment in training.moments]
    assert at == sorted(at) and at[0] == 0 and at[-1] == training.minutes
    assert set(training.moments[-1]["begun"]) == set(PARTS)
    last = training.moments[-1]["taken"]
    assert last == max(part["first"] + part["steps"] for part in training.stretches.values())
    for steps, values in training.curves.values():
        assert len(steps) == len(values) and 0 <= steps[0] <= steps[-1] < last
    for moment, drawn in zip(training.moments, training.drawn, strict=True):
        for row, part in enumerate(("tokenizer", "dynamics")):
            assert (np.ptp(drawn[:, row]) > 0.1) == (part in moment["begun"])
        for score in moment["scores"]:
            low, high = score["interval"]
            assert low <= score["value"] <= high


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_clips_of_a_game_belong_to_their_actions_and_are_few(path, capsys):
    made = json.loads(path.read_text(encoding="utf-8"))
    sheet = path.parent / made["pictures"]["file"]
    assert sha256(sheet) == made["pictures"]["sha256"] and sheet.stat().st_size < 300_000
    assert isinstance(made["seed"], int) and re.fullmatch("[0-9a-f]{7,40}", made["commit"])
    clips = read_clips(f"clips/{path.stem}")
    assert made["command"] in capsys.readouterr().out
    num_clips, num_frames = clips.frames.shape[:2]
    assert clips.actions.shape == (num_clips, num_frames - 1)
    assert 0 <= clips.actions.min() <= clips.actions.max() < len(clips.names)
    # Frames in a row are nearer to each other than to those of another clip.
    within = (clips.frames[:, 1:] - clips.frames[:, :-1]).abs().mean()
    between = (clips.frames[1:] - clips.frames[:-1]).abs().mean()
    assert within < between / 2
    assert (path.parent / f"{path.stem}-licences.txt").is_file()


def test_there_are_results_to_check():
    assert TABLES and TRAINED and WORLDS and WATCHED and CLIPS


@pytest.mark.parametrize(
    "content, problem",
    [
        ('{"with": "mini", "parts": {"tokenizer": "00"}}', "other weights"),
        ('{"with": "maxi", "parts": {"tokenizer": "00"}}', "does not say which"),
        ("[]", "does not say which"),
    ],
)
def test_parts_that_are_shared_are_the_ones_that_were_meant(tmp_path, content, problem):
    (tmp_path / "shared.json").write_text(content)
    with pytest.raises(GenieError, match=problem):
        part_files(tmp_path)
