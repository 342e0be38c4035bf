"""What a run keeps to go on from: whole, or named as broken; and the log beside it."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from short_runs import Killed, Noise, kill, logs, same, weights

from genie_mini.errors import GenieError
from genie_mini.run_log import LOG_COLUMNS, keep_rows
from genie_mini.training.checkpoint import read_checkpoint
from genie_mini.training.phases import Losses


@pytest.fixture
def stopped(trained, tmp_path):
    """The checkpoint of a run that was killed in its second phase, at its step 3."""
    with pytest.raises(Killed):
        trained("run", Noise(7, kill), checkpoint_seconds=0)
    return tmp_path / "run" / "checkpoint.safetensors"


def rewrite(path, tensors=None, **notes):
    """Change some tensors (None takes one away) and notes of a checkpoint."""
    with safetensors.safe_open(path, framework="pt") as file:
        kept = file.metadata()
    content = safetensors.torch.load(path.read_bytes()) | (tensors or {})
    content = {name: tensor for name, tensor in content.items() if tensor is not None}
    safetensors.torch.save_file(content, path, kept | notes)


@pytest.mark.parametrize(
    "damage", ["empty", "truncated", "noise", "foreign", "foreign with notes", "another shape"]
)
def test_a_bad_checkpoint_is_named(trained, make_genie, tmp_path, damage):
    with pytest.raises(Killed):
        trained("run", Noise(2, kill), checkpoint_seconds=0)
    path = tmp_path / "run" / "checkpoint.safetensors"
    content = path.read_bytes()
    notes = {"format": "pt"} if damage == "foreign with notes" else None
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        path.write_bytes(bytes(range(256)) * 20)
    elif damage.startswith("foreign"):
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path, notes)
    genie, size = (make_genie(size=32), 32) if damage == "another shape" else (make_genie(), 16)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors"):
        trained("run", Noise(size=size), genie)


@pytest.mark.parametrize(
    "notes",
    [
        {"phase": "-1"},
        {"phase": "3"},
        {"phase": "2", "step": "1"},
        {"step": "-1"},
        {"step": "7"},
        {"step": "1" + 30 * "0"},
        {"step": "1.5"},
        {"request": "{}"},
        {"request": "[]"},
        {"request": "{"},
        {"request": 100_000 * "["},
        {"request": json.dumps({"what": {}, "lengths": []})},
        {"request": json.dumps({"what": {}, "lengths": [[1, 2]]})},
        {"request": json.dumps({"what": {}, "lengths": [["4", "4", "2", "4"]]})},
        {"request": json.dumps({"what": 3, "lengths": [[4, 4, 2, 4]]})},
    ],
    ids=str,
)
def test_notes_that_make_no_sense_are_named(trained, stopped, notes):
    rewrite(stopped, **notes)
    before = stopped.read_bytes()
    with pytest.raises(GenieError, match=r"checkpoint\.safetensors"):
        trained("run")
    assert stopped.read_bytes() == before


@pytest.mark.parametrize(
    "name, tensor",
    [
        ("model.dynamics.position", None),
        ("model.dynamics.position", torch.tensor(float("nan"))),
        ("model.dynamics.position", torch.zeros(16, 16, dtype=torch.int64)),
        ("model.dynamics.position", torch.full((16, 16), float("nan"))),
        ("model.more", torch.zeros(3)),
        ("optimizer.0.exp_avg", None),
        ("optimizer.0.exp_avg", torch.zeros(3)),
        ("optimizer.0.exp_avg_sq", torch.tensor(float("inf"))),
        ("optimizer.0.step", torch.zeros(2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_that_are_not_those_of_the_run_are_named(trained, stopped, name, tensor):
    rewrite(stopped, {name: tensor})
    with pytest.raises(
        GenieError, match=rf"checkpoint\.safetensors.*{name.removeprefix('model.')}"
    ):
        trained("run")


def test_a_loss_that_is_no_number_leaves_the_last_good_state(trained, tmp_path, monkeypatch):
    sound = Losses.world_losses

    def broken(self, frames, step):
        losses, *rest = sound(self, frames, step)
        return ([loss * float("nan") for loss in losses] if step == 3 else losses), *rest

    whole, one = trained("whole")
    with monkeypatch.context() as patch:
        patch.setattr(Losses, "world_losses", broken)
        with pytest.raises(GenieError, match="step 4 of world the loss is nan"):
            trained("run", checkpoint_seconds=0)
    tensors, where = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert where == {"phase": 1, "step": 3}
    genie, two = trained("run")
    assert logs(two) == logs(one) and same(weights(genie), weights(whole))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone tells what is mapped")
def test_a_run_that_goes_on_does_not_hold_its_checkpoint(trained, stopped):
    """Windows replaces no file that is mapped."""
    maps = []
    trained("run", Noise(0, lambda: maps.append(Path("/proc/self/maps").read_text())))
    assert maps and "checkpoint.safetensors" not in maps[0]


# the log


@pytest.mark.parametrize(
    "ending",
    [b"\r\n", b"  \n", b"4", b"4,0.1,0.5", b"1,0.1,0.5\r\n", 60 * b"\0", b"\xff\xfe"],
    ids=repr,
)
def test_whatever_a_power_cut_left_of_the_last_line_is_dropped(tmp_path, ending):
    log, rest = tmp_path / "world.csv", 9 * b","
    whole = ",".join(LOG_COLUMNS).encode() + b"\r\n0," + rest + b"\r\n1," + rest + b"\r\n"
    log.write_bytes(whole + ending)
    keep_rows(log, 2)
    assert log.read_bytes() == whole


def test_a_run_goes_on_beside_a_log_with_a_blank_last_line(trained, stopped):
    _, whole = trained("whole")
    log = stopped.with_name("world.csv")
    log.write_bytes(log.read_bytes() + b"\n")
    _, folder = trained("run")
    assert logs(folder) == logs(whole)


@pytest.mark.parametrize("content", [b"my,own,table\n1,2,3\n", b"\xff\xd8\xff"])
def test_a_table_of_somebody_is_not_taken_for_the_log(tmp_path, content):
    log = tmp_path / "world.csv"
    log.write_bytes(content)
    with pytest.raises(GenieError, match="is not the log of this training"):
        keep_rows(log, 3)
    assert log.read_bytes() == content


def test_rows_keep_their_bytes(tmp_path):
    log, rest = tmp_path / "world.csv", 9 * b","
    heading = ",".join(LOG_COLUMNS).encode()
    log.write_bytes(heading + b"\r\n0," + rest + b"\r\n1," + rest + b"\r\n")
    keep_rows(log, 1)
    assert log.read_bytes() == heading + b"\r\n0," + rest + b"\r\n"
