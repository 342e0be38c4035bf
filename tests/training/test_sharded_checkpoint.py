"""A checkpoint in parts: how one process goes on with those of two, and what it says of damaged
ones. That several processes write them is in test_distributed.
"""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from short_runs import CONFIG, Killed, Noise, kill, logs, same, weights

from genie_mini.errors import GenieError
from genie_mini.training import sharded_checkpoint
from genie_mini.training.checkpoint import read_checkpoint
from genie_mini.training.sharded_checkpoint import torch_has_parts, write_parts
from genie_mini.training.trainer import train

pytestmark = pytest.mark.skipif(not torch_has_parts(), reason="this torch has no parts")
POSITION = "model.dynamics.position"


def divide(path):
    """Move the tensors of a checkpoint into parts, as two processes would write them."""
    with safetensors.safe_open(path, framework="pt") as file:
        notes = file.metadata()
    tensors, _ = read_checkpoint(path)
    small = {name: tensors.pop(name) for name in [*tensors] if name.endswith(".step")}
    safetensors.torch.save_file(small, path, notes | {"parts": write_parts(path, tensors)})
    first, second = part(path, 1), part(path, 2)
    assert list(first.parent.iterdir()) == [first], "one process has written them"
    halves = {name: len(tensor) // 2 for name, tensor in tensors.items() if tensor.dim()}
    write_part(first, {name: (0, tensors[name][:half]) for name, half in halves.items() if half})
    write_part(
        second,
        {
            name: (halves[name], tensor[halves[name] :]) if name in halves else (0, tensor)
            for name, tensor in tensors.items()
        },
    )


def part(path, number):
    """The file of one of the parts beside a checkpoint."""
    name = f"shard-0000{number}-model-00001-of-00001.safetensors"
    return path.with_name("checkpoint-parts-1") / name


def write_part(path, pieces):
    """What a process writes: pieces of tensors, and of each the row at which it begins."""
    where = {
        name: {"saved_offsets": [row, 0, 0, 0, 0, 0][: piece.dim()]}
        for name, (row, piece) in pieces.items()
    }
    tensors = {name: piece.contiguous() for name, (_, piece) in pieces.items()}
    safetensors.torch.save_file(tensors, path, {"DCP_SHARDING_INFO": json.dumps(where)})


def read_part(path):
    with safetensors.safe_open(path, framework="pt") as file:
        where = json.loads(file.metadata()["DCP_SHARDING_INFO"])
    return {
        name: (sum(where[name]["saved_offsets"]), tensor)
        for name, tensor in safetensors.torch.load(path.read_bytes()).items()
    }


@pytest.fixture(scope="module")
def killed_run(make_genie, tmp_path_factory):
    """The folder of a run that was killed in its second phase, at its step 3, in parts."""
    folder = tmp_path_factory.mktemp("killed")
    config = replace(CONFIG, checkpoint_seconds=0)
    with pytest.raises(Killed):
        train(make_genie(), Noise(7, kill), config, folder, progress=False)
    divide(folder / "checkpoint.safetensors")
    return folder


@pytest.fixture
def stopped(killed_run, tmp_path):
    """The checkpoint of a copy of it."""
    shutil.copytree(killed_run, tmp_path / "run")
    return tmp_path / "run" / "checkpoint.safetensors"


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_run_goes_on_from_parts_and_nothing_is_unpickled(trained, stopped):
    whole, expected = trained("whole")
    planted = part(stopped, 1).with_name(".metadata")
    planted.write_bytes(pickle.dumps(Bomb(stopped.with_name("bang"))))
    genie, run = trained("run")
    assert logs(run) == logs(expected) and same(weights(genie), weights(whole))
    assert not (run / "bang").exists()
    assert list(planted.parent.iterdir()) == [planted], "what is not ours stays"


DAMAGES = {
    "no folder": lambda one: one.parent.rename(one.parent.with_name("elsewhere")),
    "nothing in it": lambda one: [file.unlink() for file in one.parent.iterdir()],
    "one missing": lambda one: one.unlink(),
    "one truncated": lambda one: one.write_bytes(one.read_bytes()[:-1]),
    "one empty": lambda one: one.write_bytes(b""),
    "one twice": lambda one: shutil.copyfile(one, one.with_name("a.safetensors")),
    "somebody's": lambda one: safetensors.torch.save_file({"a": torch.zeros(3)}, one),
    "odd header": lambda one: safetensors.torch.save_file(
        {"a": torch.zeros(3)}, one, {"DCP_SHARDING_INFO": "[3]"}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_parts_are_named(trained, stopped, damage):
    DAMAGES[damage](part(stopped, 1))
    with pytest.raises(GenieError, match="checkpoint-parts-1 are not whole"):
        trained("run")


@pytest.mark.parametrize(
    "name, tensor",
    [
        (POSITION, None),
        (POSITION, torch.zeros(16, 15)),
        (POSITION, torch.zeros(16, 16, dtype=torch.int64)),
        (POSITION, torch.full((16, 16), torch.inf)),
        ("model.more", torch.zeros(3)),
        ("optimizer.0.exp_avg", None),
        ("optimizer.0.exp_avg_sq", torch.zeros(3)),
        ("optimizer.999.exp_avg", torch.zeros(3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_of_another_run_are_named(trained, stopped, name, tensor):
    first, second = read_part(part(stopped, 1)), read_part(part(stopped, 2))
    for pieces in (first, second):
        pieces.pop(name, None)
    if tensor is not None:
        second[name] = 0, tensor
    write_part(part(stopped, 1), first)
    write_part(part(stopped, 2), second)
    with pytest.raises(GenieError, match=rf"checkpoint-parts-1.*{name}"):
        trained("run")


@pytest.mark.parametrize("name", ["3", "", "../../run", "1/../1"])
def test_parts_lie_in_one_of_two_folders(trained, stopped, name):
    with safetensors.safe_open(stopped, framework="pt") as file:
        notes = file.metadata() | {"parts": name}
    safetensors.torch.save_file(safetensors.torch.load(stopped.read_bytes()), stopped, notes)
    with pytest.raises(GenieError, match=r"checkpoint\.safetensors is not a whole checkpoint"):
        trained("run")


def test_an_older_torch_says_which_one_is_needed(trained, stopped, monkeypatch):
    monkeypatch.setattr(sharded_checkpoint, "torch_has_parts", lambda: False)
    with pytest.raises(GenieError, match=r"torch reads from version 2\.9 on; this is"):
        trained("run")


@pytest.mark.parametrize("value, told", [(torch.nan, "w holds NaN"), (0.0, "holds mine.txt")])
def test_parts_that_cannot_be_written_leave_the_earlier_ones(stopped, value, told):
    other = stopped.with_name("checkpoint-parts-2")
    other.mkdir()
    if value == 0:
        (other / "mine.txt").touch()
    before = {number: part(stopped, number).read_bytes() for number in (1, 2)}
    with pytest.raises(GenieError, match=told):
        write_parts(stopped, {"w": torch.tensor([value])})
    assert {number: part(stopped, number).read_bytes() for number in (1, 2)} == before
