"""Whom the server of `genie-mini play` answers, and what a request may look like."""

import http.client
import json
import socket

import pytest
from requests_of_players import BEGIN, PICTURE, STEP, ask, begin, connect, head, received, step

from genie_mini.play.http_handler import LONGEST_LINE


def raw(server, request):
    """Send bytes as they are; return the statuses of the answers, and the last one's error."""
    with connect(server) as connection:
        connection.sendall(request)
        answers = received(connection).split(b"HTTP/1.1 ")[1:]
    body = answers[-1].partition(b"\r\n\r\n")[2]
    error = json.loads(body)["error"] if body.startswith(b'{"error"') else None
    return [int(answer[:3]) for answer in answers], error


# ---- who is answered ----


@pytest.mark.parametrize(
    "host",
    [
        "localhost:9000",
        "LOCALHOST:9000",
        "127.0.0.1:1",
        "127.0.0.2:9000",
        "[::1]:9000",
        "localhost",
    ],
)
def test_every_name_of_this_machine_is_ours_at_any_port_as_tunnels_have(server, host):
    assert ask(server, "GET", "/", Host=host)[0] == 200
    body = json.dumps(BEGIN).encode() + b"\n" + PICTURE.tobytes()
    for scheme in ("http", "https"):
        origin = f"{scheme}://{host}".lower()
        assert ask(server, "POST", "/game", body, Host=host, Origin=origin)[0] == 200
    for origin in ("http://localhost:9001", "null", "http://other.invalid", f"file://{host}", ""):
        assert ask(server, "POST", "/game", body, Host=host, Origin=origin)[0] == 403, origin


@pytest.mark.parametrize(
    "host",
    [
        "other.invalid",
        "localhost.other.invalid:9000",
        "127.0.0.1.other.invalid",
        "other.invalid:127.0.0.1",
        "user@localhost:9000",
        "localhost:9000@other.invalid",
        "192.168.0.1:9000",
        "0.0.0.0:9000",
        "[::2]:9000",
        "localhost:",
        "localhost:port",
        "localhost:9000/",
        "",
    ],
)
def test_every_other_name_is_refused_as_rebound_dns_gives_it(server, host):
    for method, path in (("GET", "/"), ("POST", "/game"), ("OPTIONS", "/game"), ("GET", "/none")):
        assert ask(server, method, path, Host=host)[0] == 403
    assert ask(server, "POST", "/game", Host=host, Origin=f"http://{host}")[0] == 403


def test_two_hosts_and_no_host_are_refused(server):
    assert raw(server, b"GET / HTTP/1.1\r\n\r\n" + head("GET / HTTP/1.1", "Connection: close"))[
        0
    ] == [403, 200]
    assert raw(server, head("GET / HTTP/1.1", "Host: other.invalid", "Connection: close"))[0] == [
        403
    ]


@pytest.mark.parametrize("length", ["-1", "many", str(2**62), "9" * 5000])
def test_a_stranger_is_refused_before_a_byte_of_the_body_is_read(server, length):
    """Nor is his length believed, whatever it is."""
    with connect(server) as connection:
        connection.sendall(
            head("POST /game HTTP/1.1", f"Content-Length: {length}", host="other.invalid")
        )
        assert b" 403 " in connection.recv(2**16).splitlines()[0]


def test_a_stranger_sees_the_refusal_although_he_goes_on_sending(server):
    body = bytes(2**20)
    assert ask(server, "POST", "/game", body, Origin="http://other.invalid")[0] == 403
    assert ask(server, "POST", "/game", body)[0] == 413


# ---- what a request may look like ----


@pytest.mark.parametrize(
    "lines, status, problem",
    [
        (["Content-Length: -1"], 413, "a number of bytes"),
        (["Content-Length: +5"], 413, "a number of bytes"),
        (["Content-Length: 1e3"], 413, "a number of bytes"),
        (["Content-Length: 0x10"], 413, "a number of bytes"),
        (["Content-Length: \u0665".encode().decode("latin-1")], 413, "a number of bytes"),
        (["Content-Length: 5, 5"], 413, "a number of bytes"),
        (["Content-Length:"], 413, "a number of bytes"),
        (["Content-Length: " + "9" * 5000], 413, "a number of bytes"),
        (["Content-Length: 5", "Content-Length: 5"], 400, "one length"),
        (["Content-Length: 5", "Content-Length: 70"], 400, "one length"),
        ([], 411, "says its length"),
        (["Transfer-Encoding: chunked"], 411, "in one piece"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], 411, "in one piece"),
    ],
)
def test_a_length_that_is_none_is_refused_and_the_rest_is_no_second_request(
    server, lines, status, problem
):
    hidden = head("GET / HTTP/1.1")
    statuses, error = raw(server, head("POST /game HTTP/1.1", *lines) + hidden)
    assert statuses == [status] and problem in error


def test_a_body_where_none_belongs_is_no_second_request(server):
    hidden = head("GET / HTTP/1.1")
    request = head("GET / HTTP/1.1", f"Content-Length: {len(hidden)}") + hidden
    assert raw(server, request)[0] == [200]


def test_a_body_that_ends_early_is_one_clear_error(server):
    with connect(server) as connection:
        connection.sendall(head("POST /game HTTP/1.1", "Content-Length: 50") + b"{}")
        connection.shutdown(socket.SHUT_WR)
        assert b"ended after 2 of 50 bytes" in received(connection)


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("HEAD", "/", 200),
        ("HEAD", "/nothing", 404),
        ("OPTIONS", "/", 405),
        ("OPTIONS", "/game", 405),
        ("PUT", "/game", 405),
        ("GET", "/game", 405),
        ("GET", "/names", 405),
        ("DELETE", "/names", 405),
        ("POST", "/", 405),
        ("BREW", "/", 405),
        ("BREW", "/nothing", 404),
        ("GET", "/?from=here", 200),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/..%5c..%5cwindows", 404),
        ("GET", "/%00", 404),
        ("GET", "/assets/player.js", 404),
        ("GET", "http://127.0.0.1/", 404),
        ("GET", "/" + "a" * 60_000, 404),
        ("GET", "/" + "a" * 70_000, 414),
    ],
    ids=lambda value: str(value)[:30],
)
def test_every_method_and_path_has_an_answer(server, method, path, status):
    found, headers, content = ask(server, method, path)
    assert found == status
    assert len(content) < 2000 or path.startswith("/?")
    if method == "HEAD":
        assert content == b"" and int(headers["Content-Length"]) > 0 or status != 200
    if status == 405:
        assert headers["Allow"] == ("GET, HEAD" if path == "/" else "POST")
    if status >= 400 and method != "HEAD":
        assert list(content) == ["error"] and headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "request_, status",
    [
        (head("GET / HTTP/1.1", "X: " + "a" * 70_000), 431),
        (head("GET / HTTP/1.1", *[f"X-{number}: 1" for number in range(200)]), 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_http_is_one_clear_error(server, capfd, request_, status):
    with connect(server) as connection:
        connection.sendall(request_)
        answer = received(connection)
    assert list(json.loads(answer[answer.index(b"{") :])) == ["error"]
    # a request without a version is answered without a status, as HTTP/0.9 has none
    assert f" {status} ".encode() in answer[:20] or answer.startswith(b"{")
    assert begin(server)[0] == 200 and capfd.readouterr().err == ""


def test_after_an_error_the_connection_goes_on(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    bodies = (b"{", json.dumps(BEGIN).encode() + b"\n" + PICTURE.tobytes(), json.dumps(STEP))
    statuses, used = [], set()
    for body in bodies:
        connection.request("POST", "/game", body)
        used.add(connection.sock.getsockname())
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.request("GET", "/nothing")
    statuses.append(connection.getresponse().status)
    used.add(connection.sock.getsockname())
    assert statuses == [400, 200, 200, 404] and len(used) == 1
    connection.close()


def test_who_asks_first_whether_to_send_a_body_is_told(server):
    body = json.dumps(BEGIN).encode() + b"\n" + PICTURE.tobytes()
    lines = ["POST /game HTTP/1.1", "Expect: 100-continue"]
    with connect(server) as connection:
        connection.sendall(head(*lines, f"Content-Length: {len(body)}", "Connection: close"))
        assert connection.recv(2**16).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert received(connection).startswith(b"HTTP/1.1 200 ")
    for length, host, status in ((10**9, "localhost", 413), (10, "other.invalid", 403)):
        request = head(*lines, f"Content-Length: {length}", host=host)
        assert raw(server, request)[0] == [status]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 4000,
        b'{"a":' * 800,
        b"[" * 100_000,
        b'{"type": "begin", "game": "a", "seed": Infinity}',
        b'{"type": "begin", "game": "a", "seed": NaN}',
        b'{"type": "begin", "game": "a", "seed": 1.5}',
        b'{"type": "begin", "game": "a", "seed": true}',
        b'{"type": "begin", "game": "a", "seed": {"seed": 0}}',
        b'{"type": "begin", "game": "a", "seed": [0]}',
        b'{"type": "begin", "game": "a", "seed": "0"}',
        b'{"type": "begin", "game": "a", "seed": 1' + b"0" * 400 + b"}",
        b'{"type": "begin", "game": "a", "seed": 1' + b"0" * 3900 + b"}",
        b'{"type": "begin", "game": null, "seed": 0}',
        b'{"type": "begin", "game": {"a": 1}, "seed": 0}',
        b'{"type": "begin", "game": "' + b"a" * 500 + b'", "seed": 0}',
        b'{"type": {"type": "begin"}, "game": "a", "seed": 0}',
        b'{"type": ["begin"], "game": "a", "seed": 0}',
        b'{"game": "a", "seed": 0}',
        b'"begin"',
        b"null",
        b"1e400",
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"'single'",
        b'{"type": "begin", "game": "a", "seed": 0} ' + b" " * LONGEST_LINE,
    ],
    ids=lambda line: line[:45].decode("latin-1"),
)
def test_json_that_is_no_message_is_one_short_error(server, capfd, line):
    status, _, answer = ask(server, "POST", "/game", line + b"\n" + PICTURE.tobytes())
    assert status in (400, 413) and list(answer) == ["error"] and len(answer["error"]) < 300
    assert begin(server)[0] == 200 and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"action": True},
        {"action": 2.0},
        {"action": "2"},
        {"action": [2]},
        {"action": 2**70},
        {"action": 10**400},
        {"maskgitSteps": 3.7},
        {"maskgitSteps": True},
        {"maskgitSteps": 2**64},
        {"temperature": "1"},
        {"temperature": False},
        {"temperature": 10**400},
        {"temperature": -(10**400)},
        {"temperature": float("inf")},
        {"temperature": {}},
        {"minP": "0"},
        {"minP": True},
        {"minP": -(10**400)},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_number_of_another_type_is_refused_and_the_world_stands_still(server, capfd, changes):
    begin(server)
    status, answer, _ = step(server, **changes)
    assert status == 400 and list(answer) == ["error"] and len(answer["error"]) < 300
    after = step(server)[2]
    begin(server)
    assert (step(server)[2] == after).all() and capfd.readouterr().err == ""
