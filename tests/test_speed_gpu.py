"""The benchmark of a GPU survives what may go wrong on a machine that is lent once."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_genie

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu  # noqa: E402
import machine  # noqa: E402
import speed  # noqa: E402
import speed_page  # noqa: E402

STEP = gpu.Step("dynamics", "mini", 2)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tiny sizes, and matrices of a moment."""
    for name in speed.SETTINGS:
        monkeypatch.setitem(speed.SETTINGS, name, lambda: tiny_genie().config)
    monkeypatch.setattr(machine, "MATRIX", 100)


def measured():
    """A table as `gpu.main` makes it, before its first row."""
    rates = {"float32": 50.0, "bfloat16": 700.0}
    return {
        **speed.about("python benchmarks/gpu.py gpu-a.json"),
        **{"gpu": "a GPU", "matrix TFLOP/s": rates, "published TFLOP/s": 989.0},
        **{"training": [], "schedule": [], "play": [], "left out": []},
    }


def half_a_second(step, device, precision):
    """What `gpu.timed_step` finds of a GPU that holds nine clips and gains by compiling."""
    if step.clips > 9:
        raise torch.OutOfMemoryError("too many clips")
    row = gpu.asdict(step) | {"precision": "bfloat16", "GB": 60.0}
    if step.compiled:
        return row | {"first step, seconds": 8.0, "seconds": 0.25}
    return row | {"TFLOP a clip": 10.0, "seconds": 0.5}


@pytest.fixture
def filled(monkeypatch):
    """A table of one step, before and after compiling, as on a GPU that holds nine clips."""
    monkeypatch.setattr(gpu, "timed_step", half_a_second)
    content = measured()
    for compiled in (False, True):
        step = replace(STEP, setting="coinrun", clips=36, compiled=compiled)
        content["training"].append(gpu.train_row(step, content, speed.CPU))
    return content


@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_is_timed_and_counted_as_it_is_written(recompute):
    row = gpu.timed_step(replace(STEP, recompute=recompute), speed.CPU, torch.float32)
    assert row["seconds"] > 0
    assert ("TFLOP a clip" in row) != recompute


def test_clips_are_halved_until_they_fit_and_shares_are_of_these(filled):
    eager, compiled = filled["training"]
    assert [(row["clips"], row["clips asked"]) for row in filled["training"]] == [(9, 36)] * 2
    assert eager["TFLOP"] == compiled["TFLOP"] == 90.0
    assert eager["share of the matrix rate"] == 90 / 0.5 / 700
    assert compiled["share of the published rate"] == 90 / 0.25 / 989
    assert compiled["gain"] == 2.0 and "gain" not in eager


def test_a_step_that_does_not_fit_at_all_says_so():
    step = replace(STEP, clips=5)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(gpu, "timed_step", lambda *_: half_a_second(replace(STEP, clips=10), *_[1:]))
        gpu.in_memory(step, speed.CPU, torch.float32)


def test_no_failure_ends_the_run_and_every_row_is_saved(monkeypatch, capsys):
    def failing(*arguments):
        raise AssertionError("a kernel\nwas not found")

    monkeypatch.setattr(gpu, "timed_step", failing)
    monkeypatch.setattr(gpu, "time_steps", lambda *arguments: [1.0, 2.0, 3.0])
    monkeypatch.setattr(speed, "seconds", lambda *arguments, device=None: 0.5)
    content, saved = measured(), []
    jobs = gpu.jobs(content, speed.CPU, True)
    gpu.measure(content, jobs, time.monotonic() + 60, lambda: saved.append(1))
    rows = content["training"] + content["schedule"] + content["play"]
    assert len(saved) == len(rows) + 1 == len(capsys.readouterr().out.splitlines()) + 1
    assert all(row["failed"].startswith("AssertionError: a") for row in content["training"])
    steps = content["schedule"][0]["steps"]
    assert content["schedule"][0]["minutes"] == [
        count * (network + 1) / 60 for network, count in enumerate(steps)
    ]
    assert [row["worlds"] for row in content["play"]] == [1, 64, 1]
    text = speed_page.gpu_section(content)
    assert "- dynamics, `pocket`, as written: `AssertionError: a kernel`\n" in text
    assert "was not found" not in text


def test_no_row_is_begun_when_the_time_is_over():
    content = measured()
    jobs = gpu.jobs(content, speed.CPU, False)
    gpu.measure(content, jobs, time.monotonic() - 1, lambda: None)
    first = content["left out"][0]
    assert (first["network"], first["setting"], first["frames"]) == ("dynamics", "mini", 64)
    assert not content["training"]
    assert "- play, `coinrun`: no time was left\n" in speed_page.gpu_section(content)


def test_rows_are_measured_that_were_asked_for_in_their_order():
    jobs = gpu.chosen(gpu.jobs(measured(), speed.CPU, False), [9, 5, 7])
    whole, tokenizer, actions = (what for _, what, _ in jobs)
    assert whole == {"preset": "mini"}
    assert (tokenizer["network"], tokenizer["setting"]) == ("tokenizer", "coinrun")
    assert (actions["network"], actions["compiled"]) == ("latent_action_model", False)


def test_the_page_holds_every_number_of_a_gpu_after_the_processors(filled):
    filled["schedule"].append(
        {"preset": "mini", "steps": [3, 4, 5], "seconds a step": [1, 2, 3], "minutes": [1.5, 2, 3]}
    )
    play = {"setting": "mini", "MaskGIT steps": 8, "worlds": 64, "seconds": 0.32}
    filled["play"].append(play | {"tokens a frame": 64, "frames a second": 200.0})
    text = speed_page.page([filled])
    assert "### a GPU" in text and filled["command"] in text and filled["commit"] in text
    assert "50 of float32, 700 of bfloat16 (989 of bfloat16 are published)" in text
    assert "| dynamics, `coinrun` | 9 of 36 | 16 | compiled | 0.25 | 36 | 90 |" in text
    assert "| 90 | 0.514 (0.364) | 60 | 2 | 8 |" in text
    assert "| `mini` | 3 steps of 1 s | 4 steps of 2 s | 5 steps of 3 s | 6.5 |" in text
    assert "| `mini` | 64 | 0.005 | 200.0 |" in text
