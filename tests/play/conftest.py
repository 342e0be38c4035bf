"""What the tests of the server and of its page share."""

import threading

import pytest
from tiny import NAMES, tiny_genie

from genie_mini.play.server import PlayServer


@pytest.fixture
def server():
    with PlayServer(tiny_genie(), NAMES) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield server
        server.shutdown()
