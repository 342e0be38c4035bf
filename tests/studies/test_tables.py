"""The experiments of `genie-mini memory`, and the tables that they leave."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genie_mini.evaluation.player_detector import find_player
from genie_mini.files import save_table
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.rollout import Rollout
from genie_mini.studies.budget import budget_rows
from genie_mini.studies.drift import drift_rows
from genie_mini.studies.long_games import long_game_rows, steps_rows
from genie_mini.studies.recall import ExactWindow, recall_rows
from genie_mini.studies.tables import EXPERIMENTS, Experiment, format_rows, run_experiment
from genie_mini.world import ACTIONS, Simulation, record
from genie_mini.world.rendering import PLAYER_SCREEN_X

NAMES = np.arange(len(ACTIONS))


@pytest.fixture
def genie(make_genie):
    return make_genie(size=32, patch_size=8, num_blocks=2)


def test_an_exact_window_equals_the_cache_until_frames_are_dropped(genie, make_clips):
    prompt = make_clips(size=32, num_frames=2)
    rolling, exact = Rollout(genie, prompt), ExactWindow(genie, prompt)
    differences = []
    for step in range(8):
        actions = torch.tensor([step % 8, 3])
        logits = []
        exact_past = genie.dynamics.prefill(exact._history[:, -5:], exact._actions[:, -4:])
        for past in (rolling._cache, exact_past):
            hidden = torch.full((2, 16), genie.dynamics.mask_token)
            logits.append(genie.dynamics.predict_logits(hidden, actions, past.preallocate(1)))
        differences.append((logits[0] - logits[1]).abs().max().item())
        rolling.step(actions, temperature=0)
        exact.step(actions, temperature=0)
        exact._history[:, -1] = rolling.tokens  # go on from the same pictures
    # The prompt's two frames and three more fill a window of five; the next ones push frames out
    # that others have seen.
    assert max(differences[:4]) < 1e-4 and min(differences[5:]) > 1e-4


def test_an_exact_window_of_one_prompt_frame_can_be_played(genie, make_clips):
    rollout = ExactWindow(genie, make_clips(size=32, num_frames=1))
    for step in range(7):
        rollout.step(torch.tensor([step, 2]))
    assert rollout._history.shape[1] == 8 and rollout.frames.isfinite().all()


def test_the_table_of_recall_has_a_curve_for_the_model_for_chance_and_for_the_oracle(
    genie, monkeypatch
):
    monkeypatch.setattr("genie_mini.studies.recall.AGES", (1, 3))
    rows = recall_rows(genie, NAMES, cases=8, seed=0)
    found = {(row["model"], row["age"]): row["recall"] for row in rows}
    assert set(found) == {
        (m, a) for m in ("played", "never seen", "oracle", "exact window") for a in (1, 3)
    } - {("never seen", 1)}
    assert found["never seen", 3] == 0.5 and found["oracle", 1] == found["oracle", 3] == 1.0
    assert all(row["cases"] == 8 for row in rows)
    sparse = recall_rows(genie.with_lookback("sparse"), NAMES, cases=8, seed=0)
    assert {row["model"] for row in sparse} == {"played", "never seen", "oracle"}
    alone = recall_rows(genie, NAMES, cases=8, seed=0, played_alone=True)
    assert alone == [row for row in rows if row["model"] == "played"]
    monkeypatch.setattr("genie_mini.studies.recall.FAR_AGES", (4, 200))
    fetched = recall_rows(
        genie.with_lookback("retrieval"), NAMES, cases=2, seed=0, played_alone=True
    )
    assert [row["age"] for row in fetched] == [1, 3, 4], "as far as it reaches"


def test_the_player_is_found_where_he_is():
    simulation = Simulation(range(20))
    for size in (32, 64):
        places = find_player(torch.from_numpy(simulation.frames(size)).float() / 255)
        assert (places[:, 1] == PLAYER_SCREEN_X * size // 64).all()
        assert np.array_equal(places[:, 0].numpy(), simulation.y * size // 64)


def film_of(draw):
    """In place of a `Rollout`: its frames are draw(t, MaskGIT steps), t from 1."""

    class Film:
        def __init__(self, genie, prompt, seed):
            self.t = 0

        def step(self, latent, maskgit_steps=8, temperature=1.0):
            self.t += 1
            return draw(self.t, maskgit_steps)

    return Film


def test_a_model_that_is_the_simulator_does_not_drift(genie, monkeypatch):
    frames = torch.from_numpy(record(2, 5 + 12, size=32, seed=[0, 29], held_out=True)[0])
    film = film_of(lambda t, _: frames[:, t + 4])
    monkeypatch.setattr("genie_mini.studies.drift.Rollout", film)
    rows = drift_rows(genie, NAMES, cases=2, seed=0, num_frames=12)
    assert all(row["psnr"] == pytest.approx(120) and row["player_pixels"] < 1 for row in rows)
    assert all(row["psnr_still"] < 40 for row in rows)
    monkeypatch.undo()
    rows = drift_rows(genie, NAMES, cases=2, seed=0, num_frames=5)
    assert [(row["from"], row["to"]) for row in rows[:3]] == [(1, 1), (2, 2), (3, 5)] and len(
        rows
    ) == 15
    assert all(row["psnr"] < 25 for row in rows), "an untrained Genie does"
    with pytest.raises(ValueError, match="no latent action stands for"):
        drift_rows(genie, np.zeros(8, int), cases=2, seed=0)


def test_real_games_obey_and_a_dream_that_is_one_gets_what_they_get(genie, monkeypatch):
    films = torch.from_numpy(record(6, 21, size=32, seed=[0, 31], held_out=True)[0])
    film = film_of(lambda t, _: films[:, t] * (t < 16))
    monkeypatch.setattr("genie_mini.studies.long_games.Rollout", film)
    rows = long_game_rows(genie, cases=6, seed=0, num_frames=20)
    stretches = [(row["from"], row["to"]) for row in rows[:3]]
    assert stretches == [(1, 16), (17, 20), (1, 20)]
    real, *played = (rows[first : first + 3] for first in range(0, 15, 3))
    assert {row["actions"] for row in real} == {"the real game itself"}
    # at 32 pixels the referee takes a step or two for another
    assert 0.9 < real[-1]["obeyed_low"] < real[-1]["obeyed"] < real[-1]["obeyed_high"] <= 1
    for young, old, whole in played:
        assert young["obeyed"] > 0.9 and young["one_player"] > 0.7
        assert old["obeyed"] == old["one_player"] == old["one_player_high"] == 0
        assert 0.6 < whole["one_player"] < 0.8


def test_steps_are_scored_by_what_comes_of_them(genie, monkeypatch):
    films = torch.from_numpy(record(6, 11, size=32, seed=[0, 31], held_out=True)[0])
    film = film_of(lambda t, steps: films[:, t] * (steps > 1))
    monkeypatch.setattr("genie_mini.studies.long_games.Rollout", film)
    worst, *others = steps_rows(genie, cases=6, seed=0, num_frames=10)
    assert [row["steps"] for row in (worst, *others)] == [1, 2, 4, 8], "it has 16 tokens"
    assert worst["obeyed"] == worst["one_player"] == 0 and worst["psnr_4"] < 30
    assert all(row["obeyed"] > 0.9 and row["psnr_4"] > 100 for row in others)


def test_the_budget_is_counted(genie):
    rows = budget_rows(genie, num_frames=2)
    assert [row["lookback"] for row in rows] == list(LOOKBACKS)
    first = rows[0]
    assert first["window_tokens"] == 6 * 16 and first["bits_per_token"] == 5
    assert (
        first["window_pixel_bytes"] == 6 * 32 * 32 * 3
        and first["window_token_bytes"] == 6 * 16 * 5 / 8
    )
    past = genie.dynamics.prefill(
        torch.zeros(1, 5, 16, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64)
    )
    assert first["read_bytes"] == sum(tensor.nbytes for tensor in [*past.keys, *past.values])
    assert {row["read_bytes"] for row in rows} == {first["read_bytes"]}, "all read as much"
    assert first["cost"] == 1.0 and all(row["frame_milliseconds"] > 0 for row in rows)


# Budget takes its time, and has its test.
@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - {"budget"}))
def test_every_experiment_leaves_a_table(name, genie, monkeypatch, tmp_path):
    monkeypatch.setattr("genie_mini.studies.recall.AGES", (1, 2))
    monkeypatch.setattr("genie_mini.studies.recall.WAYS", (1, 2))
    shorter = {name: {"num_frames": 2} for name in ("drift", "long-games")} | {
        "steps": {"num_frames": 4}
    }
    shorter = {"leaks": {"ages": [2]}, **shorter}.get(name, {})
    short = replace(EXPERIMENTS[name], rows=partial(EXPERIMENTS[name].rows, **shorter))
    monkeypatch.setitem(EXPERIMENTS, name, short)
    rows = run_experiment(genie, name, list(ACTIONS), 12, seed=0)
    genie.save(tmp_path / "weights")
    save_table(tmp_path / "table.json", rows, f"genie-mini memory {name}", 0, tmp_path / "weights")
    content = json.loads((tmp_path / "table.json").read_text())
    assert (
        content["command"] == f"genie-mini memory {name}"
        and content["seed"] == 0
        and content["rows"] == rows
    )
    assert len(content["weights"]) == 4
    for file, digest in content["weights"].items():
        assert digest == hashlib.sha256((tmp_path / "weights" / file).read_bytes()).hexdigest()
    table = format_rows(rows).splitlines()
    assert len(table) == len(rows) + 1 and len(set(map(len, table))) == 1


def test_latent_actions_are_named_with_labels_where_no_names_are_known(genie, monkeypatch):
    asked = []
    monkeypatch.setitem(
        EXPERIMENTS,
        "recall",
        Experiment("", lambda genie, names, cases, seed: asked.append((names, cases)) or [], 2),
    )
    run_experiment(genie, "recall", None, None, 0)
    names, cases = asked[0]
    assert names.shape == (8,) and set(names) <= set(range(len(ACTIONS))) and cases == 2
    with pytest.raises(ValueError, match="no action swim"):
        run_experiment(SimpleNamespace(), "recall", ["swim"], None, 0)
