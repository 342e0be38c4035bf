"""A strip shows what has been learnt: the film behind the networks, then what each action does."""

import io

import numpy as np
import pytest
import torch
from fake_device import FakeDevice, move
from PIL import Image

from genie_mini.evaluation import action_grid
from genie_mini.evaluation.action_grid import draw_strip, play_actions
from genie_mini.evaluation.any_world import reconstruct
from genie_mini.files import to_uint8
from genie_mini.rollout import Rollout

TILE, GAP = 64, 2


def tiles(png, columns):
    """The pictures of a strip, (rows, columns, 16, 16, 3) uint8, cut out and made small again."""
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture)
    left = pixels.shape[1] - columns * (TILE + GAP)
    grid = pixels[:, left:].reshape(-1, TILE + GAP, columns, TILE + GAP, 3).swapaxes(1, 2)
    large = grid[:, :, :TILE, :TILE]
    small = large[:, :, ::4, ::4]
    assert (small.repeat(4, axis=2).repeat(4, axis=3) == large).all(), "nothing is smoothed"
    assert pixels[:, :left].max() > 200, "the rows have names"
    return small


@pytest.fixture
def film(make_clips):
    return make_clips(1, 8)[0]


def test_before_anything_can_be_played_the_film_is_shown_behind_the_networks(genie, film):
    shown, kept = tiles(draw_strip(genie, {"tokenizer"}, film=film), 7)
    assert (shown == to_uint8(film[1:])).all()
    assert (kept == to_uint8(reconstruct(genie, film[None])[0, 1:])).all()
    three = tiles(draw_strip(genie, {"tokenizer", "latent_action_model"}, film=film), 7)
    model = genie.latent_action_model
    drawn = model.predict(film[None, :-1], model.infer(film[None]))[0]
    assert (three[:2] == [shown, kept]).all() and (three[2] == to_uint8(drawn)).all()


def test_then_each_action_is_held_from_the_prompt(genie, film):
    rows = tiles(draw_strip(genie, {"dynamics"}, film=film), 7)
    assert len(rows) == genie.config.dynamics.num_actions
    assert (rows[:, 0] == to_uint8(film[3])).all(), "the prompt's last frame comes first"
    for action, row in enumerate(rows):
        rollout = Rollout(genie, film[None, :4])
        for picture in row[1:]:
            assert (picture == to_uint8(rollout.step(torch.tensor([action]))[0])).all()


def test_a_film_of_two_frames_is_enough(genie, film):
    everything = {"tokenizer", "latent_action_model"}
    assert len(tiles(draw_strip(genie, everything, film=film[:2]), 1)) == 3
    assert (
        tiles(draw_strip(genie, {"dynamics"}, film=film[:2]), 7)[:, 0] == to_uint8(film[1])
    ).all()


def test_only_the_frames_that_are_asked_for_are_shown(genie, make_clips):
    prompts = make_clips(2, 4)
    every, some = play_actions(genie, prompts, (1, 2, 3)), play_actions(genie, prompts, (1, 3))
    assert every.shape == (2, 8, 3, 16, 16, 3)
    assert torch.equal(some, every[:, :, [0, 2]])


@pytest.mark.parametrize("learnt", [{"latent_action_model"}, {"dynamics"}], ids=str)
def test_a_strip_is_drawn_on_any_device(make_genie, film, learnt, monkeypatch):
    monkeypatch.setattr(action_grid, "_DREAMT", 2)
    here = draw_strip(make_genie(), learnt, film=film)
    with FakeDevice():
        there = draw_strip(move(make_genie()), learnt, film=film)
    columns = 3 if "dynamics" in learnt else 7
    assert np.abs(tiles(here, columns).astype(int) - tiles(there, columns)).max() <= 1
