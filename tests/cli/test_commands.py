"""`genie-mini train | play | evaluate | memory | export | record` do what their help says, and
complain in one line.
"""

import argparse
import http.client
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_genie

from genie_mini import cli
from genie_mini.cli import build_parser, main
from genie_mini.cli.options import chosen_fit
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import save_name_by_hand
from genie_mini.evaluation.metrics import Score
from genie_mini.files import WEIGHTS
from genie_mini.genie import Genie
from genie_mini.play.images import data_uri, to_uint8
from genie_mini.play.prompts import level_picture
from genie_mini.play.widget import level_prompts
from genie_mini.training.config import LOOKBACK_TRAINING, TRAINING_PRESETS, training_config
from genie_mini.training.trainer import Interrupted
from genie_mini.world import ACTIONS, Truth


@pytest.mark.parametrize("command", ["train", "play", "evaluate", "memory", "export", "record"])
def test_help_of_every_command_has_a_text_and_examples_that_parse(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    examples = text.split("example:\n")[1].strip().splitlines()
    for example in examples:
        build_parser().parse_args(example.split()[1:])
    assert max(map(len, text.splitlines())) <= 85


def test_users_mistakes_are_told_in_one_line(tmp_path, weights, wrong):
    out = tmp_path / "out"
    assert "does not exist" in wrong("train", "--data", tmp_path / "no", "--out", out)
    assert "holds no recordings" in wrong("train", "--data", weights, "--out", out)
    assert "config.json is missing" in wrong(
        "evaluate", "--weights", tmp_path, "--out", tmp_path / "scores.json"
    )
    tiny_genie().save(tmp_path / "deep")
    (tmp_path / "deep" / "scores.json").write_text(100_000 * "[")
    assert "has no list of names" in wrong("play", "--weights", tmp_path / "deep", "--no-browser")


def test_what_play_cannot_begin_with_is_told_before_graphs_are_made(weights, wrong, monkeypatch):
    monkeypatch.setattr("genie_mini.cli.play.choose_engine", lambda *_: pytest.fail("too late"))
    words = ["play", "--weights", weights, "--no-browser"]
    assert "is not a picture" in wrong(*words, "--prompt", weights / "config.json")
    assert "port 99999" in wrong(*words, "--port", "99999")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["evaluate", "--clips", "3"],
        ["evaluate", "--clips", "1" + 30 * "0"],
        ["memory", "leaks", "--cases", "1"],
        ["memory", "leaks", "--seed", "-1"],
        ["memory", "leaks", "--seed", str(2**63)],
        ["play", "--level", "-1"],
        ["play", "--level", str(2**63)],
        ["play", "--level", "1", "--prompt", "x.png"],
        ["play", "--port", "-1"],
        ["play", "--engine", "tensorflow"],
        ["record", "--out", "x", "--clips", "0"],
        ["record", "--out", "x", "--clips", "1" + 30 * "0"],
        ["record", "--out", "x", "--clips", 5000 * "9"],
        ["record", "--out", "x", "--frames", "1"],
        ["record", "--out", "x", "--frames", "1" + 30 * "0"],
        ["record", "--out", "x", "--seed", str(2**63)],
        ["record", "--out", "x", "--size", "16"],
        ["train", "--out", "x", "--steps", "0"],
        ["train", "--out", "x", "--steps", "1" + 30 * "0"],
        ["train", "--out", "x", "--steps", "2.5"],
        ["train", "--out", "x", "--minutes", "0"],
        ["train", "--out", "x", "--minutes", "nan"],
        ["train", "--out", "x", "--minutes", "1e9"],
        ["train", "--out", "x", "--minutes", "an hour"],
        ["train", "--out", "x", "--seed", "-1"],
        ["train", "--out", "x", "--seed", str(2**63)],
        ["train", "--out", "x", "--preset", "paper"],
        ["train", "--out", "x", "--lookback", "all"],
        ["train", "--out", "x", "--tokenizer", "words"],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_impossible_numbers_and_missing_words_are_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


# training


def test_steps_stretch_the_whole_schedule():
    config = training_config("pocket", 90, seed=3, compile=False)
    assert (config.tokenizer_steps, config.latent_action_steps, config.dynamics_steps) == (
        90,
        90,
        90,
    )
    preset = TRAINING_PRESETS["pocket"]
    assert config.latent_action_pretraining_steps / 90 == pytest.approx(
        preset.latent_action_pretraining_steps / preset.latent_action_steps, abs=0.01
    )
    assert config.seed == 3
    whole = training_config("pocket", None, seed=0, compile=True)
    assert whole == replace(preset, compile=True)


def test_the_precision_is_the_presets_own_unless_one_is_named():
    assert training_config("mini", None, seed=0, compile=False).precision == "auto"
    assert training_config("pocket", None, seed=0, compile=False).precision == "fp32"
    assert (
        training_config("mini", None, seed=0, compile=False, precision="fp32").precision == "fp32"
    )


def test_a_preset_without_a_schedule_says_so():
    with pytest.raises(ValueError, match="paper has no training schedule"):
        training_config("paper", 10, seed=0, compile=False)


def test_train_writes_a_genie_that_loads(tmp_path, small_training, capsys):
    assert main(["record", "--out", str(tmp_path / "clips"), "--clips", "3", "--size", "32"]) == 0
    out = tmp_path / "out"
    assert (
        main(["train", "--data", str(tmp_path / "clips"), "--steps", "2", "--out", str(out)]) == 0
    )
    Genie.from_pretrained(out)
    assert (out / "tokenizer.csv").read_text().count("\n") == 3  # a heading and two steps
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize("lookback", ["recent", "sparse", "retrieval"])
def test_another_lookback_trains_the_dynamics_model_of_a_trained_genie_alone(
    tmp_path, weights, lookback, monkeypatch
):
    monkeypatch.setattr(
        cli.train,
        "LOOKBACK_TRAINING",
        replace(LOOKBACK_TRAINING, num_frames=20, precision="fp32"),
    )
    words = [
        "train",
        "--lookback",
        lookback,
        "--from",
        str(weights),
        "--steps",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert main(words) == 0
    before, after = Genie.from_pretrained(weights), Genie.from_pretrained(tmp_path)
    assert after.config.dynamics.lookback == lookback
    same = {
        name: torch.equal(tensor, after.state_dict()[name])
        for name, tensor in before.state_dict().items()
    }
    assert all(same[name] for name in same if not name.startswith("dynamics"))
    assert not all(same.values())
    log = (tmp_path / "world.csv").read_text().splitlines()
    assert len(log) == 3 and log[1].split(",")[-2], "the loss of the dynamics model"


def test_memory_saves_a_table_beside_what_made_it(tmp_path, weights, capsys):
    out = tmp_path / "tables" / "leaks.json"
    words = [
        "memory",
        "attention",
        "--weights",
        str(weights),
        "--cases",
        "2",
        "--seed",
        "3",
        "--out",
        str(out),
    ]
    assert main(words) == 0
    content = json.loads(out.read_text())
    assert (
        content["command"] == f"genie-mini memory attention --weights {weights} --seed 3 --cases 2"
    )
    assert (
        content["seed"] == 3
        and "dynamics.safetensors" in content["weights"]
        and len(content["rows"]) == 2
    )
    assert str(out) in capsys.readouterr().out


def test_memory_may_look_back_in_another_way_than_the_weights(tmp_path, weights, monkeypatch):
    seen = []

    def run(genie, *_):
        seen.append(genie.config.dynamics.lookback)
        return [{"shares": 1}]

    monkeypatch.setattr(cli.memory, "run_experiment", run)
    words = ["memory", "recall-played", "--weights", str(weights), "--out"]
    for number, more in enumerate(([], ["--lookback", "retrieval"])):
        assert main([*words, str(tmp_path / f"{number}.json"), *more]) == 0
    assert seen == ["recent", "retrieval"]
    told = json.loads((tmp_path / "1.json").read_text())["command"]
    assert (
        told == f"genie-mini memory recall-played --weights {weights} --seed 0 --lookback retrieval"
    )


def test_export_writes_files_and_says_how_exact_they_are(tmp_path, weights, capsys):
    assert main(["export", "--weights", str(weights), "--out", str(tmp_path / "onnx")]) == 0
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["fp32", "fp16", "int8"]
    assert (tmp_path / "onnx" / "step.int8.onnx").exists() and (
        tmp_path / "onnx" / "world.json"
    ).exists()


def test_export_writes_a_page_with_all_that_it_is_given(tmp_path, weights, monkeypatch, capsys):
    asked = []

    def share(genie, path, prompts, **options):
        asked.append((len(prompts), options))
        path.write_bytes(bytes(1_234_567))
        return {"int8": 0.25}

    monkeypatch.setattr(cli.export, "share", share)
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    words = ["export", "--weights", str(weights), "--page", str(tmp_path / "world.html")]
    assert main(words) == 0
    photo = ["--prompt", str(tmp_path / "photo.png")]
    more = [*photo, *photo, "--title", "Mine", "--onnxruntime", "ort", "--variant", "fp16"]
    assert main([*words, *more]) == 0
    usual = {"action_names": None, "model_card": None}
    given = {"title": "Mine", "onnxruntime": Path("ort"), "variant": "fp16"}
    levels = len(level_prompts((32, 32)))
    assert asked == [(levels, usual), (2 + levels, {**usual, **given})]
    assert "world.html: 1.2 MB" in capsys.readouterr().out


def test_export_writes_files_or_a_page(tmp_path, weights, wrong):
    words = ["export", "--weights", str(weights), "--out", str(tmp_path / "onnx")]
    assert "--title is an option of a page" in wrong(*words, "--title", "Mine")
    assert not list(tmp_path.iterdir())
    for words in (["export"], ["export", "--out", "x", "--page", "y.html"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2


def test_ctrl_c_in_training_says_how_to_go_on(tmp_path, small_training, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise Interrupted("run the same command again to go on")

    monkeypatch.setattr(cli.train, "train", interrupted)
    assert main(["train", "--tokenizer", "learnt", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "genie-mini: run the same command again to go on\n"


# playing


def test_play_serves_the_page_until_it_is_stopped(weights, monkeypatch, capsys):
    opened, pages, real = [], [], cli.play.PlayServer.serve_forever

    def serve(server):
        thread = threading.Thread(target=real, args=(server, 0.01), daemon=True)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", "/")
        pages.append(connection.getresponse().read().decode())
        connection.close()
        server.shutdown()
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.play.PlayServer, "serve_forever", serve)
    monkeypatch.setattr(cli.play.webbrowser, "open", opened.append)
    words = ["play", "--weights", str(weights), "--engine", "torch"]
    assert main([*words, "--level", "7"]) == 0
    first = data_uri(to_uint8(level_picture(7, (32, 32))))
    options = json.loads(
        pages[0].split('<script type="application/json">')[1].split("</script>")[0]
    )
    assert options["prompts"][0]["image"] == first
    assert opened[0].startswith("http://127.0.0.1:") and opened[0] in capsys.readouterr().out
    assert main([*words, "--no-browser"]) == 0
    assert len(opened) == 1 and first not in pages[1]


@pytest.mark.parametrize("words, engine", [([], "auto"), (["--engine", "onnxruntime"], None)])
def test_the_engine_that_is_asked_for_draws_the_frames(weights, words, engine, monkeypatch):
    asked, given = [], []
    monkeypatch.setattr(cli.play, "choose_engine", lambda *ours: asked.append(ours) or "a player")

    def begin(server, player):
        given.append(player)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.play.PlayServer, "play_with", begin)
    assert main(["play", "--weights", str(weights), *words]) == 130
    ((genie, name),) = asked
    assert isinstance(genie, Genie) and name == (engine or words[-1]) and given == ["a player"]


@pytest.fixture
def played(monkeypatch):
    """Begin to play, stop at once, and return what the page was told; try to call a button so."""

    def play(weights, name):
        found = []

        def serve(server):
            try:
                server.answer("/names", {"action": 0, "name": name}, b"")
            except GenieError as error:
                found.append(str(error))
            found.append(server.options)
            raise KeyboardInterrupt

        monkeypatch.setattr(cli.play.PlayServer, "serve_forever", serve)
        words = ["play", "--weights", str(weights), "--no-browser", "--engine", "torch"]
        assert main(words) == 0
        return found

    return play


def test_own_weights_are_named_in_play_and_keep_the_names_in_every_other_place(
    tmp_path, weights, played, monkeypatch
):
    own = tmp_path / "own"
    shutil.copytree(weights, own)
    (options,) = played(own, "duck")
    assert options["naming"]["server"] == "/names"
    named = ["duck", *[""] * 7]
    assert options["world"]["actionNames"] == named
    (options,) = played(own, "dive")
    exported = []

    def write(genie, path, *prompts, action_names, **options):
        exported.append(action_names)
        path.touch()
        return {}

    monkeypatch.setattr(cli.export, "export", write)
    monkeypatch.setattr(cli.export, "share", write)
    assert main(["export", "--weights", str(own), "--out", str(tmp_path / "onnx")]) == 0
    assert main(["export", "--weights", str(own), "--page", str(tmp_path / "own.html")]) == 0
    named[0] = "dive"
    assert exported == [named, named]


@pytest.mark.parametrize("way", ["mini", WEIGHTS / "mini", WEIGHTS / ".." / "weights" / "mini"])
def test_weights_that_ship_keep_their_names(way, played):
    files = {path: path.read_bytes() for path in (WEIGHTS / "mini").iterdir()}
    problem, options = played(way, "duck")
    assert "the weights ship with the package" in problem and "naming" not in options
    assert options["world"]["actionNames"][0] in ACTIONS
    assert {path: path.read_bytes() for path in (WEIGHTS / "mini").iterdir()} == files


def test_memory_is_measured_by_labels_whatever_somebody_calls_the_buttons(
    tmp_path, weights, monkeypatch
):
    asked = []

    def run(genie, name, names, cases, seed):
        asked.append(names)
        return [{"score": 1.0}]

    monkeypatch.setattr(cli.memory, "run_experiment", run)
    own = tmp_path / "own"
    shutil.copytree(weights, own)
    save_name_by_hand(own, 0, "duck", 8)
    words = ["memory", "recall", "--weights", str(own), "--out", str(tmp_path / "recall.json")]
    assert main(words) == 0
    (own / "scores.json").write_text(json.dumps({"latent_to_real": list(ACTIONS)}))
    assert main(words) == 0
    assert asked == [None, list(ACTIONS)]


# scores


def test_evaluate_prints_and_saves_the_scores(weights, tmp_path, monkeypatch, capsys):
    asked = []

    def scores(genie, num_clips):
        asked.append(num_clips)
        return [Score("tokenizer PSNR", 33.25, "dB", 10.0, None, 32.0)], np.array(
            [1, 1, 2, 2, 3, 3, 0, 0]
        )

    monkeypatch.setattr(cli.evaluate, "evaluate", scores)
    out = tmp_path / "new" / "scores.json"
    assert main(["evaluate", "--weights", str(weights), "--clips", "96", "--out", str(out)]) == 0
    assert asked == [96] and "33.25" in capsys.readouterr().out
    assert json.loads(out.read_text())["latent_to_real"][:3] == ["left", "left", "right"]


# recording


def test_record_writes_what_training_reads_and_hides_the_truth(tmp_path):
    words = [
        "record",
        "--out",
        str(tmp_path),
        "--clips",
        "130",
        "--frames",
        "5",
        "--size",
        "32",
        "--gif",
    ]
    assert main(words) == 0
    videos = VideoFolder(tmp_path, 32)
    assert [recording.shape for recording in videos.recordings] == [(5, 32, 32, 3)] * 130
    clips = np.load(tmp_path / "clips.npy", allow_pickle=False)
    assert clips.dtype == np.uint8 and len({clip.tobytes() for clip in clips}) == 130
    with np.load(tmp_path / "truth" / "truth.npz", allow_pickle=False) as truth:
        assert set(truth) == set(Truth.__dataclass_fields__)
        assert truth["actions"].shape == (130, 4) and truth["positions"].shape == (130, 5, 2)
    with Image.open(tmp_path / "preview" / "clips.gif") as preview:
        assert preview.size == (3 * 64, 3 * 64)
    assert {path.name for path in tmp_path.iterdir()} == {"clips.npy", "truth", "preview"}


def test_recordings_follow_the_seed(tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main(
            [
                "record",
                "--out",
                str(tmp_path / name),
                "--clips",
                "2",
                "--size",
                "32",
                "--seed",
                seed,
            ]
        )
    first, same, other = (np.load(tmp_path / name / "clips.npy") for name in "abc")
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_recording_that_is_stopped_leaves_no_half_file(tmp_path, monkeypatch, capsys):
    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("genie_mini.data.platformer_files.record", stop)
    assert main(["record", "--out", str(tmp_path), "--clips", "2"]) == 130
    assert "stopped" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "named, asked, fit",
    [
        ("gymnasium:ALE/Breakout-v5", None, "stretch"),
        ("gymnasium:ALE/Breakout-v5", "crop", "crop"),
        ("films", None, "crop"),
        (Path("photo.jpg"), None, "crop"),
        (None, None, "crop"),
    ],
)
def test_pictures_of_another_shape_are_fitted_as_asked_or_as_is_usual(named, asked, fit):
    assert chosen_fit(argparse.Namespace(fit=asked), named) == fit
