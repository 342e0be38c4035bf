"""The games of Procgen, CoinRun among them, as environments of Gymnasium.

Their package is older than Gymnasium, and than NumPy 2, with which it works though it asks for
less: `pip install --no-deps procgen-mirror gym3 gym gym-notices`, then `pip install cffi`, on
Python 3.10 or 3.11.
"""

import contextlib
import functools
import io
from typing import Any

import gymnasium
import numpy as np

from genie_mini.contract import check_choice
from genie_mini.errors import GenieError

PROCGEN = "procgen:"  # before the name of a game
FRAMES_PER_SECOND = 15  # at which people play them


class ProcgenGame(gymnasium.Env):
    """One of the games, at its usual difficulty ("hard"), a new level for each seed.

    Observations and what is drawn are the same: (64, 64, 3) uint8.

    Args:
        game: its name, "coinrun" for one.

    Raises:
        GenieError: the package or the game is not there.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}

    def __init__(self, game: str):
        package = _procgen()
        check_choice("the game of Procgen", game, package.env.ENV_NAMES)  # its own check aborts
        self._make = functools.partial(package.ProcgenGym3Env, num=1, env_name=game, num_threads=0)
        self._game = self._make(rand_seed=0)
        self._keys = ["+".join(keys).lower() or "noop" for keys in self._game.get_combos()]
        self._picture = self._observe()[0]
        self.render_mode = "rgb_array"
        self.action_space = gymnasium.spaces.Discrete(len(self._keys))
        self.observation_space = gymnasium.spaces.Box(0, 255, self._picture.shape, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the level of a seed; without one, any."""
        super().reset(seed=seed)
        self._game.close()
        # Its generator is C++'s, with a seed of 31 bits.
        self._game = self._make(rand_seed=int(self.np_random.integers(2**31)))
        self._picture = self._observe()[0]
        return self._picture, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take an action. A level that is over shows its last picture but one again, since the game
        has gone on to the next when it tells.
        """
        self._game.act(np.array([action], dtype=np.int32))
        picture, reward, over = self._observe()
        self._picture = self._picture if over else picture
        return self._picture, reward, over, False, {}

    def render(self) -> np.ndarray:  # type: ignore[override]  # Gymnasium's may draw several
        """The picture that is seen now."""
        return self._picture

    def get_action_meanings(self) -> list[str]:
        """The keys of each action."""
        return self._keys

    def _observe(self):
        reward, observation, first = self._game.observe()
        return observation["rgb"][0].copy(), float(reward[0]), bool(first[0])


def _procgen() -> Any:
    """The package."""
    try:
        # The old gym that it imports asks everybody to leave it, on the error stream.
        with contextlib.redirect_stderr(io.StringIO()):
            import procgen.env
    except ImportError as error:
        raise GenieError(
            "the games of Procgen are in no package here: pip install --no-deps procgen-mirror "
            f"gym3 gym gym-notices, and pip install cffi, on Python 3.10 or 3.11 ({error})"
        ) from error
    return procgen
