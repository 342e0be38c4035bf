"""A page in the browser to play on, served by this machine to itself (`genie-mini play`).

The page (assets/player.html) holds the same `<genie-player>` as the book's; its `ServerEngine`
asks this server for the frames, and nothing of any other host. It posts to /game one line of JSON,
what `Games.answer` takes, and after it the picture to begin from. The answer has the same form: a
line of JSON, then the frame.
"""

import contextlib
import json
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.play.games import Games
from genie_mini.play.prompts import as_prompt, level_picture
from genie_mini.play.widget import (
    MODULE,
    level_prompts,
    player_element,
    player_options,
    script_hash,
    whole_page,
)
from genie_mini.world.simulation import SIZES

LARGEST_REQUEST = 16 * 2**20  # bytes
# No script but the player's, no connection but to here. Styles lie within the page and the player,
# prompts in data URIs; a person's own picture becomes a blob.
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; img-src data: blob:; style-src 'unsafe-inline'; "
    f"script-src {script_hash(MODULE)}"
)


def starting_pictures(image_size: tuple[int, int], prompt=None, level: int | None = None) -> list:
    """What the page offers to begin from: the picture asked for, then the usual levels.

    Args:
        image_size: (height, width) in pixels.
        prompt: a picture, as `prompts.as_prompt` takes it.
        level: seed of a platformer level.

    Raises:
        GenieError: the picture cannot be read, or there is none, and the platformer is not drawn at
            this size.
    """
    if prompt is not None:
        pictures = [as_prompt(prompt, image_size)]
    elif level is not None:
        pictures = [level_picture(level, image_size)]
    else:
        return level_prompts(image_size)
    has_levels = tuple(image_size) in [(size, size) for size in SIZES]
    return pictures + (level_prompts(image_size) if has_levels else [])


class PlayServer(ThreadingHTTPServer):
    """Serves the page and the games on it at `address`; for use with `serve_forever`.

    Args:
        genie: draws the frames.
        action_names: what each latent action means, such as "left"; None if nobody knows.
        prompt: a picture to begin with, as `prompts.as_prompt` takes it.
        level: seed of the platformer level to begin with if there is no prompt.
        port: on 127.0.0.1; 0 takes a free one.

    Raises:
        GenieError: the prompt, the level or a name cannot be used, or the port is taken or not
            allowed.
    """

    daemon_threads = True
    # on Windows it would let two programs share the port
    allow_reuse_address = os.name == "posix"

    def __init__(
        self,
        genie: Genie,
        action_names: list[str] | None = None,
        prompt=None,
        level: int | None = None,
        port: int = 0,
    ):
        pictures = starting_pictures(genie.config.tokenizer.image_size, prompt, level)
        self.options = player_options(genie, prompts=pictures, action_names=action_names)
        self.options["server"] = "/game"
        self.page = whole_page(player_element(self.options)).encode()
        self._games = Games(genie)
        # One thread for the requests of all connections: torch has one set of helpers.
        self._worker = ThreadPoolExecutor(max_workers=1)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise GenieError(
                f"port {port} cannot be used ({error}); without a port a free one is taken"
            ) from error
        self.address = f"http://127.0.0.1:{self.server_port}"

    def ask(self, message: dict, picture: bytes) -> tuple[dict, bytes]:
        """`Games.answer`, after all that was asked before."""
        return self._worker.submit(self._games.answer, message, picture).result()

    def server_close(self):
        """Free the port."""
        super().server_close()
        self._worker.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """GET / is the page; POST /game begins a world or plays one step of it."""

    protocol_version = "HTTP/1.1"  # keep the connection: ten requests a second
    disable_nagle_algorithm = True  # or each answer would wait for the last one's acknowledgement

    def handle(self):
        """Answer until the connection closes; a page may be closed while it waits for a frame."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        if not self._is_ours():
            self._refuse(403, "this page belongs to another address")
        elif self.path == "/":
            self._send(200, "text/html; charset=utf-8", self.server.page)
        else:
            self._refuse(404, f"there is nothing at {self.path}")

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()) or int(size) > LARGEST_REQUEST:
            self.close_connection = True
            self._refuse(413, f"a request needs a length of {LARGEST_REQUEST >> 20} MB at most")
            return
        body = self.rfile.read(int(size))
        if not self._is_ours():
            self._refuse(403, "this page belongs to another address")
        elif self.path != "/game":
            self._refuse(404, f"there is nothing at {self.path}")
        else:
            self._play(body)

    def _play(self, body):
        line, _, picture = body.partition(b"\n")
        try:
            answer, frame = self.server.ask(_read(line), picture)
        except GenieError as error:
            self._refuse(400, str(error))
        except Exception:
            traceback.print_exc()
            self._refuse(500, "genie-mini failed; the terminal says where")
        else:
            content = json.dumps(answer).encode() + b"\n" + frame
            self._send(200, "application/octet-stream", content)

    def _is_ours(self):
        """Whether the request comes from our own page: any site could send one to this port."""
        own = {f"{host}:{self.server.server_port}" for host in ("127.0.0.1", "localhost")}
        origin = self.headers.get("Origin", "").removeprefix("http://")
        return self.headers.get("Host") in own and (not origin or origin in own)

    def _refuse(self, status, error):
        self._send(status, "application/json", json.dumps({"error": error}).encode())

    def _send(self, status, kind, content):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Stay silent: ten lines a second would bury the terminal."""


def _read(line):
    try:
        return json.loads(line)
    except ValueError as error:
        raise GenieError("a request begins with a line of JSON") from error
