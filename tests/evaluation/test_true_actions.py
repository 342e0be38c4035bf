"""What codes tell of true actions: all, where they are the true ones under other numbers; nothing,
where they are drawn by lot.
"""

from functools import partial

import numpy as np
import pytest
import torch
from world_of_levels import NUM_ACTIONS, Blind, Knowing, cache_of, stand_in

from genie_mini.data.cache import CachedVideos, true_actions
from genie_mini.evaluation import true_actions as module
from genie_mini.evaluation.any_world import draw_clips
from genie_mini.evaluation.metrics import in_batches
from genie_mini.evaluation.true_actions import (
    Answers,
    answers_of_codes,
    answers_of_network,
    entropy_bits,
    supervised_answers,
    true_action_scores,
)
from genie_mini.genie import CLIP_FRAMES

RNG = np.random.default_rng(0)


def codes_and_actions(clips, told):
    real = RNG.integers(NUM_ACTIONS, size=(clips, 12))
    order = np.array([3, 1, 0, 2, 7, 5, 6, 4])
    return order[real] if told else RNG.integers(NUM_ACTIONS, size=real.shape), real


def answers(told):
    codes, real = codes_and_actions(200, told)
    fit_codes, fit_real = (part.ravel() for part in codes_and_actions(500, told))
    return answers_of_codes(codes, real, (fit_codes, fit_real), NUM_ACTIONS, NUM_ACTIONS)


def test_true_actions_under_other_numbers_tell_everything():
    told, names = answers(told=True)
    everything = np.arange(200)
    assert told.accuracy(everything) == 1 and names.tolist() == [2, 1, 3, 0, 7, 5, 6, 4]
    assert told.bits(everything) == pytest.approx(3, abs=0.05)


def test_codes_drawn_by_lot_tell_nothing():
    told, _ = answers(told=False)
    everything = np.arange(200)
    assert told.accuracy(everything) == pytest.approx(1 / 8, abs=0.03)
    assert told.bits(everything) == pytest.approx(0, abs=0.02)


def test_codes_are_named_by_other_films_than_they_are_scored_on():
    codes, real = codes_and_actions(200, told=True)
    wrong = (real + 1) % NUM_ACTIONS
    told, _ = answers_of_codes(
        codes, real, (codes.ravel(), wrong.ravel()), NUM_ACTIONS, NUM_ACTIONS
    )
    assert told.accuracy(np.arange(200)) == 0
    assert told.bits(np.arange(200)) < -1, "names that mislead tell less than nothing"


def test_a_code_that_was_never_labelled_tells_what_is_common():
    labelled = np.zeros(100, int), np.array([2] * 90 + [1] * 10)
    told, names = answers_of_codes(np.array([[5]]), np.array([[2]]), labelled, 8, 3)
    assert names.tolist() == [2] * 8
    assert np.exp(told.log_probability) == pytest.approx(0.9, abs=0.02)


def test_what_nobody_knows_is_not_scored():
    real = np.array([[0, 1, -1], [-1, -1, 1]])
    told = Answers(real, np.array([[0, 0, 0], [7, 7, 1]]), np.log(np.full((2, 3), 0.5)))
    assert told.accuracy(np.arange(2)) == pytest.approx(2 / 3)
    assert told.bits(np.array([0])) == pytest.approx(0)


def test_half_an_action_told_is_one_bit_of_two():
    real = np.arange(4).repeat(25)[None]
    labelled = (real.ravel() // 2).repeat(9), real.ravel().repeat(9)
    told, _ = answers_of_codes(real // 2, real, labelled, 2, 4)
    assert told.bits(np.arange(1)) == pytest.approx(1, abs=0.01)
    assert entropy_bits(real) == 2


def test_a_networks_doubts_count():
    real = np.array([[0, 1]])
    told = answers_of_network(torch.tensor([[[0.75, 0.25], [0.75, 0.25]]]).log(), real)
    assert told.named.tolist() == [[0, 0]]
    assert np.exp(told.log_probability) == pytest.approx(np.array([[0.75, 0.25]]))


@pytest.fixture
def quick(monkeypatch):
    train = module.train_inverse_dynamics
    monkeypatch.setattr(module, "train_inverse_dynamics", partial(train, steps=120, batch_size=32))
    monkeypatch.setattr(module, "_VALIDATION", 256)  # looked at twelve times, they took the longest


def split(tmp_path, **films):
    folder = cache_of(tmp_path, **films)
    videos = (CachedVideos(folder, name) for name in ("train", "held out"))
    return *videos, partial(true_actions, folder)


def scored(tmp_path, latent_action_model, **films):
    train, held_out, actions = split(tmp_path, **films)
    genie = stand_in(latent_action_model)
    clips = draw_clips(held_out, 40, CLIP_FRAMES, key=0)
    latent = in_batches(genie.latent_action_model.infer, clips.frames)
    scores, names = true_action_scores(genie, train, actions, clips, latent, progress=False)
    return {score.name: score for score in scores}, names


def test_codes_that_know_the_world_tell_all_that_can_be_seen(tmp_path, quick):
    scores, names = scored(tmp_path, Knowing(order=(3, 1, 0, 2, 7, 5, 6, 4)))
    assert names.tolist() == [2, 1, 3, 0, 7, 5, 6, 4]
    right = scores["true actions named right, by 200 labels"]
    assert right.value == right.best == 1 and 0.1 < right.chance < 0.2
    bits = scores["bits told of a true action"]
    assert 2.8 < bits.value < 3 and bits.interval[0] <= bits.value <= bits.interval[1]
    assert bits.best >= scores["bits told by a supervised network"].value
    assert scores["bits told, as a share of what can be seen"].value == 1


def test_blind_codes_tell_no_share_of_it(tmp_path, quick):
    scores, _ = scored(tmp_path, Blind())
    assert scores["bits told of a true action"].value == pytest.approx(0, abs=0.1)
    assert abs(scores["bits told, as a share of what can be seen"].value) < 0.05


def test_the_network_sees_what_the_picture_shows(tmp_path, quick):
    train, held_out, actions = split(tmp_path, lengths=(90,) * 40)
    clips = draw_clips(held_out, 40, CLIP_FRAMES, key=0)
    real = actions(clips.starts, CLIP_FRAMES)
    seen = supervised_answers(train, actions, clips.frames, real, NUM_ACTIONS, progress=False)
    everything = np.arange(len(clips.starts))
    assert seen.real.shape == seen.named.shape == (len(everything), 12)
    assert seen.accuracy(everything) > 0.7, "by lot it would be 0.125"
    assert seen.bits(everything) > 0.6 * entropy_bits(seen.real)


def test_where_nobody_knows_the_actions_there_are_no_such_scores(tmp_path):
    assert scored(tmp_path, Knowing(), told=False) == ({}, None)
