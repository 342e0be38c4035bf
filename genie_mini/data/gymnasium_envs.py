"""Films of Gymnasium environments: somebody plays, and the pictures are kept."""

from collections.abc import Callable, Iterator

import gymnasium
import numpy as np
from PIL import Image

from genie_mini.contract import check_choice
from genie_mini.data.cache import NO_ACTION, Film
from genie_mini.data.pictures import Canvas
from genie_mini.data.procgen_games import PROCGEN, ProcgenGame
from genie_mini.errors import GenieError

Policy = Callable[[np.random.Generator, int | None, int], int]
"""From a generator, the action before (None at the start) and the number of actions, the next."""


def random_policy(rng: np.random.Generator, before: int | None, num_actions: int) -> int:
    """A new action at every step: the player trembles, and hardly gets anywhere."""
    return int(rng.integers(num_actions))


def repeating_policy(rng: np.random.Generator, before: int | None, num_actions: int) -> int:
    """Keep to an action for four steps on average: the player gets about."""
    if before is None or rng.random() < 0.25:
        return int(rng.integers(num_actions))
    return before


POLICIES: dict[str, Policy] = {"random": random_policy, "repeated": repeating_policy}
USUAL_POLICY = "repeated"


class GymnasiumSource:
    """Episodes of one environment with discrete actions; see `data.cache.FilmSource`.

    Args:
        env_id: see `make_environment`.
        canvas: size and fit of the frames.
        num_frames: how many, over all episodes.
        policy: who plays: a name from `POLICIES`, or a function.
        seed: of the environment and of the policy.
        longest: an episode is left after so many frames.

    Raises:
        GenieError: there is no such environment, it draws no pictures, or its actions are not
            numbered.
    """

    def __init__(
        self,
        env_id: str,
        canvas: Canvas,
        num_frames: int,
        policy: str | Policy = USUAL_POLICY,
        seed: int = 0,
        longest: int = 1000,
    ):
        self._canvas, self._num_frames, self._longest = canvas, num_frames, longest
        self._policy = policy
        if isinstance(policy, str):
            self._policy = POLICIES[check_choice("the policy", policy, POLICIES)]
        self._seed = seed
        self._environment = make_environment(env_id)
        self.image_size = (canvas.height, canvas.width)
        self.frames_per_second = float(self._environment.metadata.get("render_fps") or 10)
        self.identity = {
            "kind": "gymnasium",
            "environment": env_id,
            "frames": num_frames,
            "policy": policy if isinstance(policy, str) else policy.__qualname__,
            "seed": seed,
            "longest": longest,
            "image_size": list(self.image_size),
            "fit": canvas.fit,
        }

    def films(self) -> Iterator[Film]:
        """One film an episode."""
        rng, left, episode = np.random.default_rng(self._seed), self._num_frames, 0
        while left > 0:
            film = list(self._episode(rng, self._seed + episode, min(left, self._longest)))
            yield Film(f"episode {episode}", iter(film))
            left, episode = left - len(film), episode + 1

    def _episode(self, rng, seed, most):
        environment, action = self._environment, None
        environment.reset(seed=seed)
        over = False
        for step in range(most):
            frame = self._canvas.draw(Image.fromarray(np.asarray(environment.render())))
            if over or step == most - 1:
                yield frame, NO_ACTION
                return
            action = self._policy(rng, action, int(environment.action_space.n))
            yield frame, action
            _, _, terminated, truncated, _ = environment.step(action)
            over = terminated or truncated


def action_meanings(identity: dict) -> list[str] | None:
    """What the environment that films come from calls its actions, one name for each, in small
    letters; None if it does not say, or they come from elsewhere.

    Args:
        identity: of the source of the films, see `data.cache.FilmSource`.
    """
    if identity["kind"] != "gymnasium":
        return None
    environment = make_environment(identity["environment"])
    # As ale-py has it, to whose environments Gymnasium's wrappers for Atari put this question.
    tell = getattr(environment.unwrapped, "get_action_meanings", None)
    meanings = [str(meaning).lower() for meaning in tell()] if callable(tell) else []
    num_actions = gymnasium.spaces.flatdim(environment.action_space)
    return meanings if len(meanings) == num_actions else None


def make_environment(env_id: str) -> gymnasium.Env:
    """An environment that draws pictures and has numbered actions.

    Args:
        env_id: what `gymnasium.make` takes. Packages that bring environments are imported with
            "module:Name-v0"; "ALE/..." is found where ale-py is installed. Or "procgen:GAME".

    Raises:
        GenieError: it cannot be had, or is of another kind.
    """
    if env_id.startswith(PROCGEN):
        return ProcgenGame(env_id.removeprefix(PROCGEN))
    try:
        # The prefix imports the package that registers the games.
        name = f"ale_py:{env_id}" if env_id.startswith("ALE/") else env_id
        environment = gymnasium.make(name, render_mode="rgb_array")
    except Exception as error:  # any package's environment may raise anything
        raise GenieError(
            f"gymnasium has no environment {env_id} that draws pictures (is its package "
            f"installed? Atari's is ale-py): {error}"
        ) from error
    if not isinstance(environment.action_space, gymnasium.spaces.Discrete):
        raise GenieError(
            f"{env_id} has actions of the kind {environment.action_space}; numbered ones "
            "(Discrete) can be recorded"
        )
    return environment
