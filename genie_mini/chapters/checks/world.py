"""Exercises of the chapter on the world."""

import numpy as np

from genie_mini.chapters.checks import exercise, expect, expect_entries
from genie_mini.evaluation.action_map import visible_actions
from genie_mini.world import ACTIONS, Simulation, record
from genie_mini.world.rendering import draw_level
from genie_mini.world.sprites import BRICK, DIRT, EMPTY, GRASS, TILE


@exercise(
    lambda num_bytes, height, width: num_bytes / (height * width) / 10 / 3600,
    lambda num_bytes, height, width: num_bytes / (height * width * 3) / 3600,
    lambda num_bytes, height, width: num_bytes / (height * width * 3) / 10 / 60,
)
def check_hours(answer) -> None:
    """A function (num_bytes, height, width) that gives the hours of raw video, a byte a colour, at
    10 frames a second.
    """
    for hours, height, width in ((1, 64, 64), (0.5, 32, 32), (30_000, 90, 160)):
        given = answer(hours * 36_000 * height * width * 3, height, width)
        close = abs(given - hours) < 1e-6 * hours
        expect(
            close,
            f"{hours} hours of {height}x{width} pixels came out as {given:.6g} hours",
        )


@exercise(
    lambda outcomes: (outcomes & (outcomes - 1)) != 0,
    lambda outcomes: sum(outcomes >> action & 1 for action in range(8)),
    lambda outcomes: np.floor(np.log2(outcomes)).astype(int),
    lambda outcomes: sum(outcomes >> action & 1 for action in range(1, 8)),
)
def check_twins(answer) -> None:
    """A function (outcomes) that tells for each transition how many other actions would have led to
    the same picture.
    """
    outcomes = np.array([[0b1, 0b1001, 0b1001], [0b10000000, 0b11111111, 0b10010]])
    given = np.asarray(answer(outcomes))
    expect(
        given.shape == (2, 3),
        f"the shape is {given.shape}, not that of the argument, (2, 3)",
    )
    for (row, column), mask in np.ndenumerate(outcomes):
        others = bin(mask).count("1") - 1
        expect(
            given[row, column] == others,
            f"outcomes {mask:#b} leave {others} other actions, not {given[row, column]}",
        )
    truth = record(8, 16, size=32, seed=21)[1]
    agree = np.array_equal(np.asarray(answer(truth.outcomes)) == 0, visible_actions(truth))
    expect(
        agree,
        "on recorded clips, those without another are not those that the package calls visible",
    )


@exercise(
    lambda shares, keep: keep,
    lambda shares, keep: keep + (1 - keep) / len(shares),
    lambda shares, keep: keep + (np.asarray(shares) ** 2).sum(),
)
def check_repeats(answer) -> None:
    """A function (shares, keep) that gives the probability of the same action twice in a row."""
    rng = np.random.default_rng(0)
    for shares, keep in (
        ([0.5, 0.5], 0.0),
        ([0.5, 0.5], 1.0),
        ([0.7, 0.2, 0.1], 0.7),
        ([0.125] * 8, 0.3),
    ):
        given = answer(np.array(shares), keep)
        actions = rng.choice(len(shares), size=200_000, p=shares)
        following = rng.choice(len(shares), size=200_000, p=shares)
        following = np.where(rng.random(200_000) < keep, actions, following)
        counted = (actions == following).mean()
        expect(
            abs(given - counted) < 0.005,
            f"for the shares {shares} and keep = {keep} you say {given:.3f}, but dice "
            f"say {counted:.3f}",
        )


def _best_fit(before, after):
    inner = np.arange(8, before.shape[1] - 8)
    errors = {
        moved: np.abs(before[:, inner + moved] - after[:, inner]).mean()
        for moved in (-8, -4, 0, 4, 8)
    }
    return min(errors, key=errors.get)


def _wall(period):
    """A wall whose columns are shades that come again after `period` columns."""
    shades = np.random.default_rng(0).permutation(period)[np.arange(80) % period] / period
    return np.broadcast_to(shades[:, None], (24, 80, 3))


@exercise(
    np.zeros((24, 80, 3)),
    _wall(8),
    _wall(5),
    _wall(4)[:, :64],
    2 * _wall(4),
    np.random.default_rng(0).random((24, 80, 3)),
)
def check_wall(answer) -> str:
    """A wall, (24, 80, 3) in [0, 1], no two neighbouring columns of it alike, on which block
    matching over all rows is right for one of the five movements.
    """
    wall = np.asarray(answer, dtype=float)
    expect(wall.shape == (24, 80, 3), f"the wall's shape is {wall.shape}, not (24, 80, 3)")
    expect(0 <= wall.min() and wall.max() <= 1, "a colour is below 0 or above 1")
    differ = np.abs(np.diff(wall, axis=1)).mean(axis=(0, 2)) > 0.05
    expect(differ.all(), f"columns {differ.argmin()} and {differ.argmin() + 1} look alike")
    said = {
        moved: _best_fit(wall[:, 8:72], wall[:, 8 + moved : 72 + moved])
        for moved in (-8, -4, 0, 4, 8)
    }
    right = [moved for moved, given in said.items() if moved == given]
    expect(len(right) == 1, f"the movements {right} are still told rightly")
    return ", ".join(f"{moved} was taken for {given}" for moved, given in said.items())


@exercise(
    lambda before, after: int(np.sign(_best_fit(before, after))),
    lambda before, after: -int(np.sign(_best_fit(before[56:], after[56:]))),
    lambda before, after: 1,
)
def check_direction(answer) -> None:
    """A function (before, after) of two frames that gives -1 left, 0 neither or 1 right, in over
    90% of visible transitions.
    """
    frames, truth = record(24, 16, seed=2024, held_out=True)
    moved = np.sign(np.diff(truth.positions[..., 0], axis=1))
    right = []
    for clip, t in np.argwhere(visible_actions(truth)):
        given = answer(frames[clip, t], frames[clip, t + 1])
        expect(given in (-1, 0, 1), f"a direction is -1, 0 or 1, but you say {given!r}")
        right.append(given == moved[clip, t])
    share = np.mean(right)
    expect(
        share > 0.9,
        f"right in {share:.2f} of {len(right)} visible transitions, and more than "
        "0.90 are asked for",
    )


FLOOR = 6  # row of tiles whose top the player stands on


def floor_without_end(number: int, column: int) -> Simulation:
    """So many simulations of a player on a floor without end; `drawn` is still to be drawn from the
    tiles.
    """
    simulation = Simulation([0] * number, columns=[column] * number)
    simulation.creature_x[:] = 0  # out of sight
    simulation.y[:] = (FLOOR - 1) * TILE
    for kind, rows in ((EMPTY, slice(FLOOR)), (GRASS, FLOOR), (DIRT, slice(FLOOR + 1, None))):
        simulation.tiles[:, rows] = kind
    return simulation


# Rows of tiles on a floor without end, around the player in the middle column, and the actions
# before the moment that counts.
_ROOMS = {
    "a": ((".P#",), ()),
    "b": ((".P#",), ("left",)),
    "c": ((".#.", "...", ".P."), ()),
    "d": (("#P#",), ()),
    "e": (("#.#", "#.#", "#.#", "#P#"), ("jump",)),
    "f": (("..#", "..#", "..#", ".P#"), ("jump",)),
}
_COUNTED = {"a": 5, "b": 7, "c": 5, "d": 2, "e": 1, "f": 3}


def _alike(room) -> np.ndarray:
    """Press each of the eight buttons in a room of its own: (8, 8) bool, which of them end in the
    same picture.
    """
    rows, before = _ROOMS[room]
    column = 20
    simulation = floor_without_end(8, column)
    tiles = simulation.tiles
    for up, row in enumerate(reversed(rows), start=1):
        for right, tile in enumerate(row, start=-1):
            if tile == "#":
                tiles[:, FLOOR - up, column + right] = BRICK
    simulation.drawn = draw_level(tiles)
    for name in before:
        simulation.step(np.full(8, ACTIONS.index(name)))
    simulation.step(np.arange(8))
    pictures = simulation.frames()
    return (pictures[:, None] == pictures[None]).all(axis=(2, 3, 4))


@exercise(
    dict.fromkeys("abcdef", 8),
    dict(a=8, b=8, c=8, d=8, e=5, f=5),
    _COUNTED | {"b": 8},
    _COUNTED | {"c": 7},
    _COUNTED | {"d": 1},
    {room: pictures for room, pictures in _COUNTED.items() if room != "f"},
)
def check_rooms(answer) -> None:
    """A dictionary from the rooms a to f to the number of different pictures that the eight buttons
    lead to.
    """
    expect_entries(answer, "from rooms to numbers", _ROOMS, "room")
    for room in _ROOMS:
        alike = _alike(room)
        counted = len(np.unique(alike, axis=0))
        if answer[room] == counted:
            continue
        low = answer[room] < counted
        pairs = np.argwhere(np.triu(alike != low, 1))
        one, other = (ACTIONS[action] for action in pairs[len(pairs) // 2])
        expect(
            False,
            f"room {room} was run, and shows {'more' if low else 'fewer'} pictures than you "
            f"predict ({answer[room]}): there, for one, {one!r} and {other!r} "
            f"{'differ' if low else 'look the same'}",
        )
