"""Scores with known answers: a score that is wrong would be believed."""

import json
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from world_of_levels import Again

from genie_mini.evaluation import scores as evaluation
from genie_mini.evaluation.action_map import LABELLED, action_map, fit_action_map, visible_actions
from genie_mini.evaluation.metrics import Score, in_batches, psnr
from genie_mini.evaluation.player_detector import count_players, player_present
from genie_mini.evaluation.scores import (
    cache_difference,
    cycle_scores,
    format_scores,
    infer_long,
    meets_goal,
    prediction_scores,
    save_scores,
    tokenizer_scores,
)
from genie_mini.world import ACTIONS, Simulation, Truth, record
from genie_mini.world.levels import FIRST, LAST
from genie_mini.world.simulation import JUMP, LEFT, NOTHING, RIGHT, SIZES


def test_psnr_has_known_values():
    truth = torch.zeros(2, 3, 4, 4, 3)
    assert psnr(truth + 0.1, truth) == pytest.approx(20)
    assert psnr(truth + 0.01, truth) == pytest.approx(40)
    assert psnr(truth, truth) == pytest.approx(120)
    half = truth.clone()
    half[0] = 0.1  # the error is averaged before the logarithm
    assert psnr(half, truth) == pytest.approx(20 + 10 * math.log10(2))


def test_in_batches_changes_nothing():
    x = torch.arange(50.0)
    assert torch.equal(in_batches(lambda a, b: a + b, x, 2 * x, size=16), 3 * x)


def test_the_action_map_takes_the_commonest_meaning():
    latent = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3])
    real = np.array([LEFT, LEFT, JUMP, RIGHT, RIGHT, JUMP, JUMP, JUMP, LEFT])
    names = fit_action_map(latent, real, 5)
    assert names.tolist()[:2] == [LEFT, RIGHT] and names[3] == JUMP
    assert names[2] == names[4] == JUMP, (
        "a latent action never seen is given the commonest real one"
    )


def constructed_truth(clips=40, steps=15, seed=0):
    """Random actions, every second of them without a visible effect."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(len(ACTIONS), size=(clips, steps))
    hidden = rng.random((clips, steps)) < 0.5
    outcomes = np.where(hidden, (1 << actions) | (1 << NOTHING) | (1 << JUMP), 1 << actions)
    return Truth(
        actions, np.zeros((clips, steps + 1, 2), int), np.ones((clips, steps + 1), bool), outcomes
    )


def values(scores):
    return {score.name: score.value for score in scores}


def test_visible_transitions_are_those_with_one_explanation():
    truth = constructed_truth()
    seen = visible_actions(truth)
    assert np.array_equal(seen, np.bitwise_count(truth.outcomes.astype(np.uint64)) == 1)
    assert 0.3 < seen.mean() < 0.7


def test_latent_actions_that_mean_something_score_one_and_others_chance(genie):
    truth = constructed_truth()
    # Each real action has a latent one, in another order; where the action cannot be seen,
    # anything.
    rng = np.random.default_rng(1)
    order = rng.permutation(8)
    latent = order[truth.actions]
    noise = rng.integers(8, size=latent.shape)
    names, scores = action_map(
        genie, torch.from_numpy(np.where(visible_actions(truth), latent, noise)), truth
    )
    assert names[order].tolist() == list(range(8))
    scores = values(scores)
    assert scores["action map, visible actions"] == 1
    assert all(scores[f"action map, {name}"] == 1 for name in ACTIONS)
    assert scores["latent actions in use"] == 1
    guessed = values(action_map(genie, torch.from_numpy(noise), truth)[1])
    assert 0.05 < guessed["action map, visible actions"] < 0.3
    constant = values(action_map(genie, torch.zeros_like(torch.from_numpy(noise)), truth)[1])
    assert constant["latent actions in use"] == 1 / 8


def test_the_action_map_is_scored_on_other_transitions_than_it_was_fitted_on(genie):
    # Latent actions that mean one thing in the labelled transitions and another in the rest must
    # not score.
    truth = constructed_truth()
    fit = np.random.default_rng(0).permutation(visible_actions(truth).sum())[:LABELLED]
    shifted = np.ones(visible_actions(truth).sum(), dtype=int)
    shifted[fit] = 0
    latent = truth.actions.copy()
    latent[visible_actions(truth)] = (latent[visible_actions(truth)] + shifted) % len(ACTIONS)
    assert (
        values(action_map(genie, torch.from_numpy(latent), truth)[1])["action map, visible actions"]
        == 0
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_player_is_found_in_real_frames_and_only_there(size):
    simulation = Simulation(range(40), FIRST + np.arange(40) % (LAST - FIRST + 1))
    rng = np.random.default_rng(0)
    with_player, without = [], []
    for _ in range(6):
        in_picture = simulation.y >= 0
        with_player.append(simulation.frames(size)[in_picture])
        # the same picture, the player far below it
        height, simulation.y = (
            simulation.y,
            simulation.y + 1000,
        )
        without.append(simulation.frames(size))
        simulation.y = height
        simulation.step(rng.integers(len(ACTIONS), size=40))
    found = player_present(torch.from_numpy(np.concatenate(with_player)).float() / 255)
    assert found.float().mean() > 0.99
    assert not player_present(torch.from_numpy(np.concatenate(without)).float() / 255).any()


def test_players_are_counted_once_each():
    frames = torch.from_numpy(Simulation(range(12)).frames(64)).float() / 255
    assert (count_players(frames) == 1).all()
    assert count_players(frames[0]).shape == () and count_players(frames[0]) == 1, (
        "one picture alone"
    )
    twice = frames.clone()
    twice[:, :32] = frames[:, 32:]  # the lower half of the picture above itself
    assert (count_players(twice) == 2).float().mean() > 0.9
    assert not count_players(torch.zeros(2, 3, 64, 64, 3)).any()


def test_a_smear_of_the_players_colours_is_no_player():
    frames = torch.from_numpy(record(2, 3, size=64)[0])
    assert player_present(frames).shape == (2, 3) and player_present(frames).all()
    assert not player_present(frames.mean(dim=(2, 3), keepdim=True).expand_as(frames)).any()
    assert not player_present(torch.rand(4, 64, 64, 3)).any()


@pytest.mark.parametrize("num_frames", [9, 16, 17, 33, 65])
def test_the_actions_of_a_long_video_come_in_order_and_each_once(num_frames):
    def infer(frames):  # names the frame that each action follows, and refuses long clips
        assert frames.shape[1] <= 16
        return frames[:, :-1, 0, 0, 0].long()

    genie = SimpleNamespace(latent_action_model=SimpleNamespace(infer=infer))
    frames = torch.arange(num_frames).float()[None, :, None, None, None]
    assert infer_long(genie, frames).tolist() == [list(range(num_frames - 1))]


def test_cycle_consistency_is_perfect_for_a_model_that_writes_the_action_into_the_picture(
    monkeypatch,
):
    sizes = {
        "tokenizer": SimpleNamespace(image_size=(32, 32)),
        "dynamics": SimpleNamespace(num_actions=8),
    }

    class Written(Again):
        def __init__(self, genie, prompt):
            self.prompt = prompt

        def step(self, actions):
            return self.prompt[:, -1] * 0 + actions[:, None, None, None] / 10

    written = SimpleNamespace(infer=lambda clip: (clip[:, :, 0, 0, 0] * 10).round().long())
    stand_in = SimpleNamespace(config=SimpleNamespace(**sizes), latent_action_model=written)
    monkeypatch.setattr("genie_mini.evaluation.cycle_consistency.Rollout", Written)
    scores = cycle_scores(stand_in, np.arange(8), num_levels=24)
    assert all(score.value == 1 for score in scores[:-1])
    assert scores[0].best < 0.5, "the simulator writes nothing into its pictures"
    assert scores[-1].value < 0.5, "it does what cannot be done"
    blind = SimpleNamespace(infer=lambda clip: torch.zeros(clip.shape[:2], dtype=torch.int64))
    stand_in = SimpleNamespace(config=SimpleNamespace(**sizes), latent_action_model=blind)
    scores = cycle_scores(stand_in, np.arange(8), num_levels=24)
    assert scores[0].value == 1 / 8
    assert scores[-1].value == 1, "whatever is futile looks as in the simulator"


def test_cached_and_uncached_logits_agree(make_genie, clips):
    genie = make_genie(num_blocks=2)
    assert cache_difference(genie, clips) < 1e-4
    genie.dynamics.transformer.time_rotation = lambda frames, position, device: type(
        genie.dynamics.transformer
    ).time_rotation(genie.dynamics.transformer, frames, 0, device)
    assert cache_difference(genie, clips) > 1e-4, "a cache that forgets the time is noticed"


def test_goals_are_met_from_the_right_side():
    assert meets_goal(Score("accuracy", 0.96, "share", goal=0.95, best=1.0))
    assert not meets_goal(Score("accuracy", 0.94, "share", goal=0.95, best=1.0))
    assert meets_goal(Score("flicker", 0.01, "share", goal=0.03, best=0.0))
    assert not meets_goal(Score("flicker", 0.04, "share", goal=0.03, best=0.0))
    assert meets_goal(Score("PSNR", 33, "dB", goal=32.0))
    table = format_scores(
        [Score("a", 1, "", goal=0.5), Score("b", 1, "dB", goal=2.0), Score("c", 1, "")]
    )
    assert [line[-1] for line in table.splitlines()[1:3]] == ["+", "-"] and table.splitlines()[
        3
    ].split() == [
        "c",
        "1",
    ]


def test_scores_are_saved_as_json(tmp_path):
    scores = [Score("a", np.float64(0.5), "dB", 0.1, None, 1.0), Score("b", 2.0, "")]
    save_scores(tmp_path / "scores.json", scores, np.array([LEFT, RIGHT, NOTHING]))
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["latent_to_real"] == ["left", "right", "nothing"]
    assert content["scores"][0] == {
        "name": "a",
        "value": 0.5,
        "unit": "dB",
        "chance": 0.1,
        "best": None,
        "goal": 1.0,
    }


class Exact:
    """Stands in for a tokenizer: a frame's token is its grey level, and decoding is exact."""

    def __init__(self, tokenizer, flickers=0.0):
        self.config, self.flickers = tokenizer.config, flickers

    def encode(self, frames):
        tokens = (frames[:, :, ::4, ::4, 0] * 16).round().long().flatten(2)
        tokens[:, 1::2, : int(16 * self.flickers)] += 16
        return tokens

    def decode(self, tokens):
        grey = (tokens % 16).float().unflatten(2, (4, 4)) / 16
        return (
            grey.repeat_interleave(4, 2)
            .repeat_interleave(4, 3)[..., None]
            .expand(-1, -1, -1, -1, 3)
        )


def test_the_tokenizers_scores_have_known_values(genie):
    class Stub:
        tokenizer = Exact(genie.tokenizer)

    frames = Stub.tokenizer.decode(torch.randint(16, (20, 1, 16)).expand(-1, 6, -1))
    scores = values(tokenizer_scores(Stub, frames))
    assert scores["tokenizer PSNR"] == pytest.approx(120)
    assert scores["codes in use"] == 16 / 32
    assert scores["flicker: tokens that change where pixels do not"] == 0
    Stub.tokenizer = Exact(genie.tokenizer, flickers=0.25)
    assert (
        values(tokenizer_scores(Stub, frames))["flicker: tokens that change where pixels do not"]
        == 0.25
    )
    moving = Stub.tokenizer.decode(torch.arange(6).repeat(20, 1)[..., None].expand(-1, -1, 16))
    assert values(tokenizer_scores(Stub, moving))["tokens that change where pixels do"] == 1


def test_predictions_are_compared_with_repeating_the_last_frame(genie, make_clips):
    frames = make_clips(num_clips=3, num_frames=16)
    scores = {
        score.name: score
        for score in prediction_scores(genie, frames, genie.latent_action_model.infer(frames))
    }
    assert all(math.isfinite(score.value) for score in scores.values())
    assert scores["delta PSNR at t = 4"].chance == 0


def test_evaluating_an_untrained_genie_runs_to_the_end_and_finds_no_skill(make_genie, monkeypatch):
    monkeypatch.setattr(evaluation, "_TIMED_STEPS", 10)
    for name, fewer in (
        ("rollout_scores", {"num_levels": 4, "length": 20}),
        ("cycle_scores", {"num_levels": 8}),
    ):
        monkeypatch.setattr(evaluation, name, partial(getattr(evaluation, name), **fewer))
    genie = make_genie(size=32, patch_size=8, context=16)
    scores, names = evaluation.evaluate(genie, num_clips=40)
    by_name = {score.name: score for score in scores}
    assert len(by_name) == len(scores), "no two scores share a name"
    assert names.shape == (8,) and set(names) <= set(range(len(ACTIONS)))
    goals = [score for score in scores if score.goal is not None]
    assert len(goals) >= 8 and all(math.isfinite(score.value) for score in goals)
    assert not meets_goal(by_name["tokenizer PSNR"]) and not meets_goal(
        by_name["delta PSNR at t = 4"]
    )
    assert by_name["largest difference of cached and uncached logits"].value < 1e-4
    assert by_name["player present in a roll-out of 20 frames"].best > 0.95
