"""The platformer as a Gymnasium environment, with the real actions."""

import gymnasium
import numpy as np

from genie_mini.contract import check_integer
from genie_mini.errors import GenieError
from genie_mini.world.levels import LAST
from genie_mini.world.simulation import ACTIONS, FRAMES_PER_SECOND, HELD_OUT_SEED, SIZES, Simulation
from genie_mini.world.sprites import SCREEN, TILE


def check_render_mode(environment: gymnasium.Env, render_mode: str | None) -> None:
    """Raise a GenieError unless the environment renders in this way, or in none at all."""
    modes = environment.metadata["render_modes"]
    if render_mode not in (None, *modes):
        raise GenieError(f"render_mode is {', '.join(modes)} or None, got {render_mode!r}")


class Platformer(gymnasium.Env):
    """One level as a Gymnasium environment with the real actions (registered as
    `genie_mini/Platformer-v0`).

    Observations are (size, size, 3) uint8 pictures; the reward is the number of coins taken in the
    step; the episode ends at the level's right edge. `reset(seed=...)` chooses the level.

    Args:
        size: of the pictures, 32 or 64 pixels.
        render_mode: "rgb_array", or None.

    Raises:
        GenieError: there is no such size or way to render.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}

    def __init__(self, size=SCREEN, render_mode=None):
        if size not in SIZES:
            raise GenieError(
                f"the world is drawn at {SIZES[0]} or {SIZES[1]} pixels, got size={size!r}"
            )
        check_render_mode(self, render_mode)
        self.size = size
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self._simulation = None

    def reset(self, *, seed=None, options=None) -> tuple[np.ndarray, dict]:
        """Begin the level of this seed (a random one without), and return its first picture.

        Raises:
            GenieError: the seed is no integer from 0 up, or there are options: it has none.
        """
        if options:
            raise GenieError(f"the platformer has no options, got {options!r}")
        if seed is not None:
            seed = check_integer("seed", seed, 0, told="a seed is an integer from 0 up")
        super().reset(seed=seed)
        level = seed if seed is not None else int(self.np_random.integers(HELD_OUT_SEED))
        self._simulation = Simulation([level])
        return self.render(), self._info()

    def step(self, action) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Play one real action for a tenth of a second.

        Raises:
            GenieError: there is no such action.
        """
        last = len(ACTIONS) - 1
        told = f"actions must be integers from 0 to {last}"
        action = check_integer("action", action, 0, last, told)
        if self._simulation is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        before = self._simulation.coins[0]
        self._simulation.step(np.array([action]))
        reward = float(self._simulation.coins[0] - before)
        finished = bool(self._simulation.x[0] >= LAST * TILE)
        return self.render(), reward, finished, False, self._info()

    def render(self) -> np.ndarray:
        """The present picture, (size, size, 3) uint8."""
        if self._simulation is None:
            raise gymnasium.error.ResetNeeded("call reset() before render()")
        return self._simulation.frames(self.size)[0]

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, as Atari's environments tell them."""
        return list(ACTIONS)

    def _info(self):
        return {
            "x": int(self._simulation.x[0]),
            "y": int(self._simulation.y[0]),
            "coins": int(self._simulation.coins[0]),
        }
