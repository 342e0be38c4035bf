"""Saved results belong to the weights that are here: whoever changes the weights must make the
tables anew.
"""

import json
import re
from pathlib import Path

import pytest

from genie_mini import Genie
from genie_mini.chapters.tables import read_scores, read_trainings
from genie_mini.errors import GenieError
from genie_mini.files import part_files, table_weights, weights_hashes
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
)
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
    assert isinstance(made["seed"], int) and 0 < made["minutes"] < 45 and made["processor"]
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


def test_there_are_results_to_check():
    assert TABLES and TRAINED and WORLDS


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
