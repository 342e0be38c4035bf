"""The benchmark of speed measures what it says, and the page holds what was measured."""

import json
import sys
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice, move
from tiny import tiny_genie

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import machine  # noqa: E402
import speed  # noqa: E402
import speed_page  # noqa: E402

TABLES = sorted(speed_page.RESULTS.glob("*.json"))


def half_a_second(function, repeats=1, device=speed.CPU):
    function()
    return 0.5


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tiny sizes, one time of each, and matrices of a moment."""
    for name in speed.SETTINGS:
        monkeypatch.setitem(speed.SETTINGS, name, lambda: tiny_genie().config)
    for module in (speed, machine):
        monkeypatch.setattr(module, "seconds", half_a_second)
    monkeypatch.setattr(machine, "MATRIX", 100)


@pytest.mark.parametrize("part", ["tokenizer", "latent_action_model", "dynamics"])
def test_a_step_trains_that_network_and_no_other(part):
    genie = speed.new_genie("mini")
    before = {name: tensor.clone() for name, tensor in genie.named_parameters()}
    speed.training_step(genie, part, 1, torch.float32)()
    changed = {
        name.split(".")[0]
        for name, tensor in genie.named_parameters()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {part}


@pytest.mark.parametrize("part", ["tokenizer", "latent_action_model", "dynamics"])
def test_a_step_is_taken_where_the_genie_is(part):
    genie = speed.new_genie("mini")
    with FakeDevice():
        move(genie)
        speed.training_step(genie, part, 1, torch.float32, num_frames=20)()  # longer than a clip


def test_the_rate_is_two_operations_a_multiplication():
    assert speed.matrix_rate() == 2 * 100**3 / 0.5


def test_what_a_step_computes_grows_with_its_clips(monkeypatch):
    monkeypatch.setattr(speed, "memory_of_a_step", lambda *arguments: 3_000_000)
    one, two = (speed.train_row("dynamics", "mini", torch.float32, batch) for batch in (1, 2))
    assert 1.8 < two["GFLOP"] / one["GFLOP"] < 2.2
    share = one["GFLOP"] * 1e9 / one["seconds"] / speed.matrix_rate()
    assert one["share of the matrix rate"] == pytest.approx(share)
    assert one["MB"] == 3.0


def test_less_memory_computes_one_clip_at_a_time_and_counts_no_work_twice(monkeypatch):
    monkeypatch.setattr(speed, "memory_of_a_step", lambda *arguments: arguments[-1] * 1e6)
    assert speed.new_genie("mini", less_memory=True).dynamics.num_parts == speed.BATCH
    plain, less = (
        speed.train_row("dynamics", "mini", torch.float32, 2, less_memory=less)
        for less in (False, True)
    )
    assert plain["GFLOP"] == less["GFLOP"]
    assert (plain["MB"], less["MB"], less["less memory"]) == (0, 1, True)


def test_what_runs_without_gradients_is_counted_too(make_genie):
    plain, surprised = (
        speed.operations(speed.training_step(genie, "latent_action_model", 1, torch.float32))
        for genie in (make_genie(size=32, surprise=seen) for seen in (False, True))
    )
    # to foresee the frames is a pass of the decoder more
    assert surprised > 1.1 * plain > 0


def test_the_memory_of_a_step_is_seen_in_a_process_of_its_own():
    memory = speed.memory_of_a_step("dynamics", "mini", 1, torch.float32)  # of the real size
    assert 10e6 < memory < 1e9


@pytest.mark.parametrize("worlds", [1, 3])
def test_frames_a_second_are_of_all_worlds(worlds):
    row = speed.play_row(tiny_genie(), "mini", 2, worlds)
    assert row["frames a second"] == worlds / 0.5
    assert (row["tokens a frame"], row["MaskGIT steps"]) == (16, 2)


def measured():
    """A table as `speed.measure` makes it, of one row each."""
    step = {"network": "dynamics", "setting": "peers", "precision": "float32", "clips": 4}
    step |= {
        "less memory": False,
        "seconds": 0.512,
        "GFLOP": 12.3,
        "share of the matrix rate": 0.66,
        "MB": 210.0,
    }
    frame = {"setting": "peers", "tokens a frame": 256, "MaskGIT steps": 25, "worlds": 1}
    frame |= {"seconds": 0.2, "frames a second": 5.0}
    return {
        **speed.about("python benchmarks/speed.py a.json"),
        "matrix GFLOP/s": 50.0,
        "training": [step, step | {"less memory": True, "seconds": 0.75, "MB": 60.0}],
        "play": [frame],
        "other": [{"what": "export", "seconds": 10.0}],
    }


def test_the_page_holds_command_processor_commit_and_every_number():
    content = measured()
    text = speed_page.page([content])
    for what in ("command", "processor", "commit", "torch"):
        assert content[what] and content[what] in text
    assert "| dynamics | others' | float32 | 0.512 | 12.3 | 0.66 | 210 |" in text
    assert "| dynamics | others' | float32 (less memory) | 0.75 | 12.3 | 0.66 | 60 |" in text
    assert "| 256 | 25 | 1 | 0.2 | 5.0 |" in text
    assert "| export | 10 |" in text
    assert "TinyWorlds" not in text


def test_other_peoples_code_stands_beside_ours_of_the_same_processor():
    own = measured()
    rows = [
        {"network": "dynamics", "seconds": 1.25, "MB": 640.0, "why": None, "note": "more inside"},
        {"network": "latent_action_model", "seconds": None, "MB": None, "why": "Error: `64x3`"},
        {"network": "frame, 25 steps", "seconds": 4.5, "MB": 80.0, "why": None},
    ]
    other = {"peer": "tinyworlds", "commit": "abc1234", "command": "python benchmarks/peers.py"}
    other |= {"code": "def5678", "processor": own["processor"], "versions": {"torch": "2.13"}}
    other |= {"matrix GFLOP/s": 77.0, "rows": rows}
    text = speed_page.page([own, other])
    assert "| seconds | this book's | less memory | TinyWorlds |" in text
    assert "| dynamics | 0.512 | 0.75 | 1.25 |" in text
    assert "| dynamics | 210 | 60 | 640 |" in text
    assert "| frame, 25 steps | 0.2 |  | 4.5 |" in text
    assert "| frame, 25 steps |  |  | 80 |" in text
    assert (
        "| latent actions |  |  |  |" in text
        and "latent_action_model: not measured, `Error: 64x3`" in text
    )
    assert "commit abc1234" in text and "more inside" in text
    elsewhere = speed_page.page([own, other | {"processor": "another"}])
    assert "TinyWorlds" not in elsewhere


def test_the_page_in_the_book_is_made_of_the_tables_that_lie_there():
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in TABLES]
    if not speed_page.of_processors(contents):  # those of GPUs are in book/scaling.md, too
        assert not speed_page.PAGE.exists(), "book/speed.md without a processor"
        return
    assert speed_page.PAGE.read_text(encoding="utf-8") == speed_page.page(contents)
    assert "file: speed" in (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    for content in contents:
        assert content["commit"] and content["command"].endswith(".json")
    for content in speed_page.of_processors(contents):
        networks = {(row["network"], row["setting"]) for row in content["training"]}
        assert networks == set(speed.TRAININGS)
