"""`genie-mini evaluate --data` scores a Genie on anybody's films and leaves a report."""

import json
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from genie_mini import cli
from genie_mini.cli import main
from genie_mini.data import sources
from genie_mini.evaluation import true_actions
from genie_mini.evaluation.action_names import NAMES, read_action_names, save_name_by_hand
from genie_mini.files import weights_hashes
from genie_mini.world import ACTIONS, Platformer, record


@pytest.fixture
def run_folder(weights, tmp_path):
    """The folder of a run: weights and the log of a training."""
    folder = tmp_path / "run"
    shutil.copytree(weights, folder)
    (folder / "tokenizer.csv").write_text("step,loss\n0,1.0\n1,0.5\n")
    return folder


@pytest.fixture
def films(tmp_path):
    clips = (record(12, 20, size=32)[0] * 255).round().astype(np.uint8)
    np.save(tmp_path / "clips.npy", clips)
    return tmp_path / "clips.npy"


def evaluate(run_folder, data, cache, *more):
    words = ["evaluate", "--weights", run_folder, "--data", data, "--cache", cache, *more]
    return main([*map(str, words), "--clips", "64", "--device", "cpu"])


def test_a_report_lies_beside_the_weights(run_folder, films, tmp_path, capsys):
    (run_folder / "report.json").write_text('{"scores": [], "drift": {}}')  # may be replaced
    assert evaluate(run_folder, films, tmp_path / "cache") == 0
    told = capsys.readouterr().out
    report = json.loads((run_folder / "report.json").read_text())
    assert all(score["name"] in told for score in report["scores"])
    assert report["weights"] == weights_hashes(run_folder) and report["latent_to_real"] is None
    assert report["source"]["files"][0][0] == "clips.npy"
    page = (run_folder / "report.html").read_text()
    assert "<title>run on clips.npy</title>" in page and "Training: Tokenizer" in page


def test_true_actions_of_an_environment_are_scored_and_name_the_buttons(
    run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sources, "GYMNASIUM_FRAMES", 400)
    learn = true_actions.train_inverse_dynamics
    monkeypatch.setattr(true_actions, "train_inverse_dynamics", partial(learn, steps=3))
    monkeypatch.setattr(true_actions, "_TRAIN_CLIPS", 64)
    monkeypatch.setattr(true_actions, "_VALIDATION", 64)
    data = "gymnasium:genie_mini/Platformer-v0"
    out = tmp_path / "new" / "world.json"
    save_name_by_hand(run_folder, 2, "duck", 8)
    assert evaluate(run_folder, data, tmp_path / "cache", "--out", out, "--names") == 0
    report = json.loads(out.read_text())
    assert "bits told of a true action" in {score["name"] for score in report["scores"]}
    assert len(report["latent_to_real"]) == 8
    assert out.with_suffix(".html").exists() and not (run_folder / "report.json").exists()
    named = [ACTIONS[real] for real in report["latent_to_real"]]
    named[2] = "duck"
    assert read_action_names(run_folder) == named
    assert f"1 {named[0]}, 2 {named[1]}, 3 duck" in capsys.readouterr().out


def test_labels_without_words_name_the_buttons_by_number(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "GYMNASIUM_FRAMES", 400)
    monkeypatch.delattr(Platformer, "get_action_meanings")
    report = SimpleNamespace(latent_to_real=[5, 0, 1, 2, 3, 4, 6, 7])
    monkeypatch.setattr(cli.evaluate, "evaluate_videos", lambda *_, **__: report)
    for work in ("draw_pictures", "write_report", "format_report"):
        monkeypatch.setattr(cli.evaluate, work, lambda *_: "")
    data = "gymnasium:genie_mini/Platformer-v0"
    assert evaluate(run_folder, data, tmp_path / "cache", "--names") == 0
    before = read_action_names(run_folder)
    assert before[:2] == ["true action 5", "true action 0"]
    report.latent_to_real = None
    assert evaluate(run_folder, data, tmp_path / "cache", "--names") == 2
    assert read_action_names(run_folder) == before


def test_names_that_cannot_be_had_or_kept_are_told_before_the_work(
    run_folder, films, tmp_path, wrong, monkeypatch
):
    monkeypatch.setattr(cli.evaluate, "evaluate_videos", None)
    words = ["evaluate", "--weights", run_folder, "--names"]
    assert "--names is for --data" in wrong(*words)
    words += ["--cache", tmp_path / "cache", "--data", films]
    assert "nobody knows those of" in wrong(*words)
    (run_folder / NAMES).write_text("[]")
    assert f"{NAMES} does not hold lists of names" in wrong(*words)
    words[2] = "mini"
    assert "ships with the package" in wrong(*words)


def test_mistakes_are_told_before_the_work(run_folder, films, tmp_path, wrong):
    words = ["evaluate", "--weights", run_folder]
    assert "--cache is for --data" in wrong(*words, "--cache", tmp_path)
    assert "--fit is for --data" in wrong(*words, "--fit", "pad")
    assert "--policy is for --data" in wrong(*words, "--policy", "random")
    assert "--policy is for games" in wrong(*words, "--policy", "random", "--data", films)
    words += ["--cache", tmp_path / "cache", "--data"]
    assert "does not exist" in wrong(*words, tmp_path / "no")
    assert "no environment Nothing-v9" in wrong(*words, "gymnasium:Nothing-v9")
    assert ".json file" in wrong(*words, films, "--out", tmp_path / "page.html")
    (run_folder / "report.html").write_text("somebody's")
    assert "report.html is there" in wrong(*words, films)
    assert (run_folder / "report.html").read_text() == "somebody's"
    short = tmp_path / "short.npy"
    np.save(short, np.zeros((40, 8, 32, 32, 3), dtype=np.uint8))
    out = tmp_path / "short.json"
    assert "clips of 16 frames are needed" in wrong(*words, short, "--out", out)
    assert not out.exists()
