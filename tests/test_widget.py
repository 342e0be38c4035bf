"""The notebook player does what its buttons, its key field and its sliders say."""

import io

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_genie

from genie_mini.controls import level_picture
from genie_mini.widget import player, to_png, token_colours

NAMES = ["left", "left", "right", "right", "jump", "jump", "nothing", "nothing"]


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image.value)))


@pytest.fixture
def game():
    return player(tiny_genie(), action_names=NAMES)


def played(game, monkeypatch):
    """A list that receives each action as it is played."""
    actions = []
    monkeypatch.setattr(game, "step", actions.append)
    return actions


def test_a_button_plays_its_action(game, monkeypatch):
    actions = played(game, monkeypatch)
    for button in game.buttons:
        button.click()
    assert actions == list(range(8))
    assert game.buttons[2].description == "2 right"


def test_keys_typed_into_the_field_play_and_others_do_not(game, monkeypatch):
    actions = played(game, monkeypatch)
    for text in ("3", "31", "31x9", "31x9dA", "31x", "77777"):  # the last two: deleted, then replaced
        game.key_field.value = text
    assert actions == [3, 1, 2, 0]


def test_letters_play_nothing_while_the_actions_have_no_names(monkeypatch):
    game = player(tiny_genie())
    actions = played(game, monkeypatch)
    game.key_field.value = "d7"
    assert actions == [7]


def test_frame_tokens_and_strip_follow_the_game(game):
    before = [pixels(image) for image in (game.frame, game.tokens, game.strip)]
    game.buttons[0].click()
    after = [pixels(image) for image in (game.frame, game.tokens, game.strip)]
    for old, new in zip(before, after, strict=True):
        assert old.shape == new.shape and not np.array_equal(old, new)
    newest, before_it = after[2][:, -32:], after[2][:, -66:-34]
    assert np.array_equal(newest, after[0][::10, ::10]), "the frame is drawn crisp, ten pixels for one"
    assert np.array_equal(before_it, before[2][:, -32:])
    assert "1" in game.status.value


def test_the_strip_holds_no_more_than_the_model_remembers(game):
    frames = []
    for action in range(40):
        game.step(action % 8)
        frames.append(pixels(game.frame)[::10, ::10])
    strip = pixels(game.strip)
    assert strip.shape == (32, 15 * 34 - 2, 3)
    assert all(np.array_equal(strip[:, 34 * i : 34 * i + 32], frame) for i, frame in enumerate(frames[-15:]))


def test_restart_brings_back_the_same_game(game):
    start = game.frame.value
    game.step(1)
    first = game.frame.value
    game.restart.click()
    assert game.frame.value == start
    game.step(1)
    assert game.frame.value == first


def test_sliders_reach_the_sampler(game, monkeypatch):
    used = []
    monkeypatch.setattr(
        game.genie.dynamics,
        "sample",
        lambda past, actions, **settings: used.append(settings) or game._session._rollout.tokens,
    )
    game.num_steps.value, game.temperature.value = 3, 0.5
    game.step(0)
    assert (used[0]["num_steps"], used[0]["temperature"]) == (3, 0.5)


def test_the_seed_chooses_the_level_and_a_prompt_replaces_it():
    genie = tiny_genie()
    frames = [
        player(genie, prompt=prompt, seed=seed).frame.value
        for prompt, seed in [(None, 0), (None, 1), (level_picture(5, (32, 32)), 0)]
    ]
    assert len(set(frames)) == 3


def test_wrong_names_are_one_clear_error():
    with pytest.raises(ValueError, match="8 latent actions, but 2 names"):
        player(tiny_genie(), action_names=["left", "right"])


def test_every_code_has_a_colour_of_its_own():
    colours = token_colours(np.arange(32).reshape(4, 8), 32)
    assert colours.shape == (4, 8, 3) and len(np.unique(colours.reshape(-1, 3), axis=0)) == 32


def test_a_picture_survives_the_way_through_png():
    picture = np.random.default_rng(0).integers(256, size=(4, 5, 3), dtype=np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(to_png(picture, 3))))
    assert np.array_equal(shown, picture.repeat(3, axis=0).repeat(3, axis=1))
