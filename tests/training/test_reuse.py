"""Clips that come back: as often as asked for, labelled once, the same after an interruption."""

import signal
from collections import Counter
from dataclasses import replace

import pytest
import torch
from short_runs import CONFIG, Noise, logs, same, weights

from genie_mini.training.phases import Losses, build_phases
from genie_mini.training.reuse import ClipReuse
from genie_mini.training.trainer import Interrupted

OFTEN = {"dynamics_clip_uses": 3, "latent_action_pretraining_steps": 4, "dynamics_steps": 60}


@pytest.fixture
def labelled(monkeypatch):
    """The batches, by their first pixels, that were labelled so far."""
    infer, seen = Losses.infer_labels, []

    def infer_labels(self, frames):
        seen.append(frames[0, 0, 0, 0, 0].item())
        return infer(self, frames)

    monkeypatch.setattr(Losses, "infer_labels", infer_labels)
    return seen


def test_used_once_every_step_has_a_batch_of_its_own_number():
    assert [ClipReuse(1, 5).number(step) for step in range(20)] == list(range(20))


@pytest.mark.parametrize("uses", [2, 3, 4])
def test_each_batch_comes_so_often_and_never_twice_in_a_row(uses):
    reuse = ClipReuse(uses, first=7)
    numbers = [reuse.number(step) for step in range(2000)]
    assert numbers[:7] == list(range(7)) and min(numbers[7:]) >= 7
    counts = Counter(numbers[7:])
    assert {counts[number] for number in range(100, 300)} == {uses}
    places = {number: [at for at, one in enumerate(numbers) if one == number] for number in counts}
    assert all(
        after - at > 10 for at_ in places.values() for at, after in zip(at_, at_[1:], strict=False)
    )


def test_labels_are_inferred_once_and_those_of_the_batch(trained, labelled):
    videos = Noise()
    trained(videos=videos, **OFTEN)
    dealt = [
        tuple(key) for key in videos.keys[CONFIG.tokenizer_steps + CONFIG.latent_action_steps :]
    ]
    assert 60 > len(dealt) == len(set(dealt)) == len(labelled) == len(set(labelled))


@pytest.mark.parametrize("at", [9, 25, 38])
def test_a_run_that_was_stopped_goes_on_exactly(trained, make_genie, at):
    whole, one = trained("whole", **OFTEN)
    with pytest.raises(Interrupted):
        trained("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)), **OFTEN)
    resumed, two = trained("stopped", genie=make_genie(seed=9), **OFTEN)
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


def test_while_latent_actions_are_learnt_every_step_infers_anew(genie, labelled):
    config = replace(CONFIG, dynamics_clip_uses=3, latent_action_pretraining_steps=0)
    world = build_phases(genie.train(), Noise(), config)[1]
    for step in range(config.latent_action_steps):
        assert world.reuse.number(step) == step
        world.losses(Noise().batch(*world.clips(step), [step]), step)
    assert len(labelled) == config.latent_action_steps


@pytest.mark.parametrize(("uses", "begin"), [(1, 0), (4, 0), (4, 100)])
def test_clips_are_dealt_for_the_steps_that_need_them_alone(uses, begin):
    reuse, kept = ClipReuse(uses, first=7), torch.zeros(1)
    needed = []
    for step in range(begin, 500):
        if not reuse.knows(step):
            needed.append(step)
        if step >= 7:
            reuse.labels(step, lambda: (kept, kept))
    assert list(reuse.new_steps(begin, 500)) == needed


def test_old_labels_are_not_kept(genie):
    reuse, kept = ClipReuse(4), torch.zeros(1)
    for step in range(1000):
        reuse.labels(step, lambda: (kept, kept))
    assert len(reuse._labels) < 64
