"""Requests to the server of `genie-mini play`, as its page sends them, and byte by byte."""

import http.client
import json
import socket
import threading
from contextlib import contextmanager

import numpy as np

from genie_mini.play.prompts import level_picture

BEGIN = {"type": "begin", "game": "a", "seed": 0, "lookback": "recent"}
STEP = {
    "type": "step",
    "game": "a",
    "action": 2,
    "maskgitSteps": 3,
    "temperature": 1.0,
    "minP": 0.0,
}
PICTURE = level_picture(5, (32, 32)).numpy()


@contextmanager
def serving(server):
    """Let a server answer within this context, and close it after."""
    with server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield server
        server.shutdown()


def ask(server, method, path, body=b"", **headers):
    """Send one request; return the status, the headers, and the answer (an error's JSON read)."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = content and answer.headers["Content-Type"] == "application/json"
    return answer.status, answer.headers, json.loads(content) if is_json else content


def post(server, message, picture=b"", **headers):
    """Ask of the games; return the status, what was said, and the frame."""
    body = json.dumps(message).encode() + b"\n" + picture
    status, _, content = ask(server, "POST", "/game", body, **headers)
    if status != 200:
        return status, content, None
    line, _, frame = content.partition(b"\n")
    return status, json.loads(line), np.frombuffer(frame, np.float32).reshape(32, 32, 3)


def begin(server, **changes):
    return post(server, BEGIN | changes, PICTURE.tobytes())


def step(server, **changes):
    return post(server, STEP | changes)


def connect(server):
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=20)


def received(connection):
    """What comes until the server closes the connection; a reset would raise."""
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def head(*lines, host="127.0.0.1:9"):
    return "\r\n".join([lines[0], f"Host: {host}", *lines[1:], "", ""]).encode()
