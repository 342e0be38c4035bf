"""The server of `genie-mini play` among many, slow and vanishing clients, and at its end."""

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from requests_of_players import BEGIN, PICTURE, begin, connect, head, received, step
from tiny import tiny_genie

from genie_mini.play import http_handler
from genie_mini.play.games import MOST_GAMES
from genie_mini.play.server import PlayServer

# ---- many, slow and vanishing clients ----


def test_fifty_connections_at_once_are_all_answered(server):
    """Each waits until all are connected, and none is reset."""
    everybody = threading.Barrier(50)

    def play(number):
        with connect(server) as connection:
            everybody.wait(20)
            connection.sendall(head("GET / HTTP/1.1", "Connection: close"))
            whole = received(connection)
        assert whole.startswith(b"HTTP/1.1 200 ") and whole.endswith(b"</html>\n")
        return begin(server, game=f"game {number}")[0]

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(play, range(50))) == [200] * 50
    assert len(server._games._sessions) == MOST_GAMES


def test_connections_wait_in_line_while_nobody_accepts():
    with PlayServer(tiny_genie()) as server:
        line = [socket.create_connection(("127.0.0.1", server.server_port), 2) for _ in range(60)]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        for connection in line:
            connection.settimeout(20)
            connection.sendall(head("HEAD / HTTP/1.1", "Connection: close"))
            assert received(connection).startswith(b"HTTP/1.1 200 ")
            connection.close()
        server.shutdown()
        thread.join()


def test_slow_clients_hold_nobody_up_and_are_let_go(server, monkeypatch):
    monkeypatch.setattr(http_handler, "TRANSFER", 0.4)
    monkeypatch.setattr(http_handler, "IDLE", 0.8)
    monkeypatch.setattr(http_handler, "LEAVE", 0.1)
    beginnings = [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: loc",
        head("POST /game HTTP/1.1", "Content-Length: 50") + b"{",
    ]
    slow = [connect(server) for _ in range(5) for _ in beginnings]
    for connection, beginning in zip(slow, beginnings * 5, strict=True):
        connection.sendall(beginning)
    assert begin(server)[0] == step(server)[0] == 200
    answers = [received(connection) for connection in slow]
    assert {answer[:12] for answer in answers} == {b"", b"HTTP/1.1 408"}
    for connection in slow:
        connection.close()


def test_a_client_that_trickles_is_let_go_in_time(server, monkeypatch):
    """Each byte comes soon after the last one; together they would take for ever."""
    monkeypatch.setattr(http_handler, "TRANSFER", 0.5)
    with connect(server) as connection:
        connection.sendall(head("POST /game HTTP/1.1", "Content-Length: 5000"))
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 20:
                connection.sendall(b" ")
                time.sleep(0.05)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("moment", ["in the head", "in the body", "before the answer"])
def test_a_client_that_vanishes_leaves_the_terminal_quiet(server, capfd, moment):
    body = json.dumps(BEGIN).encode() + b"\n" + PICTURE.tobytes()
    whole = head("POST /game HTTP/1.1", f"Content-Length: {len(body)}") + body
    sent = {"in the head": 30, "in the body": len(whole) - 100, "before the answer": len(whole)}
    for _ in range(5):
        with connect(server) as connection:
            # with this setting, closing resets the connection at once
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(whole[: sent[moment]])
    assert begin(server, game="b")[0] == 200
    time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_a_failure_that_is_no_lost_connection_is_printed(server, capfd):
    try:
        raise ZeroDivisionError("planted")
    except ZeroDivisionError:
        server.handle_error(None, None)
    assert "planted" in capfd.readouterr().err
    try:
        raise BrokenPipeError("planted")
    except BrokenPipeError:
        server.handle_error(None, None)
    assert capfd.readouterr().err == ""


# ---- the end ----


def test_what_is_drawn_or_waits_is_dropped_when_the_server_closes(server, monkeypatch, capfd):
    begin(server)
    drawing, go_on = threading.Event(), threading.Event()
    model = server._games._genie.dynamics
    real = model.predict_logits

    def held(*arguments):
        drawing.set()
        go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(model, "predict_logits", held)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(step, server, maskgitSteps=16) for _ in range(8)]
        assert drawing.wait(20)
        while server._worker._work_queue.qsize() < 7:  # all of them are in, and wait
            time.sleep(0.01)
        threading.Timer(0.2, go_on.set).start()
        server.server_close()
        answers = [future.result()[:2] for future in asked]
    assert answers == [(503, {"error": "genie-mini is being stopped"})] * 8
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal of POSIX")
def test_ctrl_c_ends_the_command_at_once_though_steps_are_drawn_and_wait(tmp_path):
    """Each of the eight steps would take eight seconds."""
    script = tmp_path / "slow.py"
    tiny_genie().save(tmp_path / "weights")
    script.write_text(
        "import signal, sys, time\n"
        # A shell that starts tests in the background lets its programs ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from genie_mini.cli import main\n"
        "from genie_mini.models.dynamics import DynamicsModel\n"
        "real = DynamicsModel.predict_logits\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.5)\n"
        "    return real(*arguments)\n"
        "DynamicsModel.predict_logits = slow\n"
        "words = ['play', '--no-browser', '--engine', 'torch', '--weights', sys.argv[1]]\n"
        "sys.exit(main(words))\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(script), str(tmp_path / "weights")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            port = int(process.stdout.readline().split(":")[2].split()[0])
            server = type("Address", (), {"server_port": port})
            begin(server)
            pages = [threading.Thread(target=asking, args=(server,)) for _ in range(8)]
            for page in pages:
                page.start()
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            errors = process.communicate(timeout=60)[1]
            assert time.monotonic() - began < 15, "they were drawn to their end"
        finally:
            process.kill()
    for page in pages:
        page.join()
    assert process.returncode == 0 and errors == ""


def asking(server):
    """Ask for a step of sixteen MaskGIT steps; the server may go."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        step(server, maskgitSteps=16)
