"""The referee finds nothing wrong with the game itself, and every kind of error by its name."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from genie_mini.evaluation import frame_reader
from genie_mini.evaluation.frame_reader import UNSEEN, read_frames
from genie_mini.evaluation.rules import RULES, judge
from genie_mini.world import HELD_OUT_SEED, Simulation, record
from genie_mini.world.rendering import draw_level
from genie_mini.world.simulation import NOTHING, RIGHT
from genie_mini.world.sprites import COIN, EMPTY, GRASS, PALETTES, TILE

LEVEL = HELD_OUT_SEED + 2  # begins with flat ground


def as_clip(frames):
    return torch.from_numpy(np.stack(frames)).float()[None] / 255


def played(actions, seed=LEVEL, change=None):
    """Pictures of a level played, after `change` was done to the simulation before the last."""
    simulation = Simulation([seed])
    frames = [simulation.frames()[0]]
    for step, action in enumerate(actions):
        simulation.step([action])
        if change and step == len(actions) - 1:
            change(simulation)
        frames.append(simulation.frames()[0])
    return as_clip(frames)


def broken(clip, actions=None, at=-1):
    verdict = judge(clip, None if actions is None else np.array([actions]))
    return {rule for rule, found in verdict.broken.items() if found[0, at]}


@pytest.mark.parametrize("size", [32, 64])
def test_pictures_are_read_back_into_the_state_that_drew_them(size):
    simulation = Simulation(np.arange(6) + HELD_OUT_SEED)
    for _ in range(3):
        simulation.step(np.full(6, RIGHT))
    reading = read_frames(torch.from_numpy(simulation.frames(size)).float() / 255)
    assert np.array_equal(reading.palette, simulation.palette)
    assert np.array_equal(reading.offset, simulation.camera % TILE)
    for level, tiles in enumerate(reading.tiles):
        first = simulation.camera[level] // TILE
        known = tiles != UNSEEN
        assert known.mean() > 0.8
        assert np.array_equal(tiles[known], simulation.tiles[level, :, first : first + 9][known])
        (player,) = reading.players[level]
        assert player[:2] == (24, simulation.y[level])
    assert reading.legible.min() > 0.95


def test_what_stands_still_is_read_once_and_as_it_is_alone(monkeypatch):
    pictures = torch.from_numpy(record(2, 3, size=32, held_out=True)[0]).flatten(0, 1)
    read, pictures_read = frame_reader._read, []
    monkeypatch.setattr(
        frame_reader, "_read", lambda part: pictures_read.append(len(part)) or read(part)
    )
    alone, often = read_frames(pictures), read_frames(pictures.repeat_interleave(3, dim=0))
    assert pictures_read == [6, 6]
    for field in fields(often):
        for start in range(3):
            again = getattr(often, field.name)[start::3]
            np.testing.assert_equal(again, getattr(alone, field.name))


def test_the_game_obeys_its_rules():
    frames, truth = record(8, 8, seed=5, held_out=True)
    verdict = judge(torch.from_numpy(frames), truth.actions)
    assert verdict.obeyed.all(), {name: found.sum() for name, found in verdict.broken.items()}
    assert (verdict.obeyed.mean(axis=1) == 1).all()


def paint(simulation, row, column, kind):
    """Change a tile."""
    simulation.tiles[0, row, column] = kind
    simulation.drawn = draw_level(simulation.tiles)


def test_what_scrolls_into_view_may_be_anything():
    def invent(simulation):
        assert simulation.camera[0] % TILE, "a new column has come into view"
        for row in range(3):
            paint(simulation, row, (simulation.camera[0] + 60) // TILE, COIN)

    assert not broken(played([RIGHT] * 3, change=invent))


def player_patch(clip):
    """The player in the last picture, and where: (8, 8, 3), row."""
    (player,) = read_frames(clip[0, -1:]).players[0]
    return clip[0, -1, player[1] : player[1] + 8, 24:32].clone(), player[1]


def test_a_second_player_is_caught():
    clip = played([NOTHING] * 3)
    patch, row = player_patch(clip)
    clip[0, -1, row - 8 : row, 24:32] = patch
    assert broken(clip) == {"one player"}


def test_a_missing_player_is_caught():
    clip = played([NOTHING] * 3)
    _, row = player_patch(clip)
    clip[0, -1, row : row + 8, 24:32] = clip[0, -1, row : row + 8, 32:40]
    assert "one player" in broken(clip)


def test_half_a_player_is_caught():
    clip = played([NOTHING] * 3)
    _, row = player_patch(clip)
    clip[0, -1, row : row + 5, 24:32] = clip[0, -1, row : row + 5, 32:40]
    assert broken(clip) & {"one player", "legible"}


def test_noise_is_caught():
    clip = played([NOTHING] * 3)
    clip[0, -1] = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    assert "legible" in broken(clip)


def test_shuffled_pictures_are_caught():
    frames, _ = record(4, 8, seed=6, held_out=True)
    order = [0, 5, 2, 7, 1, 6, 3, 4]
    assert judge(torch.from_numpy(frames[:, order])).obeyed.mean() < 0.5
    between = torch.from_numpy(frames[:, 0])[None]
    assert not judge(between).obeyed.any(), "pictures of several levels"


def test_another_palette_is_caught():
    def repaint(simulation):
        simulation.palette[0] = (simulation.palette[0] + 1) % len(PALETTES)

    assert broken(played([NOTHING] * 3, change=repaint)) == {"palette"}


def test_a_tile_that_turns_into_another_is_caught():
    def build(simulation):
        paint(simulation, 1, simulation.camera[0] // TILE + 6, GRASS)

    assert broken(played([NOTHING] * 3, change=build)) == {"scenery"}


def test_a_coin_that_goes_without_being_taken_is_caught():
    simulation = Simulation([LEVEL])
    place = (1, simulation.camera[0] // TILE + 6)
    paint(simulation, *place, COIN)
    frames = [simulation.frames()[0]]
    paint(simulation, *place, EMPTY)
    simulation.step([NOTHING])
    assert broken(as_clip([*frames, simulation.frames()[0]])) == {"scenery"}


def test_a_player_in_mid_air_does_not_stay_there():
    def lift(simulation):
        simulation.y[0] -= 16

    assert broken(played([NOTHING] * 3, change=lift)) == {"movement"}


def test_a_player_inside_the_ground_is_caught():
    def sink(simulation):
        simulation.y[0] += 8

    assert "in the ground" in broken(played([NOTHING] * 3, change=sink))


def test_a_move_that_another_action_leads_to_is_caught_where_the_action_is_known():
    clip = played([NOTHING, NOTHING, RIGHT])
    assert not broken(clip) and not broken(clip, [NOTHING, NOTHING, RIGHT])
    assert broken(clip, [NOTHING, NOTHING, NOTHING]) == {"action"}


def test_a_creature_that_vanishes_or_leaps_is_caught():
    def show(simulation, x):
        simulation.creature_x[0, 0] = simulation.camera[0] + x
        simulation.creature_y[0, 0] = 8

    def clip(x):
        simulation = Simulation([LEVEL])
        show(simulation, 40)
        before = simulation.frames()[0]
        simulation.step([NOTHING])
        show(simulation, x)
        return as_clip([before, simulation.frames()[0]])

    assert broken(clip(-100)) == {"creatures"}, "gone"
    assert broken(clip(52)) == {"creatures"}, "leapt"


def test_every_rule_has_its_text():
    verdict = judge(played([NOTHING]))
    assert verdict.broken.keys() == RULES.keys() and all(RULES.values())
