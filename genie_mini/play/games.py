"""The worlds that a `<genie-player>` plays when Python draws them: in a notebook, and on the page
of `genie-mini play`.
"""

import numpy as np

from genie_mini.contract import check_choice, shown
from genie_mini.errors import GenieError
from genie_mini.export.runtime import ExportedGenie
from genie_mini.genie import Genie
from genie_mini.models.lookback import reaches
from genie_mini.play.prompts import as_prompt
from genie_mini.rollout import PlaySession

MOST_GAMES = 16  # at once; a form shows four, and a page that is loaded again begins new ones
LONGEST_NAME = 100  # characters of a game's


class Stopped(Exception):
    """The games have been ended; nothing more is drawn."""


class Games:
    """Worlds being played, by name.

    Args:
        genie: draws their frames.
    """

    def __init__(self, genie: Genie | ExportedGenie):
        self._genie = genie.eval()
        config = genie.config.dynamics
        self._lookbacks = list(reaches(config.context))
        self._players = {config.lookback: self._genie}  # by look-back, made when it is asked for
        self._sessions: dict[str, PlaySession] = {}  # the one played latest comes last
        self._stopped = False

    def stop(self) -> None:
        """End them from another thread: what is being drawn ends with its present MaskGIT step."""
        self._stopped = True

    def answer(self, message: dict, picture: bytes = b"") -> tuple[dict, bytes]:
        """Do what an engine of the player asks for (assets/player_engines.js).

        Args:
            message: `{"type": "begin", "game", "seed", "lookback"}`, or `{"type": "step", "game",
                "action", "maskgitSteps", "temperature", "minP"}`; "game" may be any name of up to
                `LONGEST_NAME` characters, "lookback" is one of `models.lookback.LOOKBACKS`.
            picture: what to begin from, (height * width * 3) float32 in [0, 1].

        Returns:
            `{"tokens", "steps", "attended"}`, the frame's tokens, those after each MaskGIT step and
            the ages of the frames that it was drawn after, and the frame, in the form of `picture`.

        Raises:
            GenieError: something in the message is missing or cannot be done.
            Stopped: `stop` was called.
        """
        self._go_on()
        if not isinstance(message, dict):
            raise GenieError(f"a message is an object with a type and a game, got {shown(message)}")
        game = message.get("game")
        if not isinstance(game, str) or len(game) > LONGEST_NAME:
            raise GenieError(
                f"a game's name is a string of at most {LONGEST_NAME} characters, got {shown(game)}"
            )
        steps: list[list[int]] = []
        match message.get("type"):
            case "begin":
                session = self._begin(message, picture)
            case "step":
                session = self._step(game, message, steps)
            case other:
                raise GenieError(f"a message's type is begin or step, got {shown(other)}")
        self._keep(game, session)
        frame = session.frame.cpu().numpy().astype(np.float32)
        told = {"tokens": session.tokens.tolist(), "steps": steps, "attended": session.attended}
        return told, frame.tobytes()

    def _go_on(self):
        if self._stopped:
            raise Stopped

    def _begin(self, message, picture):
        (seed,) = _numbers(message, seed=int)
        if not 0 <= seed < 2**32:
            raise GenieError(f"a seed lies in [0, 2**32), got {seed}")
        lookback = check_choice("lookback", message.get("lookback"), self._lookbacks)
        height, width = self._genie.config.tokenizer.image_size
        if len(picture) != height * width * 3 * 4:
            raise GenieError(
                f"a picture is {height}x{width}x3 float32 numbers, got {len(picture)} bytes"
            )
        pixels = np.frombuffer(picture, "<f4").reshape(height, width, 3)
        if lookback not in self._players:
            self._players[lookback] = self._genie.with_lookback(lookback)
        return self._players[lookback].play(as_prompt(pixels, (height, width)), seed)

    def _step(self, game, message, steps):
        if game not in self._sessions:
            raise GenieError(f"no world of the name {game} is being played")
        action, maskgit_steps, temperature, min_p = _numbers(
            message, action=int, maskgitSteps=int, temperature=float, minP=float
        )

        def on_step(tokens):
            self._go_on()
            steps.append(tokens[0].tolist())

        session = self._sessions[game]
        session.step(action, maskgit_steps, temperature, on_step, min_p)
        return session

    def _keep(self, game, session):
        self._sessions.pop(game, None)
        self._sessions[game] = session
        while len(self._sessions) > MOST_GAMES:
            del self._sessions[next(iter(self._sessions))]


def _numbers(message, **kinds):
    """Those values of a message, each of its kind: int, or float, which may be an int too."""
    values = [message.get(name) for name in kinds]
    if not all(map(_is_number, values, kinds.values())):
        raise GenieError(
            f"a {message['type']} needs {', '.join(kinds)}, all numbers, and integers but for "
            "temperature and minP"
        )
    return values


def _is_number(value, kind):
    # A bool is an int to Python. JSON knows infinity, NaN, and integers of any size.
    allowed = int if kind is int else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool) and abs(value) < 2**63
