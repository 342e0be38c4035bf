"""The worlds that a `<genie-player>` plays when Python draws them: in a notebook, and on the page
of `genie-mini play`.
"""

import math

import numpy as np

from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.play.prompts import as_prompt
from genie_mini.rollout import PlaySession

MOST_GAMES = 16  # at once; a form shows four, and a page that is loaded again begins new ones


class Games:
    """Worlds being played, by name.

    Args:
        genie: draws their frames.
    """

    def __init__(self, genie: Genie):
        self._genie = genie.eval()
        self._sessions: dict[str, PlaySession] = {}  # the one played latest comes last

    def answer(self, message: dict, picture: bytes = b"") -> tuple[dict, bytes]:
        """Do what an engine of the player asks for (assets/player_engines.js).

        Args:
            message: `{"type": "begin", "game", "seed"}`, or `{"type": "step", "game", "action",
                "maskgitSteps", "temperature"}`; "game" may be any name.
            picture: what to begin from, (height * width * 3) float32 in [0, 1].

        Returns:
            `{"tokens", "steps"}`, the frame's tokens and those after each MaskGIT step, and the
            frame, in the form of `picture`.

        Raises:
            GenieError: something in the message is missing or cannot be done.
        """
        if not isinstance(message, dict):
            raise GenieError(f"a message is an object with a type and a game, got {message!r}")
        game = str(message.get("game"))
        steps: list[list[int]] = []
        match message.get("type"):
            case "begin":
                session = self._begin(message, picture)
            case "step":
                session = self._step(game, message, steps)
            case other:
                raise GenieError(f"a message's type is begin or step, got {other!r}")
        self._keep(game, session)
        frame = session.frame.cpu().numpy().astype(np.float32)
        return {"tokens": session.tokens.tolist(), "steps": steps}, frame.tobytes()

    def _begin(self, message, picture):
        (seed,) = _numbers(message, seed=int)
        if not 0 <= seed < 2**32:
            raise GenieError(f"a seed lies in [0, 2**32), got {seed}")
        height, width = self._genie.config.tokenizer.image_size
        if len(picture) != height * width * 3 * 4:
            raise GenieError(
                f"a picture is {height}x{width}x3 float32 numbers, got {len(picture)} bytes"
            )
        pixels = np.frombuffer(picture, "<f4").reshape(height, width, 3)
        return self._genie.play(as_prompt(pixels, (height, width)), seed)

    def _step(self, game, message, steps):
        if game not in self._sessions:
            raise GenieError(f"no world of the name {game} is being played")
        action, maskgit_steps, temperature = _numbers(
            message, action=int, maskgitSteps=int, temperature=float
        )
        session = self._sessions[game]
        session.step(
            action,
            maskgit_steps,
            temperature,
            lambda tokens: steps.append(tokens[0].tolist()),
        )
        return session

    def _keep(self, game, session):
        self._sessions.pop(game, None)
        self._sessions[game] = session
        while len(self._sessions) > MOST_GAMES:
            del self._sessions[next(iter(self._sessions))]


def _numbers(message, **kinds):
    """Those values of a message, each turned into its kind."""
    try:
        values = [kind(message[name]) for name, kind in kinds.items()]
    except (KeyError, TypeError, ValueError, OverflowError):
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise GenieError(f"a {message['type']} needs {', '.join(kinds)}, all numbers")
    return values
