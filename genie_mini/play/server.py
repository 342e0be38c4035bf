"""A page in the browser to play on, served by this machine to itself (`genie-mini play`).

The page (assets/player.html) holds the same `<genie-player>` as the book's; its `ServerEngine`
asks this server for the frames, and nothing of any other host. It posts to /game one line of JSON,
what `Games.answer` takes, and after it the picture to begin from. The answer has the same form: a
line of JSON, then the frame. A line of JSON that it posts to /names gives a button its name.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path

from torch import Tensor

from genie_mini.contract import shown
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import LONGEST_NAME, save_name_by_hand
from genie_mini.export.runtime import ExportedGenie
from genie_mini.genie import Genie
from genie_mini.play.games import Games, Stopped
from genie_mini.play.http_handler import LONGEST_LINE, Handler
from genie_mini.play.prompts import as_prompt, level_picture
from genie_mini.play.widget import (
    MODULE,
    offered_pictures,
    player_element,
    player_options,
    script_hash,
    whole_page,
)

# No script but the player's, no connection but to here. Styles lie within the page and the player,
# prompts in data URIs; a person's own picture becomes a blob.
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; img-src data: blob:; style-src 'unsafe-inline'; "
    f"script-src {script_hash(MODULE)}"
)


def starting_pictures(
    image_size: tuple[int, int], prompt=None, level: int | None = None, own: Sequence[Tensor] = ()
) -> list[Tensor]:
    """What the page offers to begin from, the picture asked for first; see `offered_pictures`.

    Args:
        image_size: (height, width) in pixels.
        prompt: a picture, as `prompts.as_prompt` takes it.
        level: seed of a platformer level.
        own: pictures that travel with the weights (`prompts.saved_prompts`).

    Raises:
        GenieError: the picture cannot be read, or there is none, and the platformer is not drawn at
            this size.
    """
    asked = []
    if prompt is not None:
        asked = [as_prompt(prompt, image_size)]
    elif level is not None:
        asked = [level_picture(level, image_size)]
    return offered_pictures(image_size, asked, own)


class PlayServer(ThreadingHTTPServer):
    """Serves the page and the games on it at `address`; for use with `serve_forever`.

    Args:
        genie: draws the frames, until another is given to `play_with`.
        action_names: what each latent action means, such as "left"; None if nobody knows.
        prompt: a picture to begin with, as `prompts.as_prompt` takes it.
        level: seed of the platformer level to begin with if there is no prompt.
        port: on 127.0.0.1; 0 takes a free one.
        own: pictures that travel with the weights, offered in place of levels.
        names_folder: folder of the weights, where the names are kept that people give the buttons
            on the page; None: they cannot give any.

    Raises:
        GenieError: the prompt, the level or a name cannot be used, or the port is taken or not
            allowed.
    """

    daemon_threads = True
    request_queue_size = 128  # connections that wait while others are being accepted
    policy = _POLICY
    # on Windows it would let two programs share the port
    allow_reuse_address = os.name == "posix"

    def __init__(
        self,
        genie: Genie | ExportedGenie,
        action_names: list[str] | None = None,
        prompt=None,
        level: int | None = None,
        port: int = 0,
        own: Sequence[Tensor] = (),
        names_folder: Path | None = None,
    ):
        pictures = starting_pictures(genie.config.tokenizer.image_size, prompt, level, own)
        self.options = player_options(genie, prompts=pictures, action_names=action_names)
        self.options["server"] = "/game"
        self._names_folder = names_folder
        if names_folder is not None:
            self.options["naming"] = {"server": "/names", "longest": LONGEST_NAME}
        self._write_page()
        height, width = genie.config.tokenizer.image_size
        largest_picture = height * width * 3 * 4
        # bytes of a request to each address
        self.largest = {"/game": LONGEST_LINE + 1 + largest_picture, "/names": LONGEST_LINE}
        self._games = Games(genie)
        # One thread for the requests of all connections: torch has one set of helpers.
        self._worker = ThreadPoolExecutor(max_workers=1)
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except (OSError, OverflowError, TypeError) as error:
            raise GenieError(
                f"port {port} cannot be used ({error}); without a port a free one is taken"
            ) from error
        self.address = f"http://127.0.0.1:{self.server_port}"

    def play_with(self, player: Genie | ExportedGenie) -> None:
        """Let another draw the frames, before the first game: `export.choose_engine` gives the
        faster one, but may take a while, and all else that could be wrong is known by now.
        """
        self._games = Games(player)

    def answer(self, path: str, message: dict, more: bytes) -> tuple[dict, bytes]:
        """Do what a message to /game or /names asks for, after all that was asked before.

        Args:
            path: one of the two.
            message: to /game what `Games.answer` takes; to /names `{"action", "name"}`, a latent
                action from 0 and what it is to be called, see `action_names.check_name`.
            more: to /game the picture to begin from.

        Returns:
            From /game what `Games.answer` returns; from /names `{"names"}`, what all latent actions
            are called now.

        Raises:
            GenieError: something in the message is missing or cannot be done.
            Stopped: the server is closing.
        """
        function = self._games.answer if path == "/game" else self._name
        try:
            answer = self._worker.submit(function, message, more)
        except RuntimeError as error:  # it takes nothing more
            raise Stopped from error
        return answer.result()

    def _name(self, message, more):
        if self._names_folder is None:
            raise GenieError(
                "these buttons keep their names: the weights ship with the package, and stay as "
                "they are"
            )
        if not isinstance(message, dict) or message.keys() != {"action", "name"} or more:
            raise GenieError(
                f"a name comes as one object with an action and a name, got {shown(message)}"
            )
        world = self.options["world"]
        world["actionNames"] = save_name_by_hand(
            self._names_folder, message["action"], message["name"], len(world["actionNames"])
        )
        self._write_page()
        return {"names": world["actionNames"]}, b""

    def _write_page(self):
        self.page = whole_page(player_element(self.options)).encode()

    def server_close(self) -> None:
        """Free the port, and end at once: what is being drawn or waits for it is not finished."""
        self._games.stop()
        super().server_close()
        self._worker.shutdown()

    def handle_error(self, request, client_address) -> None:
        """Pass over connections that broke: a page may be closed while it waits for a frame."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
