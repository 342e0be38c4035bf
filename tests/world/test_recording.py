"""Filming the platformer: clips that follow from their seed, and a truth that stays apart from
them.
"""

import inspect
from dataclasses import FrozenInstanceError
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest

from genie_mini import data, models, training
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.world import ACTIONS, HELD_OUT_SEED, Simulation, Truth, random_actions, record
from genie_mini.world.simulation import (
    DASH_LEFT,
    DASH_RIGHT,
    JUMP,
    JUMP_LEFT,
    JUMP_RIGHT,
    LEFT,
    NOTHING,
    RIGHT,
)


@pytest.mark.parametrize("size", [32, 64])
def test_frames_and_truth_have_the_shapes_they_should(size):
    frames, truth = record(3, 5, size=size)
    assert frames.shape == (3, 5, size, size, 3) and frames.dtype == np.float32
    assert 0 <= frames.min() < 0.2 and 0.8 < frames.max() <= 1
    assert truth.actions.shape == truth.outcomes.shape == (3, 4)
    assert truth.positions.shape == (3, 5, 2) and truth.on_ground.shape == (3, 5)


def test_the_small_picture_is_the_large_one_in_small():
    large, small = record(2, 3, size=64)[0], record(2, 3, size=32)[0]
    mean = large.reshape(2, 3, 32, 2, 32, 2, 3).mean(axis=(3, 5))
    assert np.abs(mean - small).max() < 1 / 255


def test_the_same_seed_gives_the_same_clips():
    (first, truth), (second, same) = record(4, 6, seed=3), record(4, 6, seed=3)
    assert np.array_equal(first, second) and np.array_equal(truth.actions, same.actions)
    assert not np.array_equal(first, record(4, 6, seed=4)[0])
    assert not np.array_equal(first, record(4, 6, seed=[3, 1])[0])
    assert np.array_equal(first[:, :3], record(4, 3, seed=3, actions=truth.actions[:, :2])[0])


def test_clips_of_a_batch_differ():
    first = record(16, 1)[0][:, 0]
    assert len({frame.tobytes() for frame in first}) == 16


@pytest.fixture
def seeds_used(monkeypatch):
    used = []

    class Watched(Simulation):
        def __init__(self, seeds, columns=None):
            used.extend(int(seed) for seed in seeds)
            super().__init__(seeds, columns)

    monkeypatch.setattr("genie_mini.world.recording.Simulation", Watched)
    return used


def test_training_and_held_out_levels_are_disjoint(seeds_used):
    for seed in range(20):
        record(16, 1, seed=seed)
    assert len(seeds_used) == 320 and max(seeds_used) < HELD_OUT_SEED
    seeds_used.clear()
    for seed in range(20):
        record(16, 1, seed=seed, held_out=True)
    assert len(seeds_used) == 320 and min(seeds_used) >= HELD_OUT_SEED


def test_training_videos_never_show_a_held_out_level(seeds_used):
    for key in ([0, 0, 0], [0, 1, 17], [2**31, 1, 5], [7, 1]):
        PlatformerVideos(32).batch(16, 1, key)
    assert len(seeds_used) == 64 and max(seeds_used) < HELD_OUT_SEED


def test_positions_and_actions_are_those_of_the_film():
    _, truth = record(64, 16)
    moved = np.diff(truth.positions[..., 0], axis=1)
    assert (
        np.isin(moved[truth.actions == RIGHT], (0, 4)).all()
        and (moved[truth.actions == RIGHT] == 4).mean() > 0.5
    )
    assert not moved[truth.actions == NOTHING].any() and not moved[truth.actions == JUMP].any()
    rises = np.diff(truth.positions[..., 1], axis=1) < 0
    jumps = (truth.actions == JUMP) & truth.on_ground[:, :-1]
    assert rises[jumps].mean() > 0.7
    assert truth.positions[:, 0].std(axis=0).min() > 0, "clips begin at many places"


def test_outcomes_are_the_actions_that_draw_the_same_picture():
    # Brute force: film every clip again with one action exchanged, and compare the pictures.
    clips, steps = 24, 6
    actions = random_actions(np.random.default_rng(0), clips, steps)
    actions[:6, 0] = JUMP  # some of it in the air
    options = {"seed": 5, "actions": actions}
    frames, truth = record(clips, steps + 1, **options)
    expected = np.zeros((clips, steps), dtype=int)
    for t in range(steps):
        for action in range(len(ACTIONS)):
            other = actions[:, : t + 1].copy()
            other[:, t] = action
            last = record(clips, t + 2, seed=5, actions=other)[0][:, -1]
            expected[:, t] |= (last == frames[:, t + 1]).all(axis=(1, 2, 3)).astype(int) << action
    assert np.array_equal(truth.actions, actions)
    assert ((truth.outcomes >> truth.actions) & 1).all(), (
        "the action taken leads to the picture seen"
    )
    assert len(np.unique(expected)) > 4
    assert np.array_equal(truth.outcomes, expected)


def test_looking_ahead_does_not_change_the_film():
    # `record` works out the outcomes of all actions on the way; a plain simulation does not.
    actions = random_actions(np.random.default_rng(1), 8, 30)
    frames, truth = record(8, 31, seed=2, from_start=True, actions=actions)
    rng = np.random.default_rng([2, 0])
    simulation = Simulation(rng.integers(HELD_OUT_SEED, size=8))
    for step in range(30):
        simulation.step(actions[:, step])
    assert np.array_equal(truth.positions[:, -1, 0], simulation.x)
    assert np.array_equal(frames[:, -1], simulation.frames() / np.float32(255))


def test_every_real_action_is_played_often():
    actions = random_actions(np.random.default_rng(0), 500, 15)
    shares = np.bincount(actions.ravel(), minlength=len(ACTIONS)) / actions.size
    assert shares.min() > 0.05
    for left, right in ((LEFT, RIGHT), (JUMP_LEFT, JUMP_RIGHT), (DASH_LEFT, DASH_RIGHT)):
        assert abs(shares[left] - shares[right]) < 0.05, "left and right alike"


def test_each_action_is_often_seen_to_have_an_effect_of_its_own():
    _, truth = record(300, 16)
    seen = truth.actions[truth.outcomes == 1 << truth.actions]
    shares = np.bincount(seen, minlength=len(ACTIONS)) / seen.size
    assert seen.size > 0.4 * truth.actions.size and shares.min() > 0.05 and shares.max() < 0.25


def test_repeated_and_fresh_actions_are_both_recorded():
    actions = random_actions(np.random.default_rng(0), 500, 15)
    repeats = (actions[:, 1:] == actions[:, :-1]).mean(axis=1)
    assert (repeats > 0.7).mean() > 0.2 and (repeats < 0.4).mean() > 0.2, (
        "some clips repeat actions, some do not"
    )


def test_the_truth_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        record(1, 2)[1].actions = None


def test_no_training_function_knows_the_truth(genie):
    rooms = [data, models, training]
    modules = [
        import_module(f"{room.__name__}.{found.name}")
        for room in rooms
        for found in iter_modules(room.__path__)
    ]
    assert len(modules) > 12
    for module in modules:
        if (
            module.__name__ == "genie_mini.data.platformer_files"
        ):  # writes the truth into a folder of its own, and reads none
            continue
        assert Truth not in vars(module).values(), f"{module.__name__} should know pictures only"
        for name, function in inspect.getmembers(module, inspect.isfunction):
            assert "truth" not in inspect.signature(function).parameters, (
                f"{module.__name__}.{name}"
            )
    _, truth = record(2, 5, size=32)
    for learn in (genie.tokenizer, genie.latent_action_model, genie.tokenizer.encode):
        with pytest.raises((AttributeError, TypeError, ValueError)):
            learn(truth)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({"num_clips": 0}, "at least one clip"),
        ({"num_frames": 0}, "at least one clip"),
        ({"size": 48}, "32 or 64"),
        ({"actions": np.full((2, 3), len(ACTIONS))}, "actions"),
        ({"actions": np.full((2, 3), -1)}, "actions"),
        ({"actions": np.zeros((2, 2), dtype=int)}, "actions"),
        ({"actions": np.zeros((2, 4), dtype=int)}, "actions"),
        ({"actions": np.zeros((1, 3), dtype=int)}, "actions"),
    ],
)
def test_impossible_recordings_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        record(**{"num_clips": 2, "num_frames": 4, **arguments})
