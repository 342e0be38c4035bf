"""Both worlds are proper Gymnasium environments, and a Genie's takes any picture to begin with."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from PIL import Image
from tiny import tiny_genie

from genie_mini import GenieEnv
from genie_mini.errors import GenieError
from genie_mini.export import choose_engine
from genie_mini.play.prompts import level_picture
from genie_mini.world import HELD_OUT_SEED

ARGUMENTS = {
    "genie_mini/Platformer-v0": {"size": 32, "render_mode": "rgb_array"},
    "genie_mini/Genie-v0": {"genie": tiny_genie()},
}
TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def environment():
    return GenieEnv(tiny_genie())


@pytest.fixture(params=ARGUMENTS)
def either(request):
    """Each of the two environments, begun."""
    environment = gymnasium.make(request.param, **ARGUMENTS[request.param]).unwrapped
    environment.reset(seed=0)
    return environment


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


def test_an_export_is_played_as_its_genie_is(tmp_path):
    def play(genie):
        environment = GenieEnv(genie, temperature=0.5, min_p=0.1)
        first = environment.reset(seed=3)[0]
        return np.stack([first, *(environment.step(action)[0] for action in (1, 5))]).astype(int)

    genie = tiny_genie()
    frames = play(choose_engine(genie, "onnxruntime", tmp_path))
    assert np.abs(frames - play(genie)).max() <= 1
    with pytest.raises(GenieError, match="a Genie is needed, got 3"):
        GenieEnv(3)


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


@pytest.mark.parametrize(
    "action",
    [-1, 8, 3.7, 3.0, True, np.True_, "2", None, [2], np.array([2]), 2**70, float("nan")],
    ids=str,
)
def test_what_is_no_action_is_one_clear_error_and_the_world_stands_still(either, action):
    before = either.render()
    with pytest.raises(GenieError, match="integers from 0 to 7, got"):
        either.step(action)
    assert np.array_equal(either.render(), before)


@pytest.mark.parametrize(
    "integer", [int, np.int64, np.uint8, np.array, torch.tensor], ids=lambda kind: kind.__name__
)
def test_an_action_may_be_an_integer_of_any_library(either, integer):
    expected = either.step(5)[0]
    either.reset(seed=0)
    assert np.array_equal(either.step(integer(5))[0], expected)


@pytest.mark.parametrize("seed", [-1, True, 1.5, "1", float("nan")])
def test_what_is_no_seed_is_one_clear_error_and_the_world_goes_on(either, seed):
    with pytest.raises(GenieError, match="a seed is an integer from 0 up, got"):
        either.reset(seed=seed)
    either.step(1)


@pytest.mark.parametrize("seed", [2**63, 2**64, 10**30, np.int64(3), np.uint8(3)])
def test_a_seed_of_any_size_begins_the_same_world_again(either, seed):
    first = either.reset(seed=seed)[0]
    assert np.array_equal(either.reset(seed=int(seed))[0], first)


@pytest.mark.parametrize("options", [{"levle": 3}, {"seed": 3}, 5, "level"])
def test_options_that_an_environment_has_not_are_refused(either, options):
    with pytest.raises(GenieError, match="options"):
        either.reset(options=options)


@pytest.mark.parametrize("level", [True, 2.5, "7", None, float("nan")])
def test_what_is_no_level_is_one_clear_error(environment, level):
    with pytest.raises(GenieError, match="an integer from 0 up"):
        environment.reset(options={"level": level})


@pytest.mark.parametrize(
    "prompt, message",
    [
        ([[1, 2], [3]], "must be"),
        (None, "got shape"),
        (b"picture", "got shape"),
        ([["a"]], "got shape"),
        (np.full((32, 32, 3), None), "bytes or floats"),
        (torch.zeros(32, 32, 3, dtype=torch.complex64), "bytes or floats"),
        (np.full((32, 32, 3), np.nan), "values from nan"),
    ],
    ids=str,
)
def test_a_prompt_of_another_type_is_one_clear_error(environment, prompt, message):
    with pytest.raises(GenieError, match=message):
        environment.reset(options={"prompt": prompt})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_prompt_may_be_floats_of_any_width(environment, dtype):
    picture = level_picture(12, (32, 32)).to(dtype)
    tokens = environment.reset(seed=0, options={"prompt": picture})[1]["tokens"]
    expected = environment.reset(seed=0, options={"prompt": picture.float()})[1]["tokens"]
    assert np.array_equal(tokens, expected)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_was_never_begun_says_so_and_no_other_way_to_render_is_taken(name):
    environment = gymnasium.make(name, **ARGUMENTS[name]).unwrapped
    for ask in (lambda: environment.step(0), environment.render):
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            ask()
    with pytest.raises(GenieError, match="render_mode is rgb_array or None, got 'human'"):
        type(environment)(**ARGUMENTS[name] | {"render_mode": "human"})


@pytest.mark.parametrize("steps", [0, 17, 3.5, True, "8", None])
def test_steps_that_a_frame_cannot_have_are_refused_before_the_game(steps):
    with pytest.raises(GenieError, match=r"maskgit_steps must lie in \[1, 16\]"):
        GenieEnv(tiny_genie(), maskgit_steps=steps)


@pytest.mark.parametrize("temperature", [-1, float("nan"), 1e-38, True, "1", None])
def test_a_temperature_that_there_is_not_is_refused_before_the_game(temperature):
    with pytest.raises(GenieError, match="temperature must be 0 or more"):
        GenieEnv(tiny_genie(), temperature=temperature)


@pytest.mark.parametrize("min_p", [-0.1, 1.1, float("nan"), True, "1"])
def test_a_share_that_there_is_not_is_refused_before_the_game(min_p):
    with pytest.raises(GenieError, match=r"min_p must lie in \[0, 1\]"):
        GenieEnv(tiny_genie(), min_p=min_p)


def test_the_tail_is_cut_if_asked():
    def play(**options):
        environment = GenieEnv(genie, **options)
        environment.reset(seed=4)
        return np.stack([environment.step(action)[0] for action in (1, 2, 5)])

    genie = tiny_genie()
    assert np.array_equal(play(min_p=1), play(temperature=0)), "only the likeliest token is left"
    genie.dynamics.min_p = 1.0
    assert np.array_equal(play(), play(temperature=0)), "as the weights say"
    genie.dynamics.min_p = 0.0
    assert np.array_equal(play(min_p=0), play()) and not np.array_equal(play(min_p=1), play())


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_torchs_default_type_changes_no_frame(default):
    def play(genie):
        environment = GenieEnv(genie)
        environment.reset(seed=4)
        return [environment.step(action)[0] for action in (1, 2, 5)]

    genie = tiny_genie()
    expected = play(genie)
    torch.set_default_dtype(default)
    try:
        same = tiny_genie()  # of the shapes only: other numbers are drawn
        same.load_state_dict(genie.state_dict())
        assert np.array_equal(play(same), expected)
        assert np.array_equal(play(genie), expected)
    finally:
        torch.set_default_dtype(torch.float32)


VECTORS = """
import sys
import gymnasium
import numpy as np
import torch
from tiny import tiny_genie

def frames(name, number, mode, **options):
    environments = gymnasium.make_vec(name, num_envs=number, vectorization_mode=mode, **options)
    first = environments.reset(seed=3)[0].copy()
    following = [environments.step([1, 5][:number])[0].copy() for _ in range(2)]
    environments.close()
    return np.stack([first, *following])

if __name__ == "__main__":
    torch.set_num_threads(2)
    for context, number in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
        for name in ("genie_mini/Platformer-v0", "genie_mini/Genie-v0"):
            options = {"genie": tiny_genie()} if "Genie" in name else {}
            # Together, in this process: it has used all of its threads before any other begins.
            torch.rand(400, 400) @ torch.rand(400, 400)
            torch.rand(1_000_000).exp()
            together = frames(name, number, "sync", **options)
            apart = frames(name, number, "async", vector_kwargs={"context": context}, **options)
            assert np.array_equal(together, apart)
            print(context, name, "the same frames", flush=True)
"""


def test_processes_of_their_own_play_the_same_frames_on_several_threads(tmp_path):
    """Forked after torch has computed on several threads, they once waited for ever."""
    # One of those that are spawned, since each takes seconds to import everything.
    contexts = {"fork": 2, "spawn": 1} if hasattr(os, "fork") else {"spawn": 1}
    script = tmp_path / "vectors.py"
    script.write_text(f"import genie_mini\n{VECTORS}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), *(str(word) for pair in contexts.items() for word in pair)],
        env=os.environ
        | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    names = "genie_mini/Platformer-v0", "genie_mini/Genie-v0"
    told = [f"{context} {name} the same frames" for context in contexts for name in names]
    assert done.stdout.splitlines() == told, done.stderr
