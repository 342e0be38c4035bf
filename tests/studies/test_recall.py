"""The probe of memory: chance for who forgets, all for who reads the simulator, and nothing in
between by accident.
"""

import numpy as np
import pytest
import torch

from genie_mini.evaluation.metrics import wilson
from genie_mini.rollout import Rollout
from genie_mini.studies.recall import OLDEST, read_landmark, recall, recall_by_way
from genie_mini.studies.twin_worlds import (
    FARTHEST,
    LANDMARKS,
    SHOWN,
    Dreamt,
    Simulated,
    latent_actions,
    twin_worlds,
)
from genie_mini.world import ACTIONS
from genie_mini.world.simulation import DASH_LEFT, DASH_RIGHT, NOTHING, SIZES
from genie_mini.world.sprites import EMPTY

NAMES = np.arange(len(ACTIONS))  # latent action n stands for the real action n
AGES = [1, 2, 7, 16, 17, OLDEST]


@pytest.fixture(scope="module")
def worlds():
    return twin_worlds(30, size=32)


def test_twins_differ_in_the_landmark_and_in_nothing_else(worlds):
    with_landmark, without = worlds.simulations
    differ = with_landmark.tiles != without.tiles
    assert (differ.sum(axis=(1, 2)) == 1).all()
    pairs, rows, columns = np.nonzero(differ)
    assert np.array_equal(rows, worlds.rows)
    assert np.array_equal(with_landmark.tiles[pairs, rows, columns], worlds.kinds)
    assert (without.tiles[pairs, rows, columns] == EMPTY).all()
    assert sorted(set(worlds.kinds)) == sorted(LANDMARKS)
    pixels = (worlds.prompts[0] != worlds.prompts[1]).any(dim=-1)
    assert pixels.any(dim=(2, 3)).all(), "the landmark can be seen in every frame of the prompt"
    assert not pixels[..., 4:].any(), "and only in the leftmost column"


@pytest.mark.parametrize("size", SIZES)
def test_the_landmark_leaves_the_screen_and_comes_back(size):
    worlds = twin_worlds(20, size=size, seed=3)
    first, second = (Simulated(simulation, size) for simulation in worlds.simulations)
    for action, same in ((DASH_RIGHT, True), (NOTHING, True), (NOTHING, True), (DASH_LEFT, False)):
        differ = (first.step(action) != second.step(action)).any(dim=(1, 2, 3))
        assert (differ != same).all()


@pytest.mark.parametrize("size", SIZES)
def test_an_oracle_that_reads_the_simulator_recalls_all(size):
    worlds = twin_worlds(30, size=size, seed=1)
    for result in recall(lambda prompt, simulation: Simulated(simulation, size), worlds, AGES):
        assert result.recall == result.returned == 1.0 and result.cases == 60
        assert result.drawn_where_it_was == 1 and result.drawn_where_none_was == 0
        assert 0.9 < result.low < result.high == pytest.approx(1)


class Amnesiac:
    """The simulator's twin without the landmark, or with it, by the toss of a coin: a model that
    draws well and remembers nothing.
    """

    def __init__(self, worlds, seed):
        self.worlds = [Simulated(simulation, worlds.size) for simulation in worlds.simulations]
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, action):
        with_landmark, without = (world.step(action) for world in self.worlds)
        tossed = torch.rand(len(without), generator=self.generator) < 0.3
        return torch.where(tossed[:, None, None, None], with_landmark, without)

    def fork(self):
        fork = object.__new__(Amnesiac)
        fork.worlds = [world.fork() for world in self.worlds]
        fork.generator = self.generator
        return fork


@pytest.mark.parametrize("way", range(1, FARTHEST + 1))
def test_the_landmark_is_out_of_view_until_the_last_dash_of_a_way(way):
    worlds = twin_worlds(10, size=32, seed=4, dashes=way)
    first, second = (Simulated(simulation, 32) for simulation in worlds.simulations)
    start = worlds.prompts[:, :, -1]
    for step, action in enumerate([DASH_RIGHT] * way + [DASH_LEFT] * way, start=1):
        pictures = torch.stack([first.step(action), second.step(action)])
        differ = (pictures[0] != pictures[1]).any(dim=(1, 2, 3))
        assert (differ == (step == 2 * way)).all()
    back = (pictures - start).abs().mean(dim=(2, 3, 4))
    assert back.max() < 0.05, "all but the player looks as it did"


def test_who_reads_the_simulator_recalls_after_any_way_and_who_forgets_none():
    worlds = twin_worlds(12, size=32, seed=1, dashes=5)
    ways = [1, 2, 5]
    for result, way in zip(
        recall_by_way(lambda prompt, simulation: Simulated(simulation, 32), worlds, ways),
        ways,
        strict=True,
    ):
        assert result.recall == result.returned == 1.0
        assert (result.age, result.cases) == (2 * way, 24)
    forgets = recall_by_way(lambda prompt, simulation: Amnesiac(worlds, seed=0), worlds, ways)
    assert [result.recall for result in forgets] == [0.5] * 3


@pytest.mark.parametrize("dashes", [0, -1, FARTHEST + 1])
def test_a_way_that_leads_nowhere_or_off_the_level_is_refused(dashes):
    with pytest.raises(ValueError, match=f"from 1 to {FARTHEST} dashes, got {dashes}"):
        twin_worlds(1, size=32, dashes=dashes)


def test_a_model_without_memory_gets_chance(worlds):
    for result in recall(lambda prompt, simulation: Amnesiac(worlds, seed=0), worlds, AGES):
        assert result.recall == 0.5, "the twins are drawn alike: exactly one of two is right"
        assert 0 < result.drawn_where_it_was == result.drawn_where_none_was < 0.7
        assert result.low < 0.5 < result.high
    # With random numbers of its own for each twin, chance holds on average.
    seeds = iter((1, 2))
    for result in recall(
        lambda prompt, simulation: Amnesiac(worlds, next(seeds)), worlds, [2, 9, 30]
    ):
        assert result.low < 0.5 < result.high


def test_a_genie_that_never_saw_the_landmark_gets_chance(make_genie, worlds):
    genie = make_genie(size=32, patch_size=8)
    start = lambda prompt, simulation: Dreamt(Rollout(genie, prompt, seed=3), NAMES)  # noqa: E731
    assert [result.recall for result in recall(start, worlds, [2, 5], unseen=True)] == [0.5, 0.5]
    with pytest.raises(ValueError, match="from 2 to 120"):
        recall(start, worlds, [1], unseen=True)


def test_the_unseen_prompt_ends_where_the_tour_waits(worlds):
    prompts = []

    def start(prompt, simulation):
        prompts.append(prompt)
        return Simulated(simulation, worlds.size)

    assert recall(start, worlds, [2, 12], unseen=True)[1].recall == 1.0, (
        "the oracle goes on from the same moment"
    )
    assert prompts[0].shape[1] == SHOWN and torch.equal(prompts[0], prompts[1])


@pytest.mark.parametrize("shift", [0, 4, 8])
def test_a_camera_that_stops_a_little_beside_its_place_is_forgiven(shift):
    worlds = twin_worlds(40, size=64, seed=2)
    for simulation, there in zip(worlds.simulations, (True, False), strict=True):
        oracle = Simulated(simulation, 64)
        oracle.step(DASH_RIGHT)
        picture = oracle.step(DASH_LEFT)
        moved = torch.cat(
            [picture[:, :, :1].expand(-1, -1, shift, -1), picture[:, :, : 64 - shift]], dim=2
        )
        drawn, shifts = read_landmark(moved, worlds, standing=False)
        assert (drawn == there).float().mean() > 0.95
        assert (shifts == shift).float().mean() > 0.9


def test_each_real_action_is_played_as_a_latent_one_that_stands_for_it():
    assert latent_actions(np.array([3, 0, 3, 6])) == {3: 0, 0: 1, 6: 3}


def test_an_action_that_no_latent_one_stands_for_is_named(make_genie, worlds):
    genie = make_genie(size=32, patch_size=8)
    with pytest.raises(ValueError, match="dash left, dash right"):
        Dreamt(Rollout(genie, worlds.prompts[0]), np.zeros(8, int))


def test_the_same_worlds_come_from_the_same_seed():
    first, again, other = (twin_worlds(6, size=32, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.prompts, again.prompts) and not torch.equal(
        first.prompts, other.prompts
    )
    with pytest.raises(ValueError, match="at least one pair"):
        twin_worlds(0)


@pytest.mark.parametrize("ages", [[], [0, 1], [121]])
def test_impossible_ages_are_refused(worlds, ages):
    with pytest.raises(ValueError, match="from 1 to 120"):
        recall(lambda prompt, simulation: Simulated(simulation, 32), worlds, ages)


def test_wilsons_interval_has_known_values():
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1)
