"""Clips that other processes prepare are those that this one would have made, in their order."""

import os

import pytest
import torch

from genie_mini.data.ahead import deal
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.device import clip_workers

WISHES = [(2, 3, [0, 1, step]) for step in range(9)]


class Named:
    """Each batch says in which process it was made."""

    def batch(self, num_clips, num_frames, key):
        return torch.tensor([os.getpid(), *key])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_workers_are_other_processes():
    makers = {int(batch[0]) for batch in deal(Named(), iter(WISHES), 2)}
    assert len(makers) == 2 and os.getpid() not in makers
    assert [int(batch[3]) for batch in deal(Named(), iter(WISHES), 2)] == list(range(9))


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


def test_a_processor_that_trains_prepares_its_clips_itself():
    assert clip_workers(torch.device("cpu")) == 0
    assert clip_workers(torch.device("meta")) == (
        max(1, min(8, os.cpu_count() // 2)) if hasattr(os, "fork") else 0
    )
