"""Training in two processes comes to what training in one does, whoever is stopped in between."""

from dataclasses import astuple

import pytest
import torch.distributed as dist
from ranks_of_a_run import (
    MINUTES,
    PHASES,
    RANKS,
    SLOWER,
    WAYS,
    all_runs,
    ctrl_c,
    killed_run,
    on_ranks,
    run,
)
from short_runs import CONFIG, logs, same, weights
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from genie_mini.genie import Genie
from genie_mini.training.checkpoint import read_checkpoint
from genie_mini.training.sharded_checkpoint import torch_has_parts
from genie_mini.training.trainer import Interrupted

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo"
)
needs_parts = pytest.mark.skipif(not torch_has_parts(), reason="this torch has no parts")


def place(folder):
    """Where its checkpoint stands in a run."""
    return read_checkpoint(folder / "checkpoint.safetensors")[1]


def parts(folder):
    """How many files each folder with parts of its checkpoint has."""
    folders = folder.glob("checkpoint-parts-*")
    return {path.name[-1]: len(list(path.iterdir())) for path in folders}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder with all runs, what failures told on each rank, and what minutes came to."""
    root = tmp_path_factory.mktemp("runs")
    # The other one notices, or is ended: whichever is seen first.
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        on_ranks(killed_run, root)
    assert place(root / "killed") == {"phase": 1, "step": 2}
    if torch_has_parts():
        assert len(parts(root / "killed")) == 2, "one of them is written into"
    with pytest.raises(Interrupted):
        run(root / "of one", ctrl_c)
    assert place(root / "of one") == {"phase": 1, "step": 3}
    return root, *on_ranks(all_runs, root)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Train in one process: (phase, or "" for a run of all, changes) -> its folder."""
    root = tmp_path_factory.mktemp("alone")

    def train(phase, **changes):
        folder = root / f"{phase} {changes}"
        if not folder.exists():
            codebook = "patches" if phase == "patches" else "learnt"
            run(folder, codebook=codebook, **PHASES.get(phase, {}), **changes)
        return folder

    return train


def numbers(folder):
    """All that was logged of each step."""
    return [
        {name: float(value) for name, value in row.items() if value}
        for rows in logs(folder).values()
        for row in rows
    ]


def assert_close(one, other):
    """Each step has the same losses in two runs, and as many codes and actions."""
    first, second = numbers(one), numbers(other)
    assert len(first) == len(second) > 1
    for step, expected in zip(first, second, strict=True):
        assert step == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_the_losses_of_two_processes_are_those_of_one(runs, alone, phase, way):
    assert_close(runs[0] / f"{phase}, {way}", alone(phase))


def test_a_killed_process_loses_nothing(runs):
    killed, whole = runs[0] / "killed", runs[0] / "whole in shards"
    assert logs(killed) == logs(whole)
    first, second = (weights(Genie.from_pretrained(folder)) for folder in (killed, whole))
    assert same(first, second)


def test_a_run_of_one_process_goes_on_in_two(runs, alone):
    assert_close(runs[0] / "of one", alone(""))


def test_ctrl_c_in_one_of_two_processes_stops_both_and_one_goes_on(runs):
    stopped = runs[1][0]
    assert all(told.startswith("Interrupted: stopped after step 3 of world") for told in stopped)
    assert place(runs[0] / "stopped") == {"phase": 1, "step": 3}
    run(runs[0] / "stopped", seed=9)
    assert_close(runs[0] / "stopped", runs[0] / "whole")


@needs_parts
def test_without_room_for_a_part_the_earlier_checkpoint_goes_on(runs):
    first, second = runs[1][4]
    assert first.startswith("GenieError: process 1 failed with its part in ")
    assert "No space left" in first and second.startswith("ToldElsewhere: ")
    assert_close(runs[0] / "full", runs[0] / "whole")


@needs_parts
def test_each_process_writes_its_part_where_networks_are_divided(runs):
    folder = runs[0] / "whole in shards"
    assert list(parts(folder).values()) == [RANKS]
    small = folder / "checkpoint.safetensors"
    assert small.stat().st_size < 10_000 < (runs[0] / "whole" / small.name).stat().st_size
    assert not any(parts(runs[0] / name) for name in ("whole", "of one", "stopped", "full"))


def test_all_files_are_where_the_first_process_has_them(runs):
    assert not (runs[0] / "elsewhere").exists()
    assert (runs[0] / "whole" / "dynamics.safetensors").exists()
    assert not list(runs[0].rglob("*.partial")) and not list(runs[0].rglob("*.lock"))


@pytest.mark.parametrize(
    "index, told",
    [
        (1, "a batch of 3 clips, in phase tokenizer, cannot be divided among 2 processes evenly"),
        (2, "networks cannot be divided into 3 shards on 2 processes"),
        (3, "a batch of 3 clips, in phase world, cannot be divided among 2 processes evenly"),
    ],
    ids=["batch", "shards", "dynamics batch"],
)
def test_what_cannot_be_divided_is_told_once_and_before_the_work(runs, index, told):
    first, *others = runs[1][index]
    assert first.startswith("GenieError: ") and told in first
    assert [other.split(":")[0] for other in others] == ["ToldElsewhere"] * (RANKS - 1)


def test_all_processes_take_the_steps_that_the_slowest_has_time_for(runs):
    first, second = runs[2]
    assert first == second
    tokenizer, latent_actions, _, dynamics = first[0]
    for steps, share in zip(
        (tokenizer, latent_actions, dynamics), astuple(CONFIG.shares), strict=True
    ):
        most = share * 60 * MINUTES / SLOWER
        assert 0.9 * most < steps < most, "less what the measuring took"


@pytest.mark.parametrize("phase", PHASES)
def test_accumulated_gradients_are_those_of_the_whole_batch(alone, phase):
    assert_close(alone(phase, gradient_accumulation=3), alone(phase))


@pytest.mark.parametrize("phase", PHASES)
def test_activation_checkpointing_changes_no_number(alone, phase):
    assert numbers(alone(phase, activation_checkpointing=True)) == numbers(alone(phase))


def test_how_the_work_is_divided_may_change_within_a_run(alone):
    folder = alone("dynamics")
    before = (folder / "checkpoint.safetensors").read_bytes()
    run(folder, **PHASES["dynamics"], gradient_accumulation=2, activation_checkpointing=True)
    assert (folder / "checkpoint.safetensors").read_bytes() == before
