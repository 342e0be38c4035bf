"""Procgen's games are environments of Gymnasium here; a stand-in for their package has one game."""

import sys
import types

import numpy as np
import pytest

from genie_mini.data.gymnasium_envs import GymnasiumSource, action_meanings
from genie_mini.data.pictures import Canvas
from genie_mini.data.procgen_games import ProcgenGame
from genie_mini.data.sources import source_from
from genie_mini.errors import GenieError

LENGTH = 7  # steps of a level of the stand-in


class _Counter:
    """A game as gym3 has it: when a level is over, the first picture of the next one is seen."""

    def __init__(self, num, env_name, rand_seed, num_threads):
        assert (num, env_name, num_threads) == (1, "counter", 0)
        self._seed, self._step = rand_seed, 0

    def get_combos(self):
        return [("LEFT", "DOWN"), (), ("D",)]

    def act(self, actions):
        assert actions.dtype == np.int32 and actions.shape == (1,)
        self._step += 1

    def observe(self):
        picture = np.full((1, 64, 64, 3), self._seed % 200 + self._step % LENGTH, dtype=np.uint8)
        return np.array([1.0]), {"rgb": picture}, np.array([self._step % LENGTH == 0])

    def close(self):
        pass


@pytest.fixture
def package(monkeypatch):
    package, env = types.ModuleType("procgen"), types.ModuleType("procgen.env")
    package.env, env.ENV_NAMES, package.ProcgenGym3Env = env, ["counter"], _Counter
    monkeypatch.setitem(sys.modules, "procgen", package)
    monkeypatch.setitem(sys.modules, "procgen.env", env)


def test_a_level_ends_before_the_picture_of_the_next(package):
    films = list(GymnasiumSource("procgen:counter", Canvas(64), 20, seed=1).films())
    pixels = [[int(frame[0, 0, 0]) for frame, _ in film.moments] for film in films]
    for seen in pixels[:2]:
        first = seen[0]
        assert seen == [*range(first, first + LENGTH), first + LENGTH - 1]
    assert pixels[0] != pixels[1]  # a level of its own for each film


def test_a_seed_begins_the_same_level_again(package):
    game = ProcgenGame("counter")
    first, other, again = (game.reset(seed=seed)[0] for seed in (3, 4, 3))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_its_actions_are_called_by_their_keys(package):
    identity = source_from("procgen:counter", (64, 64)).identity
    assert action_meanings(identity) == ["left+down", "noop", "d"]


def test_another_game_is_refused(package):
    with pytest.raises(GenieError, match="counter, got 'coinrum'"):
        source_from("procgen:coinrum", (64, 64))


def test_without_the_package_it_is_said_how_it_comes(monkeypatch):
    monkeypatch.setitem(sys.modules, "procgen", None)
    with pytest.raises(GenieError, match="pip install --no-deps procgen-mirror"):
        source_from("procgen:coinrun", (64, 64))


def test_coinrun_is_recorded_where_it_is_installed():
    pytest.importorskip("procgen", reason="Procgen's package procgen-mirror is not installed")
    source = GymnasiumSource("procgen:coinrun", Canvas(64), 40, seed=0, longest=20)
    films = [[frame for frame, _ in film.moments] for film in source.films()]
    again = [[frame for frame, _ in film.moments] for film in source.films()]
    assert np.array_equal(films, again) and not np.array_equal(films[0], films[1])
    assert len(source.films().__next__().name) and np.stack(films[0]).std() > 0
