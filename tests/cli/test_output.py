"""Results are kept before they are shown, in places that were tried before the work, whatever
becomes of the terminal.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from genie_mini import cli
from genie_mini.cli import main
from genie_mini.errors import GenieError
from genie_mini.evaluation.metrics import Score

ROWS = [{"age": 1, "exact": 0.5}]
SCORES = (
    [Score("tokenizer PSNR", 33.25, "dB", 10.0, None, 32.0)],
    np.array([1, 1, 2, 2, 3, 3, 0, 0]),
)


@pytest.fixture
def quick(monkeypatch):
    """Results without the minutes of work."""
    monkeypatch.setattr(cli.memory, "run_experiment", lambda *_: ROWS)
    monkeypatch.setattr(cli.evaluate, "evaluate", lambda *_: SCORES)


@pytest.fixture
def no_work(monkeypatch):
    """Whatever takes minutes must not begin."""

    def begun(*_, **__):
        pytest.fail("the work has begun")

    for module, name in (
        (cli.memory, "run_experiment"),
        (cli.evaluate, "evaluate"),
        (cli.export, "export"),
    ):
        monkeypatch.setattr(module, name, begun)
    monkeypatch.setattr("genie_mini.data.platformer_files.record", begun)


def reading(command, weights, out):
    words = {"memory": ["memory", "leaks"], "evaluate": ["evaluate"], "export": ["export"]}
    return [*words[command], "--weights", str(weights), "--out", str(out)]


# the place


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["memory", "evaluate"])
@pytest.mark.parametrize(
    "name, told",
    [
        (".", "is no file"),
        ("mine.txt", "holds something else"),
        ("mine.txt/scores.json", "is no folder to write into"),
        ("config.json", "holds something else"),
        ("dynamics.safetensors", "holds something else"),
        pytest.param(
            "/dev/null",
            "is no file",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has none"),
        ),
    ],
)
def test_results_go_nowhere_where_something_would_be_lost(
    tmp_path, weights, wrong, command, name, told
):
    (tmp_path / "mine.txt").write_text("a year of work")
    (tmp_path / "config.json").write_bytes((weights / "config.json").read_bytes())
    (tmp_path / "dynamics.safetensors").write_bytes(b"\x08")
    assert told in wrong(*reading(command, weights, tmp_path / name))
    assert (tmp_path / "mine.txt").read_text() == "a year of work"
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine.txt",
        "config.json",
        "dynamics.safetensors",
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", ["memory", "evaluate"])
def test_results_replace_those_of_the_same_command(tmp_path, weights, command):
    out = tmp_path / "new" / "result.json"
    for _ in range(2):
        assert main(reading(command, weights, out)) == 0
    first = out.read_bytes()
    (other,) = {"memory", "evaluate"} - {command}
    assert main(reading(other, weights, out)) == 2 and out.read_bytes() == first


@pytest.mark.usefixtures("no_work")
def test_an_export_replaces_no_world_of_somebody(tmp_path, weights, wrong):
    (tmp_path / "world.json").write_text('{"levels": []}')
    assert "world.json" in wrong(*reading("export", weights, tmp_path))
    assert (tmp_path / "world.json").read_text() == '{"levels": []}'


def test_an_export_that_is_stopped_is_none(tmp_path, weights, monkeypatch):
    """Its files would be of two Genies, described by the world of one."""

    def stop(*_):
        raise KeyboardInterrupt

    (tmp_path / "world.json").write_text('{"imageSize": [32, 32], "numCodes": 32}')
    monkeypatch.setattr("genie_mini.export.write._as_onnx", stop)
    assert main(reading("export", weights, tmp_path)) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_work")
def test_options_that_an_experiment_does_not_take_are_refused(tmp_path, weights, wrong):
    words = ["memory", "budget", "--weights", weights, "--out", tmp_path / "table.json"]
    assert "budget takes no --cases" in wrong(*words, "--cases", "5")
    assert "budget takes no --seed" in wrong(*words, "--seed", "5")


def test_too_few_clips_for_an_experiment_are_told(tmp_path, weights, wrong):
    words = ["memory", "ablations", "--weights", weights, "--cases", "2", "--seed", "0"]
    line = wrong(*words, "--out", tmp_path / "table.json")
    assert "in none of 2 clips" in line and "ask for more clips" in line


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", ["memory", "evaluate"])
def test_results_that_cannot_be_kept_are_shown(tmp_path, weights, monkeypatch, capsys, command):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(os, "replace", full)
    assert main(reading(command, weights, tmp_path / "result.json")) == 2
    said = capsys.readouterr()
    assert ("33.25" if command == "evaluate" else "exact") in said.out
    assert said.err == f"genie-mini: {tmp_path}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


# the terminal


@pytest.fixture
def print_to(monkeypatch):
    """Let the command print into this file; returns what it is opened as."""
    opened = []

    def open_as_stdout(number):
        opened.append(os.fdopen(number, "w"))
        monkeypatch.setattr(sys, "stdout", opened[-1])

    yield open_as_stdout
    for file in opened:
        file.close()  # fails if what was printed still waits to be written


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", ["memory", "evaluate"])
def test_results_lie_there_though_nobody_reads_the_output(
    tmp_path, weights, print_to, capsys, command
):
    reader, writer = os.pipe()
    os.close(reader)
    print_to(writer)
    assert main(reading(command, weights, tmp_path / "result.json")) == 141
    assert json.loads((tmp_path / "result.json").read_text())
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", ["memory", "evaluate"])
def test_results_lie_there_though_the_output_goes_to_a_full_device(
    tmp_path, weights, print_to, capsys, command
):
    print_to(os.open("/dev/full", os.O_WRONLY))
    assert main(reading(command, weights, tmp_path / "result.json")) == 2
    assert json.loads((tmp_path / "result.json").read_text())
    assert capsys.readouterr().err == (
        "genie-mini: the output could not be written: No space left on device\n"
    )


@pytest.mark.usefixtures("quick")
def test_closed_streams_and_names_of_any_bytes_stop_nothing(tmp_path, weights, monkeypatch):
    out = tmp_path / "\udcff\u00e9.json"
    for stream in (None, open(os.devnull, "w", encoding="ascii")):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        assert main(reading("memory", weights, out)) == 0
        assert out.exists()


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 7.1 TiB"), torch.OutOfMemoryError("CUDA out of it")]
)
def test_too_little_memory_is_told_in_one_line(weights, wrong, monkeypatch, tmp_path, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(cli.memory, "run_experiment", fail)
    assert "the memory does not suffice" in wrong(*reading("memory", weights, tmp_path / "t.json"))


def test_a_mistake_of_ours_is_not_told_as_the_users(weights, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("ours")

    monkeypatch.setattr(cli.memory, "run_experiment", fail)
    with pytest.raises(ValueError, match="ours") as caught:
        main(reading("memory", weights, tmp_path / "table.json"))
    assert not isinstance(caught.value, GenieError)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_the_process_ends_quietly_when_its_reader_has_gone(tmp_path, weights):
    words = [
        sys.executable,
        "-m",
        "genie_mini.cli",
        *["memory", "attention", "--weights", str(weights), "--out", str(tmp_path / "t.json")],
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*words, "--cases", "2"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    assert len(json.loads((tmp_path / "t.json").read_text())["rows"]) == 2
