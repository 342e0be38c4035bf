"""The platformer: levels that follow from their seeds, physics with known answers, and a camera
that follows.
"""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from genie_mini.world import ACTIONS, HELD_OUT_SEED, Platformer, Simulation, random_actions
from genie_mini.world.levels import COLUMNS, FIRST, LAST, build_level
from genie_mini.world.rendering import draw_level
from genie_mini.world.simulation import (
    DASH_LEFT,
    DASH_RIGHT,
    JUMP,
    JUMP_LEFT,
    JUMP_RIGHT,
    LEFT,
    NOTHING,
    RIGHT,
)
from genie_mini.world.sprites import BRICK, COIN, DIRT, GRASS, PALETTES, TILE

LEVELS = 64


def play(actions, seeds=range(LEVELS), columns=None):
    """Play (levels, steps) actions, giving the simulation before the first step and after each."""
    simulation = Simulation(seeds, columns)
    yield simulation
    for step in range(actions.shape[1]):
        simulation.step(actions[:, step])
        yield simulation


def all_levels(action, steps=1):
    return np.full((LEVELS, steps), action)


def creature_on_screen(simulation):
    on_screen = simulation.creature_x - simulation.camera[:, None]
    return ((on_screen > -TILE) & (on_screen < 64)).any(axis=1)


def test_a_seed_gives_one_level():
    for seed in (0, 7, HELD_OUT_SEED + 3):
        for first, second in zip(build_level(seed), build_level(seed), strict=True):
            assert np.array_equal(first, second)
    maps = {build_level(seed).tiles.tobytes() for seed in range(200)}
    assert len(maps) == 200


def test_levels_have_ground_everywhere_coins_bricks_and_all_palettes():
    levels = [build_level(seed) for seed in range(100)]
    tiles = np.stack([level[0] for level in levels])
    assert tiles.shape == (100, 8, COLUMNS) and tiles.dtype == np.uint8
    assert np.isin(tiles[:, -1], (GRASS, DIRT)).all(), "nowhere to fall out of the level"
    assert (tiles == COIN).any(axis=(1, 2)).mean() > 0.9
    assert (tiles == BRICK).any(axis=(1, 2)).mean() > 0.9
    assert len(PALETTES) >= 4
    assert {level[1] for level in levels} == set(range(len(PALETTES)))


def test_palettes_look_different():
    frames = Simulation(range(LEVELS)).frames()
    palette = np.array([build_level(seed).palette for seed in range(LEVELS)])
    skies = [
        {tuple(sky) for sky in frames[palette == index, 0, 0]} for index in range(len(PALETTES))
    ]
    assert all(len(sky) == 1 for sky in skies), "levels of one palette share their exact colours"
    assert len(set.union(*skies)) == len(PALETTES)


def test_the_player_is_never_inside_a_solid_tile():
    solid = np.isin(
        np.stack([build_level(seed).tiles for seed in range(LEVELS)]), (GRASS, DIRT, BRICK)
    )
    actions = random_actions(np.random.default_rng(0), LEVELS, 400)
    # Half of them get through the whole level: every way to the left becomes the same to the right.
    leftwards = np.isin(actions[::2], (LEFT, JUMP_LEFT, DASH_LEFT))
    actions[::2] += leftwards
    corners = [(x, y) for x in (0, TILE - 1) for y in (0, TILE - 1)]
    for simulation in play(actions):
        assert (FIRST * TILE <= simulation.x).all() and (simulation.x <= LAST * TILE).all()
        assert (simulation.y <= 56).all()
        for right, down in corners:
            row, column = (simulation.y + down) // TILE, (simulation.x + right) // TILE
            inside = solid[np.arange(LEVELS), np.maximum(row, 0), column] & (row >= 0)
            assert not inside.any()
    assert simulation.x.max() == LAST * TILE, "someone reached the level's end"


def test_right_and_left_move_four_pixels_on_free_ground():
    columns = np.full(LEVELS, 4)
    start, right, left = (
        s.x.copy() for s in play(np.stack([[RIGHT, LEFT]] * LEVELS), columns=columns)
    )
    assert (start == 4 * TILE).all()
    assert np.isin(right - start, (0, 4)).all() and (right - start == 4).mean() > 0.8
    assert (left[right > start] == start[right > start]).all()


def test_a_dash_moves_eight_pixels_and_ends_at_a_wall():
    far, near = set(), set()
    solid = np.isin(
        np.stack([build_level(seed).tiles for seed in range(LEVELS)]), (GRASS, DIRT, BRICK)
    )
    for column in range(FIRST, LAST):
        simulation = Simulation(range(LEVELS), np.full(LEVELS, column))
        # half a tile before the next column, unless a wall stands there
        simulation.step(np.full(LEVELS, RIGHT))
        before = simulation.x.copy()
        simulation.step(np.full(LEVELS, DASH_RIGHT))
        row = simulation.y // TILE
        beyond = np.minimum(column + 2, COLUMNS - 1)
        walled = (column + 2 > LAST) | solid[np.arange(LEVELS), row, beyond]
        moved, free = simulation.x - before, before == column * TILE + 4
        near |= set(moved[free & walled].tolist())
        far |= set(moved[free & ~walled & simulation.on_ground].tolist())
    assert far == {8} and near == {4}


@pytest.mark.parametrize("action, rise", [(JUMP_LEFT, -4), (JUMP_RIGHT, 4)])
def test_jumps_go_sideways_too(action, rise):
    before, after = (
        (s.x.copy(), s.y.copy()) for s in play(all_levels(action), columns=np.full(LEVELS, 12))
    )
    both = (after[0] - before[0] == rise) & (after[1] - before[1] == -12)
    assert both.mean() > 0.3
    assert (after[0] - before[0] >= min(rise, 0)).all() and (
        after[0] - before[0] <= max(rise, 0)
    ).all()


@pytest.mark.parametrize("action, ahead", [(LEFT, -1), (RIGHT, 1)])
def test_walls_and_the_levels_edge_stop(action, ahead):
    stopped = []
    solid = np.isin(
        np.stack([build_level(seed).tiles for seed in range(LEVELS)]), (GRASS, DIRT, BRICK)
    )
    for column in range(FIRST, LAST + 1):
        before, after = (
            s.x.copy() for s in play(all_levels(action), columns=np.full(LEVELS, column))
        )
        for level in range(LEVELS):
            # where the player stands, on the ground
            row = 7 - np.argmin(solid[level, ::-1, column])
            wall = not FIRST <= column + ahead <= LAST or solid[level, row, column + ahead]
            assert after[level] - before[level] == (0 if wall else 4 * ahead)
            stopped.append(wall)
    assert 0.05 < np.mean(stopped) < 0.5


def test_a_jump_rises_and_comes_down_again():
    actions = np.concatenate([all_levels(JUMP), all_levels(NOTHING, 12)], axis=1)
    ys = np.stack([simulation.y.copy() for simulation in play(actions)])
    assert (ys[-1] == ys[0]).all()
    assert ((ys[0] - ys.min(axis=0)) == 16).mean() > 0.6, "12 + 4 pixels under a free sky"
    assert (ys % 4 == 0).all(), "everything is on the grid of four pixels"


def test_jumping_works_only_from_the_ground():
    rng = np.random.default_rng(1)
    with_jumps = random_actions(rng, LEVELS, 40)
    one, other = Simulation(range(LEVELS)), Simulation(range(LEVELS))
    for step in range(40):
        in_air = ~one.on_ground
        actions = with_jumps[:, step]
        one.step(np.where(in_air, JUMP, actions))
        other.step(np.where(in_air, NOTHING, actions))
        assert np.array_equal(one.y, other.y) and np.array_equal(one.x, other.x)
    standing = one.on_ground
    before = one.y.copy()
    one.step(np.full(LEVELS, JUMP))
    assert (one.y[standing] <= before[standing]).all() and (
        one.y[standing] < before[standing]
    ).any()


def test_standing_still_does_not_change_the_picture():
    pictures = [(s.frames(), creature_on_screen(s)) for s in play(all_levels(NOTHING, 3))]
    for (before, _), (after, creature) in zip(pictures, pictures[1:], strict=False):
        changed = (before != after).any(axis=(1, 2, 3))
        assert not changed[~creature].any()
    assert (~creature).sum() > 10


def test_creatures_move_without_the_player():
    columns = np.full(LEVELS, 10)
    places = np.stack(
        [
            simulation.creature_x.copy()
            for simulation in play(all_levels(NOTHING, 60), columns=columns)
        ]
    )
    assert (places != places[0]).any(axis=0).mean() > 0.9
    assert np.abs(np.diff(places, axis=0)).max() == 4
    assert (np.diff(places, axis=0) > 0).any() and (np.diff(places, axis=0) < 0).any(), (
        "they turn round"
    )
    simulation = Simulation(range(LEVELS), columns)
    assert (places[2:] == places[:-2]).mean() < 0.2, (
        "every other frame, but for those that turn round"
    )
    before = simulation.frames()
    simulation.step(np.zeros(LEVELS, dtype=int))
    assert (before != simulation.frames()).any(axis=(1, 2, 3)).any(), "and are seen to"


def test_coins_vanish_when_taken_and_are_counted():
    simulation = Simulation(range(LEVELS))
    had = [int((build_level(seed).tiles == COIN).sum()) for seed in range(LEVELS)]
    actions = random_actions(np.random.default_rng(0), LEVELS, 300)
    actions[actions == LEFT] = JUMP
    for step in range(300):
        before = simulation.coins.copy()
        simulation.step(actions[:, step])
        assert (simulation.coins >= before).all()
    left = (simulation.tiles == COIN).sum(axis=(1, 2))
    assert np.array_equal(simulation.coins + left, had)
    assert simulation.coins.sum() > LEVELS / 2
    # The picture shows the tiles that are left: a level drawn from them anew is the same.
    fresh = draw_level(simulation.tiles)
    assert np.array_equal(fresh, simulation.drawn)


def test_the_camera_keeps_the_player_in_one_place_and_within_the_level():
    actions = random_actions(np.random.default_rng(2), LEVELS, 300)
    actions[actions == LEFT] = RIGHT
    cameras = []
    for simulation in play(actions):
        assert (simulation.x - simulation.camera == 24).all()
        cameras.append(simulation.camera.copy())
    assert (cameras[0] == 0).all() and np.max(cameras) == COLUMNS * TILE - 64


def test_walking_against_a_wall_looks_like_doing_nothing():
    simulation, idle = Simulation(range(LEVELS)), Simulation(range(LEVELS))
    for _ in range(2):  # at the level's beginning, the cliff is to the left
        simulation.step(np.full(LEVELS, LEFT))
        idle.step(np.full(LEVELS, NOTHING))
        assert np.array_equal(simulation.frames(), idle.frames())


def test_actions_out_of_range_are_refused():
    simulation = Simulation([0, 1])
    for actions in ([0, len(ACTIONS)], [-1, 0], [0], [0.5, 0]):
        with pytest.raises(ValueError, match="actions must be"):
            simulation.step(np.array(actions))
    environment = Platformer()
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be"):
        environment.step(len(ACTIONS))


@pytest.mark.parametrize("size", [32, 64])
def test_the_platformer_is_a_sound_gymnasium_environment(size):
    environment = Platformer(size)
    check_env(environment, skip_render_check=True)
    first, info = environment.reset(seed=5)
    assert first.shape == (size, size, 3) and first.dtype == np.uint8
    rewards = [environment.step(RIGHT if step % 3 else JUMP)[1] for step in range(200)]
    assert sum(rewards) == environment.step(NOTHING)[4]["coins"] > 0
    assert np.array_equal(environment.reset(seed=5)[0], first)
    assert info["x"] == FIRST * TILE
