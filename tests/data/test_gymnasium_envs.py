"""Somebody plays an environment; its pictures and, apart, its actions are kept."""

import gymnasium
import numpy as np
import pytest

from genie_mini.data.cache import NO_ACTION, CachedVideos, fill_cache, true_actions
from genie_mini.data.gymnasium_envs import POLICIES, GymnasiumSource, action_meanings
from genie_mini.data.pictures import Canvas
from genie_mini.errors import GenieError
from genie_mini.world import ACTIONS, Platformer, Simulation

PLATFORMER = "genie_mini/Platformer-v0"


def test_the_same_seed_gives_the_same_films():
    def films(seed):
        source = GymnasiumSource(PLATFORMER, Canvas(32), 60, seed=seed, longest=40)
        return [(film.name, list(film.moments)) for film in source.films()]

    first, again, other = films(1), films(1), films(2)
    assert [len(moments) for _, moments in first] == [40, 20]
    assert all(
        np.array_equal(frame, frame_again) and action == action_again
        for (_, one), (_, two) in zip(first, again, strict=True)
        for (frame, action), (frame_again, action_again) in zip(one, two, strict=True)
    )
    assert any(one[1] != two[1] for one, two in zip(first[0][1], other[0][1], strict=True))


def test_an_action_leads_from_its_frame_to_the_next():
    film = next(GymnasiumSource(PLATFORMER, Canvas(64), 30, seed=3).films())
    frames, actions = zip(*film.moments, strict=True)
    simulation = Simulation([3])
    for frame, action in zip(frames, actions, strict=True):
        assert np.array_equal(frame, simulation.frames()[0])
        if action != NO_ACTION:
            simulation.step([action])
    assert actions[-1] == NO_ACTION and NO_ACTION not in actions[:-1]


def test_an_episode_that_ends_begins_another_film():
    right = [ACTIONS.index("dash right"), ACTIONS.index("jump right")]
    source = GymnasiumSource(
        PLATFORMER, Canvas(32), 500, policy=lambda rng, before, num_actions: rng.choice(right)
    )
    lengths = [len(list(film.moments)) for film in source.films()]
    assert len(lengths) > 1 and sum(lengths) == 500


def test_films_and_actions_come_out_of_the_cache_together(tmp_path):
    source = GymnasiumSource(PLATFORMER, Canvas(32), 200, seed=5, longest=50)
    folder = fill_cache(source, tmp_path, progress=False)
    videos = CachedVideos(folder)
    starts = videos.starts(6, 4, [0])
    assert videos.image_size == (32, 32) and videos.frames_per_second == 10
    assert (true_actions(folder, starts, 4) >= 0).all()


def test_policies_take_every_action_and_repeating_ones_keep_to_them():
    rng = np.random.default_rng(0)
    kept = {}
    for name, policy in POLICIES.items():
        actions = [policy(rng, None, 8)]
        for _ in range(2000):
            actions.append(policy(rng, actions[-1], 8))
        assert set(actions) == set(range(8))
        kept[name] = np.mean(np.array(actions[1:]) == np.array(actions[:-1]))
    assert kept["random"] < 0.2 < 0.7 < kept["repeated"]


@pytest.mark.parametrize(
    ("name", "policy", "reason"),
    [
        ("NoSuchWorld-v0", "random", "no environment NoSuchWorld-v0"),
        ("ALE/NoSuchGame-v5", "random", "is its package"),
        ("genie_mini/Continuous-v0", "random", "numbered ones"),
        (PLATFORMER, "clever", "one of random, repeated, got 'clever'"),
    ],
)
def test_what_cannot_be_recorded_says_so(name, policy, reason, monkeypatch):
    class Continuous(gymnasium.Env):
        metadata = {"render_modes": ["rgb_array"]}
        observation_space = gymnasium.spaces.Box(0, 1, (2,))
        action_space = gymnasium.spaces.Box(-1, 1, (2,))

        def __init__(self, render_mode=None):
            self.render_mode = render_mode

    gymnasium.register("genie_mini/Continuous-v0", Continuous)
    try:
        with pytest.raises(GenieError, match=reason):
            GymnasiumSource(name, Canvas(32), 10, policy=policy)
    finally:
        del gymnasium.registry["genie_mini/Continuous-v0"]


def test_an_environment_says_what_its_actions_are_or_nobody_does():
    def meanings(env_id):
        return action_meanings(GymnasiumSource(env_id, Canvas(32), 10).identity)

    assert meanings(PLATFORMER) == list(ACTIONS)

    class Talker(Platformer):
        def get_action_meanings(self):
            return self.meanings

    gymnasium.register("genie_mini/Talker-v0", Talker)
    try:
        for said, expected in (
            (["NOOP"] * 8, ["noop"] * 8),
            (["NOOP"], None),  # not one for each
            ([], None),
        ):
            Talker.meanings = said
            assert meanings("genie_mini/Talker-v0") == expected
    finally:
        del gymnasium.registry["genie_mini/Talker-v0"]
    assert action_meanings({"kind": "files", "files": []}) is None


def test_atari_is_recorded_where_it_is_installed():
    pytest.importorskip("ale_py", reason="Atari's package ale-py is not installed")
    source = GymnasiumSource("ALE/Pong-v5", Canvas(64), 5, seed=0)
    frames, actions = zip(*next(source.films()).moments, strict=True)
    assert np.stack(frames).shape == (5, 64, 64, 3) and np.stack(frames).std() > 0
