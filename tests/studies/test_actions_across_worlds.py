"""Movements of pictures are measured as they are, and the agreement of two worlds is told from
chance.
"""

import numpy as np
import pytest
import torch
from tiny import tiny_genie

from genie_mini.evaluation.any_world import Clips
from genie_mini.studies.actions_across_worlds import (
    agreement,
    picture_movement,
    world_movements,
)


def scrolled(moves, side=64, seed=0):
    """A film of noise in blocks of two pixels that scrolls by (down, right) at each step."""
    noise = np.random.default_rng(seed).random((side * 2, side * 2, 3)).repeat(2, 0).repeat(2, 1)
    top, left, film = side, side, []
    for down, right in [(0, 0), *moves]:
        top, left = top - down, left - right  # the window goes the other way
        film.append(noise[top : top + side, left : left + side])
    return torch.from_numpy(np.stack(film)).float()


@pytest.mark.parametrize("side", [32, 64])
def test_a_scroll_is_measured_in_pixels_down_and_to_the_right(side):
    far = 12 * side // 64
    moves = [(2, 0), (0, -3), (0, 0), (-1, 2), (-far, 0)]
    found = picture_movement(scrolled(moves, side)[None])
    assert found.shape == (1, 5, 2)
    assert np.allclose(found[0], moves, atol=0.25)


def test_what_no_movement_explains_is_no_movement():
    still = scrolled([(0, 0)] * 3)[None]
    noise = torch.rand(1, 4, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    assert not picture_movement(still).any() and not picture_movement(noise).any()


def test_a_small_thing_that_moves_counts_and_the_still_ground_does_not():
    film = torch.full((1, 4, 64, 64, 3), 0.3)
    for t in range(4):
        film[0, t, 20 + 3 * t : 26 + 3 * t, 30:32] = 1.0
    # Blocks that hold an edge of it alone fit elsewhere, too.
    assert np.allclose(picture_movement(film)[0], [[3.0, 0.0]] * 3, atol=0.6)


def test_each_action_gets_the_movement_it_was_inferred_with(monkeypatch):
    genie = tiny_genie()
    size = genie.config.tokenizer.image_size[0]
    moves = {0: (0, 1), 1: (2, 0), 2: (0, 0)}
    order = [[0, 1, 2], [1, 1, 0], [2, 0, 1], [0, 0, 2], [1, 2, 2], [0, 2, 1]]
    films = [
        scrolled([moves[code] for code in codes], size, seed=n) for n, codes in enumerate(order)
    ]
    clips = Clips(np.arange(6), torch.stack(films), np.arange(6))
    codes = torch.tensor(order)
    monkeypatch.setattr(genie.latent_action_model, "infer", lambda frames: codes[: len(frames)])
    found = world_movements(genie, clips)
    for code, move in moves.items():
        assert np.allclose(found.mean[code], move, atol=0.3)
        low, high = found.intervals[code].T
        assert (low <= found.mean[code] + 1e-9).all() and (found.mean[code] <= high + 1e-9).all()
    assert np.isclose(found.shares.sum(), 1) and np.isclose(found.shares[0], 6 / 18)
    assert np.isnan(found.mean[3:]).all() and np.isnan(found.intervals[3:]).all()


def test_chance_is_the_share_of_pairings_that_agree_as_well():
    one = np.array([3.0, 1.0, 0.0, -2.0])
    assert agreement(one, 2 * one + 5) == pytest.approx((1.0, 1 / 24))
    told, chance = agreement(one, -one)
    assert told == pytest.approx(-1.0) and chance == 1.0
    with_gap = np.append(one, np.nan)
    assert agreement(with_gap, np.append(2 * one, 7.0)) == pytest.approx((1.0, 1 / 24))
    assert agreement(one, np.zeros(4)) == (0.0, 1.0), "a world that never moves agrees with none"
    two = np.stack([one, np.array([0.0, 2.0, 1.0, 1.0])], axis=1)
    assert agreement(two, two) == pytest.approx((1.0, 1 / 24))
    assert agreement(two, two * [1, -1])[0] == pytest.approx(0.0)


def test_of_an_action_that_few_films_hold_nothing_sure_is_said(monkeypatch):
    genie = tiny_genie()
    size = genie.config.tokenizer.image_size[0]
    films = torch.stack([scrolled([(0, 1)] * 3, size, seed=n) for n in range(6)])
    codes = torch.zeros(6, 3, dtype=torch.int64)
    codes[:2, 0] = 1
    monkeypatch.setattr(genie.latent_action_model, "infer", lambda frames: codes[: len(frames)])
    found = world_movements(genie, Clips(np.arange(6), films, np.arange(6)))
    assert not np.isnan(found.mean[:2]).any() and not np.isnan(found.intervals[0]).any()
    assert np.isnan(found.intervals[1]).all()
