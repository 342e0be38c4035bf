"""How `PlayServer` speaks HTTP: whom it answers, how much it reads, and how long it waits.

Any site that this machine's browser shows may send requests to the server, and any program here may
send it anything. So a request's head is judged before its body is read, and what is wrong with
either is one line of JSON, `{"error"}`.
"""

import contextlib
import io
import json
import re
import socket
import time
import traceback
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from genie_mini.errors import GenieError
from genie_mini.play.games import Stopped

if TYPE_CHECKING:
    from genie_mini.play.server import PlayServer

LONGEST_LINE = 4096  # bytes of a message's JSON; the player's have about a hundred
# Seconds: between two requests (a paused game; the browser connects again), for a request to come
# in or an answer to go out, and for the rest of a request that was refused.
IDLE, TRANSFER, LEAVE = 120.0, 15.0, 1.0
_METHODS = {"/": ("GET", "HEAD"), "/game": ("POST",), "/names": ("POST",)}
# A name that someone's DNS answers may come to point here, an address or "localhost" never: so any
# port will do, and the page works through a tunnel too.
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


class _Incoming(io.RawIOBase):
    """What a connection sends until `deadline` (of time.monotonic), however slowly it trickles."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.deadline = 0.0

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)

    def allow(self, seconds: float):
        """So long may it take from now on."""
        self.deadline = time.monotonic() + seconds


class Handler(BaseHTTPRequestHandler):
    """GET / is the page; POST /game begins a world or plays one step of it; POST /names calls a
    button otherwise.
    """

    server: "PlayServer"

    protocol_version = "HTTP/1.1"  # keep the connection: ten requests a second
    disable_nagle_algorithm = True  # or each answer would wait for the last one's acknowledgement

    def setup(self) -> None:
        """Read by the clock."""
        super().setup()
        self.rfile.close()
        self._incoming = _Incoming(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        """Answer one request."""
        self._incoming.allow(IDLE)
        self._unread = True  # until a request was read to its end
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read a request's head; True if it is to be answered, or else it has been refused."""
        self._incoming.allow(TRANSFER)
        if not super().parse_request():
            return False
        framed = "Transfer-Encoding" in self.headers or "Content-Length" in self.headers
        self._unread = framed or self.command == "POST"
        refusal = self._refusal()
        if refusal:
            self._refuse(*refusal)
        return refusal is None

    def handle_expect_100(self) -> bool:
        """Do not ask for the body yet: the head has not been judged."""
        return True

    def do_GET(self) -> None:
        """Send the page."""
        self._send(200, "text/html; charset=utf-8", self.server.page)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Play or name, as the body says."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        size = int(self.headers["Content-Length"])
        try:
            body = self.rfile.read(size)
        except TimeoutError:
            self._refuse(408, f"a request has {TRANSFER:.0f} seconds to come in")
            return
        if len(body) < size:
            self._refuse(400, f"the request ended after {len(body)} of {size} bytes")
            return
        self._unread = False
        self._answer(body)

    def _answer(self, body):
        line, _, more = body.partition(b"\n")
        try:
            answer, frame = self.server.answer(self._address(), _read(line), more)
        except GenieError as error:
            self._refuse(400, str(error))
        except Stopped:
            self._refuse(503, "genie-mini is being stopped")
        except Exception:
            traceback.print_exc()
            self._refuse(500, "genie-mini failed; the terminal says where")
        else:
            content = json.dumps(answer).encode() + b"\n" + frame
            self._send(200, "application/octet-stream", content)

    def _refusal(self):
        """Why a request is not answered, (status, reason), as far as its head tells; or None."""
        path, command = self._address(), self.command
        if not self._is_ours():
            return 403, "this page belongs to another address"
        if path not in _METHODS:
            return 404, f"there is nothing at {path[:100]}"
        if command not in _METHODS[path]:
            return 405, f"{path} takes {' and '.join(_METHODS[path])}, not {command[:100]}"
        lengths = self.headers.get_all("Content-Length", [])
        if command != "POST":
            return None
        if "Transfer-Encoding" in self.headers or not lengths:
            return 411, "a request says its length, and comes in one piece"
        if len(lengths) > 1:
            return 400, "a request has one length"
        most = self.server.largest[path]
        if not re.fullmatch("[0-9]{1,12}", lengths[0]) or int(lengths[0]) > most:
            return 413, f"a request's length is a number of bytes, {most} at most"
        return None

    def _address(self):
        return self.path.partition("?")[0]

    def _is_ours(self):
        """Whether the request comes from our own page, at whichever of this machine's names."""
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
            return False
        own = [f"{scheme}://{hosts[0]}".lower() for scheme in ("http", "https")]
        return not origins or (len(origins) == 1 and origins[0].lower() in own)

    def send_error(self, code, message=None, explain=None) -> None:
        """Refuse what is no HTTP, in the form of our other refusals."""
        self._refuse(int(code), message or self.responses[code][0])

    def _refuse(self, status, error):
        self._send(status, "application/json", json.dumps({"error": error}).encode())

    def _send(self, status, kind, content):
        # What was not read would be taken for the next request.
        self.close_connection = self.close_connection or self._unread
        self.connection.settimeout(TRANSFER)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 405:
            self.send_header("Allow", ", ".join(_METHODS[self._address()]))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def finish(self) -> None:
        """Close; after a refusal, hear the client out first, or it might not see the refusal."""
        if self._unread:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                self._incoming.allow(LEAVE)
                while self.rfile.read1(2**16):
                    pass
        super().finish()

    def log_message(self, *arguments) -> None:
        """Stay silent: ten lines a second would bury the terminal."""


def _read(line):
    if len(line) > LONGEST_LINE:
        raise GenieError(f"a request begins with a line of JSON, of {LONGEST_LINE} bytes at most")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # RecursionError: a list in a list in a list
        raise GenieError("a request begins with a line of JSON") from error
