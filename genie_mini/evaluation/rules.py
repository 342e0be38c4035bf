"""A referee: does a dreamt transition obey the rules of the game?

A dream may invent: what scrolls into view is its own. It may not err: what was there stays there,
one player moves as the game lets him. PSNR cannot tell the two apart. The referee reads both
pictures back into the game's state (`frame_reader`), and asks the simulator itself which states
could follow.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from genie_mini.evaluation.frame_reader import COLUMNS, UNSEEN, Reading, read_frames
from genie_mini.world.levels import COLUMNS as LEVEL_COLUMNS
from genie_mini.world.rendering import PLAYER_SCREEN_X
from genie_mini.world.simulation import (
    ACTIONS,
    CREATURE_WALK,
    FALL_SPEEDS,
    RISE_SPEEDS,
    STEPS,
    PlayerAlone,
)
from genie_mini.world.sprites import (
    COIN,
    EMPTY,
    FALL,
    RISE,
    SCREEN,
    SOLID,
    STAND,
    STEP,
    TILE,
    TILE_ART,
)

RULES = {
    "legible": "all of the picture is made of the game's tiles and sprites",
    "palette": "the colours stay those of the level",
    "one player": "there is one player, in his column",
    "in the ground": "he does not stand inside the ground",
    "scroll": "the level moves by a step that the game has",
    "scenery": "what stays in view stays the same, a taken coin apart",
    "movement": "the player goes where some action leads him: walls, gravity, jumps",
    "action": "he goes where the action that was played leads him",
    "creatures": "creatures walk, turn and stay, and come from the edges only",
}

_LEGIBLE = 0.95  # share of the screen that must look as it was read
_FIRST_COLUMN = 12  # of a level made of a screen's tiles: far from both ends


@dataclass
class Verdict:
    """Which rules transitions break.

    Attributes:
        broken: by name of the rule, (clips, frames - 1) bool.
    """

    broken: dict[str, np.ndarray]

    @property
    def obeyed(self) -> np.ndarray:
        """Whether a transition breaks no rule, (clips, frames - 1) bool."""
        return ~np.any(list(self.broken.values()), axis=0)


def judge(frames: Tensor, actions: np.ndarray | None = None) -> Verdict:
    """Look at every transition of some clips.

    Args:
        frames: (clips, T, size, size, 3) float in [0, 1], size 32 or 64.
        actions: (clips, T - 1) the real actions that were played (`world.ACTIONS`), or None where
            nobody knows: then any action will do.
    """
    clips, length = frames.shape[:2]
    reading = read_frames(frames.flatten(0, 1))
    broken = {rule: np.zeros((clips, length - 1), dtype=bool) for rule in RULES}
    for clip in range(clips):
        for t in range(length - 1):
            here = clip * length + t
            action = None if actions is None else int(actions[clip, t])
            for rule in _broken_rules(reading, here, here + 1, action):
                broken[rule][clip, t] = True
    return Verdict(broken)


def _broken_rules(reading: Reading, before: int, after: int, action: int | None) -> set[str]:
    """The rules that the step between two pictures breaks. What cannot be judged because something
    else is broken already is not held against it twice.
    """
    broken = set()
    if reading.legible[after] < _LEGIBLE:
        broken.add("legible")
    if reading.palette[before] != reading.palette[after]:
        return broken | {"palette"}
    players = reading.players[after]
    one = len(players) == 1 and players[0][0] == PLAYER_SCREEN_X
    # Above the screen's upper edge he cannot be seen.
    flown = not players and _may_fly(reading.players[before])
    if not one and not flown:
        broken.add("one player")
    scrolled = _scroll(reading, before, after)
    if scrolled is None:
        return broken | {"scroll"}
    step, earlier = scrolled
    later = reading.tiles[after]
    # What a sprite hides is as it was.
    if one and _in_the_ground(reading, after, np.where(later == UNSEEN, earlier, later)):
        broken.add("in the ground")
    if _scenery_differs(reading, after, earlier):
        broken.add("scenery")
    had_one = len(reading.players[before]) == 1 and not _in_the_ground(
        reading, before, reading.tiles[before]
    )
    if one and had_one and "in the ground" not in broken:
        possible = _successors(reading, before)
        result = (step, *players[0][1:])
        if result not in set().union(*possible):
            broken.add("movement")
        elif action is not None and result not in possible[action]:
            broken.add("action")
    if _creatures_err(reading, before, after, step):
        broken.add("creatures")
    return broken


def _may_fly(players):
    """Whether the next picture may be without a player: he is above it, or about to be."""
    return not players or players[0][1] + min(RISE_SPEEDS) <= -TILE


def _in_the_ground(reading, index, tiles):
    x, y, *_ = reading.players[index][0]
    x += int(reading.offset[index])
    rows = {y // TILE, (y + TILE - 1) // TILE} & {*range(SCREEN // TILE)}
    columns = {x // TILE, (x + TILE - 1) // TILE}
    kinds = [tiles[row, column] for row in rows for column in columns]
    return any(kind != UNSEEN and SOLID[kind] for kind in kinds)


def _earlier(reading, before, after, step):
    """The tiles of the earlier picture where the later one shows them, (8, 9), for a camera that
    moved by `step` pixels; None if their columns would not match.
    """
    moved = int(reading.offset[before]) + step - int(reading.offset[after])
    columns = moved // TILE
    variants = int(reading.variant[before]) + columns - int(reading.variant[after])
    if moved % TILE or variants % TILE_ART.shape[1]:
        return None
    source = np.arange(COLUMNS) + columns
    shown = (source >= 0) & (source < COLUMNS)
    return np.where(shown, reading.tiles[before][:, source % COLUMNS], UNSEEN)


def _differing(earlier, later):
    return (earlier != UNSEEN) & (later != UNSEEN) & (earlier != later)


def _scroll(reading, before, after):
    """By how many pixels the camera moved to the right, as the tiles have it, and the earlier
    picture's tiles moved as far; None if by no step that the game has.
    """
    found = []
    for step in STEPS:
        earlier = _earlier(reading, before, after, step)
        if earlier is not None:
            differing = int(_differing(earlier, reading.tiles[after]).sum())
            found.append((differing, abs(step), step, earlier))
    return min(found, key=lambda match: match[:3])[2:] if found else None


def _scenery_differs(reading, after, earlier):
    """Whether a tile that stays in view becomes another, coins apart that the player touches."""
    later = reading.tiles[after]
    differing = _differing(earlier, later)
    taken = differing & (earlier == COIN) & (later == EMPTY)
    if taken.any() and reading.players[after]:
        x, y, *_ = reading.players[after][0]
        at = (x + int(reading.offset[after])) / TILE
        for row, column in np.argwhere(taken):
            if abs(row - y / TILE) < 1 and abs(column - at) < 1:
                differing[row, column] = False
    return bool(differing.any())


class _Possible(PlayerAlone):
    """The simulator in the state of a picture, once for each action and each speed that the player
    may have.
    """

    def __init__(self, reading: Reading, index: int):
        x, y, facing, pose = reading.players[index][0]
        speeds = RISE_SPEEDS if pose == RISE else FALL_SPEEDS if pose == FALL else (0,)
        count = len(speeds) * len(ACTIONS)
        tiles = np.full((SCREEN // TILE, LEVEL_COLUMNS), EMPTY, dtype=np.uint8)
        shown = reading.tiles[index]
        columns = slice(_FIRST_COLUMN, _FIRST_COLUMN + COLUMNS)
        tiles[:, columns] = np.where(shown == UNSEEN, EMPTY, shown)
        self.tiles = np.repeat(tiles[None], count, axis=0)
        self._levels = np.arange(count)
        self.x = np.full(count, _FIRST_COLUMN * TILE + reading.offset[index] + x)
        self.y = np.full(count, y)
        self.speed = np.repeat(speeds, len(ACTIONS))
        self.facing = np.full(count, facing)
        self.walking = np.full(count, pose == STEP)
        self.on_ground = np.full(count, pose in (STAND, STEP))


def _successors(reading: Reading, index: int) -> list[set]:
    """For each action, what may follow a picture: (step of the camera, y, facing, pose)."""
    possible = _Possible(reading, index)
    start, num_actions = possible.x.copy(), len(ACTIONS)
    possible.step(np.tile(np.arange(num_actions), len(start) // num_actions))
    shown = [possible.x - start, possible.y, possible.facing, possible.pose]
    rows = np.stack(shown, axis=1).tolist()
    return [{tuple(row) for row in rows[action::num_actions]} for action in range(num_actions)]


def _creatures_err(reading, before, after, step):
    """Whether a creature appears or vanishes within the picture, or goes otherwise than they do."""
    hidden = [player[:2] for player in reading.players[before] + reading.players[after]]

    def inside(x, y):
        # Behind him in one picture, beside him in the next.
        near = any(abs(x - px) < 2 * TILE and abs(y - py) < TILE for px, py in hidden)
        return TILE <= x <= SCREEN - 2 * TILE and not near

    def follows(old, new):
        (x, y, facing, lifted), (new_x, new_y, new_facing, new_lifted) = old, new
        going = new_x - (x - step)
        if new_y != y or new_lifted == lifted:
            return False
        if not lifted:  # lifts a foot, and stays where it is
            return going == 0 and new_facing == facing
        walks = going == (CREATURE_WALK if facing else -CREATURE_WALK) and new_facing == facing
        turns = going == 0 and new_facing != facing
        return walks or turns

    old, new = reading.creatures[before], list(reading.creatures[after])
    for creature in old:
        match = next((other for other in new if follows(creature, other)), None)
        if match is not None:
            new.remove(match)
        elif inside(creature[0] - step, creature[1]):
            return True
    return any(inside(x, y) for x, y, *_ in new)
