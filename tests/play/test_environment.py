"""Both worlds are proper Gymnasium environments, and a Genie's takes any picture to begin with."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image
from tiny import tiny_genie

from genie_mini import GenieEnv
from genie_mini.play.prompts import level_picture
from genie_mini.world import HELD_OUT_SEED

ARGUMENTS = {
    "genie_mini/Platformer-v0": {"size": 32, "render_mode": "rgb_array"},
    "genie_mini/Genie-v0": {"genie": tiny_genie()},
}


@pytest.fixture
def environment():
    return GenieEnv(tiny_genie())


@pytest.mark.parametrize("name", ARGUMENTS)
def test_gymnasium_finds_nothing_wrong(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(name, **ARGUMENTS[name]).unwrapped)


def test_actions_are_the_latent_ones_and_observations_the_pictures(environment):
    observation, info = environment.reset(seed=3)
    assert environment.action_space == gymnasium.spaces.Discrete(8)
    assert observation.shape == (32, 32, 3) and observation.dtype == np.uint8
    assert info["tokens"].shape == (16,)
    following, reward, terminated, truncated, later = environment.step(5)
    assert following.shape == (32, 32, 3) and np.array_equal(following, environment.render())
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert not np.array_equal(later["tokens"], info["tokens"])


def test_the_seed_alone_decides_the_game(environment):
    def play(seed):
        frames = [environment.reset(seed=seed)[0]]
        return np.stack(frames + [environment.step(action)[0] for action in (1, 2, 2)])

    assert np.array_equal(play(4), play(4))
    assert not np.array_equal(play(4), play(5))


def test_sampling_follows_the_seed_in_one_level_too(environment):
    def play(seed):
        environment.reset(seed=seed, options={"level": 3})
        return environment.step(1)[0]

    assert np.array_equal(play(4), play(4)) and not np.array_equal(play(4), play(5))


def test_without_options_it_begins_in_a_held_out_level(environment):
    observation, info = environment.reset(seed=1)
    assert info["level"] >= HELD_OUT_SEED
    again, _ = environment.reset(options={"level": info["level"]})
    assert np.array_equal(observation, again)


def test_a_file_an_array_and_a_tensor_of_one_picture_begin_alike(environment, tmp_path):
    picture = level_picture(12, (32, 32))
    pixels = (picture * 255).round().numpy().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "prompt.png")
    starts = [
        environment.reset(seed=0, options={"prompt": prompt})[1]["tokens"]
        for prompt in (
            picture,
            picture.numpy(),
            pixels,
            tmp_path / "prompt.png",
            str(tmp_path / "prompt.png"),
        )
    ]
    assert all(np.array_equal(start, starts[0]) for start in starts)
    assert not np.array_equal(
        starts[0], environment.reset(seed=0, options={"level": 13})[1]["tokens"]
    )


def test_it_begins_from_several_frames_too(environment):
    clip = np.stack([level_picture(level, (32, 32)).numpy() for level in (1, 2, 3)])
    tokens = environment.reset(options={"prompt": clip})[1]["tokens"]
    assert tokens.shape == (16,)


@pytest.mark.parametrize("action", [-1, 8, 2.5])
def test_an_action_out_of_range_is_one_clear_error(environment, action):
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="integers from 0 to 7"):
        environment.step(action)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"prompt": "nowhere.png"}, "nowhere.png is not a picture"),
        ({"prompt": np.zeros((64, 64, 3))}, r"must be \(32, 32, 3\).*got shape \(64, 64, 3\)"),
        ({"prompt": np.zeros((32, 32, 3), dtype=int)}, "bytes or floats"),
        ({"prompt": np.full((32, 32, 3), 255.0)}, "values from 255 to 255"),
        ({"level": -1}, "from 0 up"),
        ({"level": 1, "prompt": np.zeros((32, 32, 3))}, "one of them"),
        ({"promt": np.zeros((32, 32, 3))}, "'promt'"),
    ],
)
def test_a_bad_beginning_is_one_clear_error(environment, options, message):
    with pytest.raises(ValueError, match=message):
        environment.reset(options=options)


def test_a_step_before_the_first_reset_says_so(environment):
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        environment.step(0)
