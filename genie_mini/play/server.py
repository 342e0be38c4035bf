"""A page in the browser to play on, served by this machine to itself (`genie-mini play`).

`Game` holds the world being played; `Window` is the web server in front of it. The page (assets/window.html) asks
for nothing from any other host.
"""

import base64
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from genie_mini.data.pictures import read_picture
from genie_mini.evaluation.action_names import check_action_names
from genie_mini.genie import Genie
from genie_mini.play.images import to_uint8
from genie_mini.play.prompts import as_prompt, level_picture
from genie_mini.world.simulation import HELD_OUT_SEED

PAGE = Path(__file__).parent / "assets" / "window.html"
LARGEST_PICTURE = 32 * 2**20  # bytes of an uploaded file


class Game:
    """One person's game: a world, where it began, and what the buttons mean.

    Args:
        genie: a `Genie`.
        action_names: what each latent action means, such as "left"; None if nobody knows.
        prompt: a picture to begin with, as `controls.as_prompt` takes it.
        level: seed of the platformer level to begin with if there is no prompt; None is the first held-out one.
    """

    def __init__(
        self, genie: Genie, action_names: list[str] | None = None, prompt=None, level: int | None = None
    ):
        self.genie = genie.eval()
        self.image_size = genie.config.tokenizer.image_size
        self.action_names = check_action_names(action_names, genie.config.dynamics.num_actions)
        self._next_level = HELD_OUT_SEED
        if prompt is not None:
            name = Path(prompt).name if isinstance(prompt, str | Path) else "a picture"
            self._begin(as_prompt(prompt, self.image_size), name)
        else:
            self._begin_level(HELD_OUT_SEED if level is None else level)

    def _begin(self, prompt, origin, level=None):
        session = self.genie.play(prompt)
        self._prompt, self._session, self._origin, self._level, self._count = (
            prompt,
            session,
            origin,
            level,
            0,
        )

    def _begin_level(self, level):
        self._begin(level_picture(level, self.image_size), f"level {level}", level)
        self._next_level = max(level + 1, HELD_OUT_SEED)

    def state(self) -> dict:
        """The present: `pixels` (base64 of RGB bytes), `origin`, `level` (None for a picture), and `frame`."""
        pixels = base64.b64encode(to_uint8(self._session.frame).tobytes()).decode()
        return {"pixels": pixels, "origin": self._origin, "level": self._level, "frame": self._count}

    def describe(self) -> dict:
        """The present, and what stays the same all the time."""
        dynamics = self.genie.config.dynamics
        return self.state() | {
            "height": self.image_size[0],
            "width": self.image_size[1],
            "actionNames": self.action_names,
            "mostSteps": min(25, dynamics.grid[0] * dynamics.grid[1]),
            "memory": dynamics.context - 1,
        }

    def new_world(self) -> dict:
        """Begin the next held-out level."""
        self._begin_level(self._next_level)
        return self.state()

    def restart(self) -> dict:
        """Begin the same world again; the same actions then lead to the same frames."""
        self._begin(self._prompt, self._origin, self._level)
        return self.state()

    def use_picture(self, content: bytes, name: str) -> dict:
        """Begin from an image file's bytes; a ValueError if they are none."""
        try:
            picture = read_picture(io.BytesIO(content), self.image_size[0])
        except ValueError as error:
            raise ValueError(f"{name} is not a picture that can be read") from error
        self._begin(as_prompt(picture, self.image_size), name)
        return self.state()

    def step(self, action: int, maskgit_steps: int = 8, temperature: float = 1.0) -> dict:
        """Play one latent action; see `Rollout.step` for the arguments and what is wrong with them."""
        self._session.step(action, maskgit_steps, temperature)
        self._count += 1
        return self.state()


class Window(ThreadingHTTPServer):
    """Serves the page and the game at `address`; for use with `serve_forever`.

    Args:
        game: what is played.
        port: on 127.0.0.1; 0 takes a free one.

    Raises:
        ValueError: the port is taken or not allowed.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows it would let two programs share the port

    def __init__(self, game: Game, port: int = 0):
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"port {port} cannot be used ({error}); without a port a free one is taken"
            ) from error
        self.game = game
        self.address = f"http://127.0.0.1:{self.server_port}"
        # One thread for the requests of all connections: a game has one present, and torch one set of helpers.
        self._worker = ThreadPoolExecutor(max_workers=1)

    def ask(self, function, *arguments):
        """Call a method of the game, after those already asked for."""
        return self._worker.submit(function, *arguments).result()

    def server_close(self):
        """Free the port."""
        super().server_close()
        if hasattr(self, "_worker"):  # not if the port was taken
            self._worker.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """GET / is the page and GET /game the game; POST /step, /new, /restart and /picture change it."""

    protocol_version = "HTTP/1.1"  # keep the connection: ten requests a second
    disable_nagle_algorithm = True  # or each answer would wait for the last one's acknowledgement

    def do_GET(self):
        if not self._is_ours():
            self._answer(403, {"error": "this page belongs to another address"})
        elif self.path == "/":
            self._send(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path == "/game":
            self._answer(200, self.server.ask(self.server.game.describe))
        else:
            self._answer(404, {"error": f"there is nothing at {self.path}"})

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        if size > LARGEST_PICTURE:
            self.close_connection = True
            self._answer(413, {"error": f"pictures may have {LARGEST_PICTURE >> 20} MB at most"})
            return
        body, game = self.rfile.read(size), self.server.game
        changes = {
            "/step": self._step,
            "/new": game.new_world,
            "/restart": game.restart,
            "/picture": self._picture,
        }
        if not self._is_ours():
            self._answer(403, {"error": "this page belongs to another address"})
        elif self.path not in changes:
            self._answer(404, {"error": f"there is nothing at {self.path}"})
        else:
            arguments = (body,) if self.path in ("/step", "/picture") else ()
            try:
                self._answer(200, self.server.ask(changes[self.path], *arguments))
            except ValueError as error:
                self._answer(400, {"error": str(error)})

    def _step(self, body):
        try:
            wish = json.loads(body)
            arguments = int(wish["action"]), int(wish["maskgit_steps"]), float(wish["temperature"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("a step needs an action, maskgit_steps and temperature, all numbers") from error
        return self.server.game.step(*arguments)

    def _picture(self, body):
        return self.server.game.use_picture(body, unquote(self.headers.get("X-File-Name", "the file")))

    def _is_ours(self):
        """Whether the request comes from our own page: any site in the browser could send one to this port."""
        own = {f"{host}:{self.server.server_port}" for host in ("127.0.0.1", "localhost")}
        origin = self.headers.get("Origin", "").removeprefix("http://")
        return self.headers.get("Host") in own and (not origin or origin in own)

    def _answer(self, status, content):
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status, kind, content):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; connect-src 'self'; img-src data:; "
            "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
        )
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Stay silent: ten lines a second would bury the terminal."""
