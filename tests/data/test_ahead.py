"""Clips that other processes prepare are those that this one would have made, in their order."""

import multiprocessing
import os

import pytest
import torch

from genie_mini.data.ahead import deal
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.device import clip_workers
from genie_mini.errors import GenieError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
WISHES = [(2, 3, [0, 1, step]) for step in range(9)]


class Named:
    """Each batch says in which process it was made."""

    def batch(self, num_clips, num_frames, key):
        return torch.tensor([os.getpid(), *key])


class Broken(Named):
    """No batch can be made."""

    def batch(self, num_clips, num_frames, key):
        raise GenieError(f"there is no clip {key[2]}")


@needs_fork
def test_any_number_of_workers_deals_the_same_batches():
    videos = PlatformerVideos(32)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for workers in (0, 1, 2):
        batches = list(deal(videos, iter(WISHES), workers))
        assert len(batches) == len(WISHES)
        for batch, wish in zip(batches, WISHES, strict=True):
            assert torch.equal(batch, videos.batch(*wish))
    assert torch.equal(torch.get_rng_state(), before)


@needs_fork
def test_workers_are_other_processes():
    makers = {int(batch[0]) for batch in deal(Named(), iter(WISHES), 2)}
    assert len(makers) == 2 and os.getpid() not in makers
    assert [int(batch[3]) for batch in deal(Named(), iter(WISHES), 2)] == list(range(9))


@needs_fork
def test_workers_end_when_no_more_batches_are_asked_for():
    before = len(multiprocessing.active_children())
    batches = deal(Named(), iter(WISHES), 2)
    assert len(multiprocessing.active_children()) == before, "nobody has asked for a batch"
    next(batches)
    assert len(multiprocessing.active_children()) == before + 2
    batches.close()
    assert len(multiprocessing.active_children()) == before


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=needs_fork)])
def test_what_goes_wrong_in_a_worker_is_told(workers):
    with pytest.raises(GenieError, match="there is no clip 0"):
        next(deal(Broken(), iter(WISHES), workers))


def test_without_workers_a_batch_is_made_when_its_turn_comes():
    asked = []

    def wishes():
        for wish in WISHES:
            asked.append(wish)
            yield wish

    batches = deal(PlatformerVideos(32), wishes(), 0)
    assert not asked
    next(batches)
    assert asked == WISHES[:1]


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(16, None, 8), (64, None, 8), (6, None, 3), (1, None, 1), (16, "4", 2), (16, "16", 1)],
)
def test_workers_beside_a_gpu_take_half_of_the_cores_of_its_process(
    monkeypatch, cores, processes, workers
):
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn", "fork"])
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert clip_workers(torch.device("cuda")) == workers
    assert clip_workers(torch.device("cpu")) == clip_workers(torch.device("mps")) == 0
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    assert clip_workers(torch.device("cuda")) == 0
