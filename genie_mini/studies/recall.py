"""Does it remember? Recall against age, measured with worlds that come in pairs (paper, Section 5:
"limited to 16 frames").

The player stands beside a landmark, dashes away until the landmark has left the screen, waits, and
dashes back. What is drawn in the landmark's place tells whether the model remembers it. Each world
has a twin, alike in every pixel but the landmark, which the twin lacks; the two are played with the
same actions and the same random numbers. A model that has lost the landmark draws the same picture
in both, and exactly one of the two is right: chance is one half, whatever the model would guess.
The simulator's truth scores models here; it never trains them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.evaluation.metrics import wilson
from genie_mini.genie import Genie
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.rollout import Rollout
from genie_mini.studies.twin_worlds import SHOWN, Dreamt, Simulated, TwinWorlds, twin_worlds
from genie_mini.world.rendering import PLAYER_SCREEN_X
from genie_mini.world.simulation import DASH_LEFT, DASH_RIGHT, NOTHING
from genie_mini.world.sprites import SCREEN, TILE

OLDEST = 120  # age in frames up to which recall can be asked for
SHIFTS = (
    -4,
    0,
    4,
    8,
    # pixels of the 64x64 screen by which a dreamt camera may miss its place and still show the
    # landmark
)


@dataclass
class Recall:
    """What was drawn at one age, as shares.

    Attributes:
        age: frames since the landmark was last in view.
        recall: share of right answers, mean of both twins; one half is chance, one the oracle.
        low, high: Wilson's interval of 95% for it, over all worlds. Twins that were drawn alike are
            one right and one wrong, so near chance the interval is on the wide side.
        drawn_where_it_was: share of worlds with the landmark that show it again.
        drawn_where_none_was: share of worlds without it that show it.
        returned: share of all worlds whose camera came back to its place.
        cases: worlds asked, two a pair.
    """

    age: int
    recall: float
    low: float
    high: float
    drawn_where_it_was: float
    drawn_where_none_was: float
    returned: float
    cases: int


def recall(start, worlds: TwinWorlds, ages: Sequence[int], *, unseen: bool = False) -> list[Recall]:
    """Ask for the landmark after each age.

    Age 1 is the control: the landmark never left the screen. From age 2 on, the player dashes one
    column to the right, waits for age - 2 frames, and dashes back; the waiting is one roll-out for
    all ages, and each age branches off from it.

    Args:
        start: called with (prompt, simulation) for each twin; returns something with `step(real
            action)` and `fork()`, as `Dreamt` and `Simulated` have.
        worlds: from `twin_worlds`.
        ages: frames, each at least 1 and at most OLDEST.
        unseen: measure chance. The prompt is as long, but filmed after the dash: the same model,
            which never saw the landmark.

    Returns:
        One `Recall` an age, in the order of `ages`.
    """
    youngest = 2 if unseen else 1
    if not ages or not youngest <= min(ages) <= max(ages) <= OLDEST:
        raise GenieError(
            f"ages are frames since the landmark was in view, from {youngest} to {OLDEST}, got "
            f"{list(ages)}"
        )
    readings = []
    for twin, simulation in enumerate(worlds.simulations):
        prompt, oracle = worlds.prompts[twin], Simulated(simulation, worlds.size)
        if unseen:
            prompt = torch.stack(
                [oracle.step(action) for action in (DASH_RIGHT, *[NOTHING] * (SHOWN - 1))], dim=1
            )
            simulation = oracle.simulation
        world = start(prompt, simulation)
        pictures = {}
        if 1 in ages:
            pictures[1] = world.fork().step(NOTHING)
        for age in range(2, max(ages) + 1):
            if age > 2:
                world.step(NOTHING)
            elif not unseen:
                world.step(DASH_RIGHT)
            if age in ages:
                pictures[age] = world.fork().step(DASH_LEFT)
        readings.append(
            {
                age: read_landmark(picture, worlds, standing=age == 1)
                for age, picture in pictures.items()
            }
        )
    return [_score(age, readings[0][age], readings[1][age]) for age in ages]


def recall_by_way(start, worlds: TwinWorlds, ways: Sequence[int]) -> list[Recall]:
    """Ask for the landmark after each way: so many dashes to the right and at once as many back.

    It is out of view until the last dash, so the age is twice the way. The way out is one roll-out
    for all ways, and each way back branches off from it.

    Args:
        start: as `recall` has it.
        worlds: from `twin_worlds`, with room for the longest way.
        ways: dashes, each from 1 to `twin_worlds.FARTHEST`.

    Returns:
        One `Recall` a way, in the order of `ways`.
    """
    readings = []
    for prompt, simulation in zip(worlds.prompts, worlds.simulations, strict=True):
        world, found = start(prompt, simulation), {}
        for way in range(1, max(ways) + 1):
            world.step(DASH_RIGHT)
            if way in ways:
                back = world.fork()
                pictures = [back.step(DASH_LEFT) for _ in range(way)]
                found[way] = read_landmark(pictures[-1], worlds, standing=False)
        readings.append(found)
    return [_score(2 * way, readings[0][way], readings[1][way]) for way in ways]


def _score(age, with_landmark, without):
    """A `Recall` of what was read, (drawn, shift), in the worlds with the landmark and in those
    without.
    """
    answers = torch.stack([with_landmark[0], ~without[0]])
    low, high = wilson(int(answers.sum()), answers.numel())
    where, none = (drawn.float().mean().item() for drawn, _ in (with_landmark, without))
    returned = torch.stack([with_landmark[1], without[1]]).eq(0).float().mean().item()
    return Recall(
        age, answers.float().mean().item(), low, high, where, none, returned, answers.numel()
    )


def read_landmark(pictures: Tensor, worlds: TwinWorlds, standing: bool) -> tuple[Tensor, Tensor]:
    """Is the landmark in the picture? Whichever of the simulator's two drawings of its tile is
    nearer.

    A dreamt camera may come to rest a little beside its place. The shift under which the rest of
    the picture fits the simulator's best says where the tile is looked for.

    Args:
        pictures: (pairs, size, size, 3) float in [0, 1].
        worlds: the worlds, before the tour.
        standing: whether the player has stood still; otherwise he has just dashed back.

    Returns:
        (pairs,) bool, and the shifts, (pairs,) in pixels of the 64x64 screen, to the right.
    """
    expected = []
    for simulation in worlds.simulations:
        oracle = Simulated(simulation, worlds.size)
        expected.append(
            oracle.step(NOTHING)
            if standing
            else [oracle.step(a) for a in (DASH_RIGHT, DASH_LEFT)][-1]
        )
    scale, size = SCREEN // worlds.size, worlds.size
    side = TILE // scale
    tile = torch.zeros(len(pictures), size, size, 1)
    for pair, row in enumerate(worlds.rows):
        tile[pair, row * side : (row + 1) * side, :side] = 1
    player = slice(PLAYER_SCREEN_X // scale - side // 2, PLAYER_SCREEN_X // scale + side * 3 // 2)
    misfit, readings = [], []
    for shift in SHIFTS:
        there, here = (
            slice(max(0, amount), size + min(0, amount))
            for amount in (shift // scale, -shift // scale)
        )
        moved = pictures[:, :, there]
        distances = [(moved - picture[:, :, here]).square() for picture in expected]
        around = 1 - tile[:, :, here].expand_as(moved).clone()
        around[:, :, player] = 0  # the camera holds the player where he is
        misfit.append((distances[1] * around).sum((1, 2, 3)) / around.sum((1, 2, 3)))
        readings.append(
            torch.stack([(distance * tile[:, :, here]).sum((1, 2, 3)) for distance in distances])
        )
    best = torch.stack(misfit).argmin(dim=0)
    with_landmark, without = torch.stack(readings)[best, :, torch.arange(len(pictures))].unbind(1)
    return with_landmark < without, torch.tensor(SHIFTS)[best]


AGES = (*range(1, 21), 24, 28, 32, 36, 40)
FAR_AGES = (60, 80, 100, 120)  # asked where the look-back reaches as far
WAYS = (1, 2, 3, 5, 7)  # dashes; the longest are as old as a window of sixteen frames can hold
OLDEST_EXACT = 20  # an exact window is asked no further: nothing older than the window can reach it


class ExactWindow(Rollout):
    """A roll-out that computes its past anew for each frame, from the tokens of the window's frames
    alone: nothing leaks in.
    """

    def __init__(self, genie: Genie, prompt: Tensor, seed: int = 0):
        super().__init__(genie, prompt, seed)
        prompt = prompt[:, -self._window :].float()
        self._history = genie.tokenizer.encode(prompt)
        self._actions = torch.empty(len(prompt), 0, dtype=torch.int64, device=genie.device)
        if prompt.shape[1] > 1:
            self._actions = genie.latent_action_model.infer(prompt)

    def step(
        self,
        actions: Tensor,
        maskgit_steps: int = PLAY_MASKGIT_STEPS,
        temperature: float = 1.0,
        on_step=None,
        min_p: float | None = None,
    ) -> Tensor:
        """See `Rollout.step`."""
        window = self._window
        shown, led = (
            self._history[:, -window:],
            self._actions[:, -(window - 1) :] if window > 1 else self._actions[:, :0],
        )
        self._cache = self.genie.dynamics.prefill(shown, led)
        frames = super().step(actions, maskgit_steps, temperature, on_step, min_p)
        self._history = torch.cat([self._history, self.tokens[:, None]], dim=1)
        self._actions = torch.cat([self._actions, actions[:, None].to(self._actions.device)], dim=1)
        return frames


def _played(genie: Genie, names: np.ndarray, seed: int, kind: type[Rollout] = Rollout):
    """A `start` for `recall`: this Genie, as a roll-out of this kind."""
    return lambda prompt, simulation: Dreamt(kind(genie, prompt, seed=seed), names)


def _oracle(size: int):
    """A `start` for `recall`: the simulator itself, in pictures of this size."""
    return lambda prompt, simulation: Simulated(simulation, size)


def recall_rows(
    genie: Genie, names: np.ndarray, cases: int, seed: int, played_alone: bool = False
) -> list[dict]:
    """Recall against age: as played, with an exact window, with a prompt that never showed the
    landmark, and by the oracle.

    With `played_alone` only the first, for the comparison of models; the others take twice as long.
    """
    size = genie.config.tokenizer.image_size[0]
    worlds = twin_worlds(max(1, cases // 2), size, seed)
    reach = genie.dynamics.lookback.reach
    ages = [*AGES, *(age for age in FAR_AGES if age <= reach)]
    curves = {"played": recall(_played(genie, names, seed), worlds, ages)}
    if not played_alone:
        curves["never seen"] = recall(_played(genie, names, seed), worlds, ages[1:], unseen=True)
        curves["oracle"] = recall(_oracle(size), worlds, ages)
        if genie.config.dynamics.lookback == "recent":
            curves["exact window"] = recall(
                _played(genie, names, seed, ExactWindow),
                worlds,
                [age for age in AGES if age <= OLDEST_EXACT],
            )
    return [{"model": name, **asdict(row)} for name, rows in curves.items() for row in rows]


def way_rows(genie: Genie, names: np.ndarray, cases: int, seed: int) -> list[dict]:
    """Recall against the length of the way there and back, as played and by the oracle."""
    size = genie.config.tokenizer.image_size[0]
    worlds = twin_worlds(max(1, cases // 2), size, seed, dashes=max(WAYS))
    curves = {"played": _played(genie, names, seed), "oracle": _oracle(size)}
    return [
        {"model": name, "way": way, **asdict(row)}
        for name, start in curves.items()
        for way, row in zip(WAYS, recall_by_way(start, worlds, WAYS), strict=True)
    ]
