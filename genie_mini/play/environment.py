"""The learnt world as a Gymnasium environment, so that the ecosystem's wrappers and agents work on
it.

Importing `genie_mini` registers it as `genie_mini/Genie-v0`.
"""

from pathlib import Path

import gymnasium
import numpy as np

from genie_mini.contract import (
    check_integer,
    check_min_p,
    check_parts,
    check_temperature,
    shown,
)
from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.play.images import to_uint8
from genie_mini.play.prompts import as_prompt, level_picture
from genie_mini.world.environment import check_render_mode
from genie_mini.world.simulation import FRAMES_PER_SECOND, HELD_OUT_SEED


class GenieEnv(gymnasium.Env):
    """A world that a Genie dreams up, played with latent actions.

    Observations are (height, width, 3) uint8 pictures, actions are latent ones from 0. Rewards are
    0 and an episode never ends by itself: nobody told the Genie what is good, or when a game is
    over. `info["tokens"]` holds the picture's tokens, (N,) int64.

    In a vector environment (`gymnasium.make_vec`) with `vectorization_mode="async"` each world has
    a process of its own, which loads its own weights and computes on one thread. With
    `vector_kwargs={"context": "spawn"}`, the only way on Windows, call it from a script below
    `if __name__ == "__main__":`.

    Args:
        genie: a `Genie`, or one as `export.choose_engine` gives it, or what `Genie.from_pretrained`
            takes.
        maskgit_steps: of each frame.
        temperature: of the sampling; 0 always draws the likeliest token.
        render_mode: "rgb_array", or None.
        min_p: from 0 to 1; only tokens at least so many times as probable as the likeliest one are
            drawn. None: as the weights' config says.

    Raises:
        GenieError: there are no such weights, not so many steps, no such temperature or `min_p`, or
            no such way to render.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}  # as most Genies

    def __init__(
        self,
        genie="mini",
        maskgit_steps=PLAY_MASKGIT_STEPS,
        temperature=1.0,
        render_mode="rgb_array",
        min_p=None,
    ):
        check_render_mode(self, render_mode)
        if isinstance(genie, str | Path):
            genie = Genie.from_pretrained(genie)
        check_parts(genie, "config", "dynamics", "play")
        self.genie = genie.eval()
        self.metadata = {**self.metadata, "render_fps": self.genie.config.frames_per_second}
        rows, columns = self.genie.config.dynamics.grid
        self.maskgit_steps = check_integer("maskgit_steps", maskgit_steps, 1, rows * columns)
        self.temperature = check_temperature(temperature)
        self.min_p = check_min_p(self.genie.dynamics.min_p if min_p is None else min_p)
        self.render_mode = render_mode
        self._image_size = self.genie.config.tokenizer.image_size
        self.observation_space = gymnasium.spaces.Box(0, 255, (*self._image_size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(self.genie.config.dynamics.num_actions)
        self._session = None

    def reset(self, *, seed=None, options=None) -> tuple[np.ndarray, dict]:
        """Begin a world.

        Args:
            seed: of the level and of everything that sampling draws, an integer from 0 up.
            options: {"level": seed} begins with the first picture of that platformer level,
                {"prompt": picture} with a picture: see `prompts.as_prompt` for what it may be.
                Without either the seed draws a level that training never saw; `info["level"]` tells
                which.

        Raises:
            GenieError: the seed, prompt or level cannot be used, or options holds something else.
        """
        options = {} if options is None else options
        if not isinstance(options, dict) or options.keys() - {"level", "prompt"}:
            raise GenieError(f'options may hold "level" or "prompt", got {shown(options)}')
        if len(options) > 1:
            raise GenieError('options may hold "level" or "prompt", one of them, got both')
        if seed is not None:
            seed = check_integer("seed", seed, 0, told="a seed is an integer from 0 up")
        super().reset(seed=seed)
        level = options.get("level", HELD_OUT_SEED + int(self.np_random.integers(HELD_OUT_SEED)))
        sampling_seed = int(self.np_random.integers(2**31))
        if "prompt" in options:
            self._session = self.genie.play(
                as_prompt(options["prompt"], self._image_size), sampling_seed
            )
            return self.render(), self._info()
        self._session = self.genie.play(level_picture(level, self._image_size), sampling_seed)
        return self.render(), {**self._info(), "level": level}

    def step(self, action) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Play one latent action for a tenth of a second.

        Raises:
            GenieError: there is no such action.
        """
        last = self.genie.config.dynamics.num_actions - 1
        told = f"latent actions are the integers from 0 to {last}"
        action = check_integer("action", action, 0, last, told)
        if self._session is None:
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        self._session.step(action, self.maskgit_steps, self.temperature, min_p=self.min_p)
        return self.render(), 0.0, False, False, self._info()

    def render(self) -> np.ndarray:
        """The present picture, (height, width, 3) uint8."""
        if self._session is None:
            raise gymnasium.error.ResetNeeded("call reset before render")
        return to_uint8(self._session.frame)

    def _info(self):
        return {"tokens": self._session.tokens.cpu().numpy().copy()}
