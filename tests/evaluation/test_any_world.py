"""Scores without labels: a Genie that knows the world gets the best possible, one that knows
nothing gets chance.
"""

import numpy as np
import pytest
import torch
from fake_device import FakeDevice, move
from world_of_levels import Blind, Exact, Knowing, Oracle, Still, cache_of, level_of, stand_in

from genie_mini.data.cache import CachedVideos
from genie_mini.errors import GenieError
from genie_mini.evaluation import any_world
from genie_mini.evaluation.any_world import (
    cycle_consistency,
    draw_clips,
    dream,
    drift_scores,
    long_clips,
    prediction_scores,
    reconstruct,
    tokenizer_scores,
)
from genie_mini.evaluation.metrics import in_batches
from genie_mini.genie import CLIP_FRAMES


@pytest.fixture
def held_out(tmp_path):
    return CachedVideos(cache_of(tmp_path, lengths=(90,) * 80), "held out")


def by_name(scores):
    return {score.name: score for score in scores}


def predicted(held_out, genie):
    clips = draw_clips(held_out, 40, CLIP_FRAMES, key=0)
    return by_name(prediction_scores(genie, clips, genie.latent_action_model.infer(clips.frames)))


def test_a_genie_that_knows_the_world_gets_the_best_scores(held_out, monkeypatch):
    monkeypatch.setattr(any_world, "Rollout", Oracle)
    genie = stand_in(Knowing(order=(3, 1, 0, 2, 7, 5, 6, 4)))
    scores = predicted(held_out, genie)
    following = scores["next frame above repeating the last"]
    assert following.value == pytest.approx(following.best) and following.value > 50
    assert scores["delta PSNR at t = 4"].value > 50
    clips = draw_clips(held_out, 40, CLIP_FRAMES, key=0)
    cycle, shares = cycle_consistency(genie, clips)
    assert cycle.value == cycle.best == 1 and cycle.chance == 1 / 8 and shares == [1] * 8
    assert cycle.interval == (1, 1)
    for score in drift_scores(genie, long_clips(held_out, 12))[0]:
        assert score.value == pytest.approx(score.best) and score.value > 50


def test_a_genie_that_never_moves_is_as_good_as_repeating(held_out, monkeypatch):
    monkeypatch.setattr(any_world, "Rollout", Still)
    genie = stand_in(Knowing())
    scores = predicted(held_out, genie)
    assert scores["next frame above repeating the last"].value == 0
    assert scores["delta PSNR at t = 4"].value == 0
    assert scores["next frame above repeating the last"].interval == (0, 0)
    clips = draw_clips(held_out, 40, CLIP_FRAMES, key=0)
    cycle, shares = cycle_consistency(genie, clips)
    assert cycle.value == 1 / 8 and shares == [1, *[0] * 7]
    for score in drift_scores(genie, long_clips(held_out, 12))[0]:
        assert score.value == 0 and score.best > 50


def test_latent_actions_that_say_anything_are_seen_again_by_chance(held_out, monkeypatch):
    monkeypatch.setattr(any_world, "Rollout", Oracle)
    clips = draw_clips(held_out, 200, CLIP_FRAMES, key=0)
    cycle, _ = cycle_consistency(stand_in(Blind()), clips)
    assert abs(cycle.value - 1 / 8) < 0.05 and cycle.interval[0] < cycle.value < cycle.interval[1]


def test_a_dream_goes_on_from_the_prompt_with_the_actions_of_the_clip(held_out, monkeypatch):
    monkeypatch.setattr(any_world, "Rollout", Oracle)
    frames = long_clips(held_out, 3).frames
    assert frames.shape[1] == 68
    dreamt = dream(stand_in(Knowing()), frames)
    assert torch.equal(level_of(dreamt), level_of(frames[:, 4:]))


def test_the_drift_is_measured_frame_by_frame(held_out, monkeypatch):
    class Late(Oracle):
        """Goes wrong from the eleventh frame on."""

        def step(self, latent):
            self.steps = getattr(self, "steps", 0) + 1
            super().step(latent)
            return self.frames if self.steps <= 10 else 1 - self.frames

    monkeypatch.setattr(any_world, "Rollout", Late)
    _, drift = drift_scores(stand_in(Knowing()), long_clips(held_out, 6))
    assert len(drift.rollout) == len(drift.repeated) == len(drift.tokenized) == 64
    assert min(drift.rollout[:10]) > 60 and max(drift.rollout[10:]) < 20
    assert min(drift.tokenized) > 60


def test_short_films_are_dreamt_as_far_as_they_go(tmp_path, monkeypatch):
    monkeypatch.setattr(any_world, "Rollout", Oracle)
    held_out = CachedVideos(cache_of(tmp_path, lengths=(20,) * 80), "held out")
    scores, drift = drift_scores(stand_in(Knowing()), long_clips(held_out, 8))
    assert len(drift.rollout) == 16 and scores[0].name.startswith("roll-out of 16 frames")
    tiny = CachedVideos(cache_of(tmp_path, lengths=(4,) * 80), "held out")
    with pytest.raises(GenieError, match="clips of 5 frames are needed.* has 4"):
        long_clips(tiny, 8)


def test_the_tokenizer_is_scored_on_what_it_keeps_and_how_quiet_it_is(tmp_path):
    clips = draw_clips(
        CachedVideos(cache_of(tmp_path, lengths=(90,) * 80), "held out"), 60, CLIP_FRAMES, key=0
    )
    scores = by_name(tokenizer_scores(stand_in(Knowing()), clips))
    assert scores["tokenizer PSNR"].value > 100 > 30 > scores["tokenizer PSNR"].chance
    assert scores["codes in use"].value == 16 / 32 and scores["codes in use"].interval is None
    assert scores["flicker: tokens that change where pixels do not"].value == 0
    assert scores["tokens that change where pixels do"].value == 1

    class Flickering(Exact):
        def encode(self, frames):
            tokens = super().encode(frames).clone()
            tokens[:, 1::2, 8:12] += 16
            return tokens

    genie = stand_in(Knowing())
    genie.tokenizer = Flickering()
    flicker = by_name(tokenizer_scores(genie, clips))[
        "flicker: tokens that change where pixels do not"
    ]
    still = 15 + 1 / 8  # patches: the corner too, where the action is none
    assert flicker.value == pytest.approx(4 / still, abs=0.005)
    assert flicker.interval[0] <= flicker.value <= flicker.interval[1]


def test_where_nothing_is_ever_still_there_is_no_flicker(genie, make_clips):
    frames = torch.rand(6, CLIP_FRAMES, 16, 16, 3)
    clips = any_world.Clips(np.arange(6), frames, np.arange(6))
    names = by_name(tokenizer_scores(genie, clips))
    assert "tokens that change where pixels do" in names
    assert not any(name.startswith("flicker") for name in names)


def test_no_clip_is_drawn_twice_and_none_from_training(tmp_path):
    folder = cache_of(tmp_path)
    train, held_out = (CachedVideos(folder, split) for split in ("train", "held out"))
    kept = draw_clips(held_out, 300, CLIP_FRAMES, key=0)
    assert len(set(kept.starts)) == len(kept.starts) == len(kept.frames)
    seen = draw_clips(train, 3000, CLIP_FRAMES, key=0)
    frames = [set((c.starts[:, None] + np.arange(CLIP_FRAMES)).ravel()) for c in (kept, seen)]
    assert frames[0] and frames[1] and not frames[0] & frames[1]
    assert not set(held_out.films(kept.starts)) & set(train.films(seen.starts))


def test_long_films_are_reconstructed_in_order(held_out):
    frames = long_clips(held_out, 2).frames
    assert torch.equal(reconstruct(stand_in(Knowing()), frames), frames)


def test_the_scores_are_the_same_on_every_device(held_out, make_genie):
    def values(genie):
        clips = draw_clips(held_out, 3, CLIP_FRAMES, key=0)
        latent = in_batches(genie.latent_action_model.infer, clips.frames)
        scores = [*tokenizer_scores(genie, clips), *prediction_scores(genie, clips, latent)]
        return [score.value for score in scores]

    ours = values(make_genie(context=16))
    with FakeDevice():
        theirs = values(move(make_genie(context=16)))
    assert theirs == pytest.approx(ours, abs=1e-3)
