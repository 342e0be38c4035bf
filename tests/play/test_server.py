"""The server of `genie-mini play` (its page in a browser: test_server_page.py)."""

import io
import json
import re
import socket
import struct
import time

import numpy as np
import pytest
import torch
from PIL import Image
from requests_of_players import BEGIN, PICTURE, STEP, ask, begin, post, step
from tiny import NAMES, tiny_genie

from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.export import choose_engine
from genie_mini.play.games import MOST_GAMES, Games
from genie_mini.play.images import data_uri, to_uint8
from genie_mini.play.prompts import level_picture
from genie_mini.play.server import PlayServer, starting_pictures
from genie_mini.play.widget import level_prompts


def test_the_page_asks_nothing_of_other_hosts_and_runs_no_other_script(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200 and page.startswith(b"<!doctype html>")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert re.search(r"script-src 'sha256-[\w+/=]+'$", policy)
    addresses = page.count(b"http://www.w3.org/2000/svg")
    assert page.count(b"http://") == addresses and b"https://" not in page


def test_the_page_describes_the_world(server):
    page = ask(server, "GET", "/")[2].decode()
    options = json.loads(
        re.search(r'<script type="application/json">(.+)</script></genie', page)[1]
    )
    assert options["world"]["imageSize"] == [32, 32] and options["world"]["actionNames"] == NAMES
    assert options["form"] == "play" and options["server"] == "/game"
    assert options["prompts"][0]["image"] == data_uri(to_uint8(level_prompts((32, 32))[0]))


def test_a_game_is_what_a_session_plays(server):
    session = tiny_genie().play(torch.from_numpy(PICTURE), seed=7)
    status, answer, frame = begin(server, seed=7)
    assert status == 200 and answer == {
        "tokens": session.tokens.tolist(),
        "steps": [],
        "attended": [],
    }
    torch.testing.assert_close(torch.from_numpy(frame.copy()), session.frame)
    for action in (2, 6):
        status, answer, frame = step(server, action=action)
        expected = session.step(action, 3, 1.0)
        assert status == 200 and len(answer["steps"]) == 3
        assert answer["tokens"] == answer["steps"][-1] == session.tokens.tolist()
        torch.testing.assert_close(torch.from_numpy(frame.copy()), expected)


def test_every_game_looks_back_as_it_was_begun(server):
    session = tiny_genie().with_lookback("sparse").play(torch.from_numpy(PICTURE), seed=7)
    begin(server, seed=7, lookback="sparse")
    begin(server, game="b", seed=7)
    for _ in range(20):
        session.step(2, 3, 1.0)
        status, answer, _ = step(server)
        assert status == 200 and answer["attended"] == session.attended
        assert answer["tokens"] == session.tokens.tolist()
        _, answer, _ = step(server, game="b")
    assert answer["attended"] == list(range(15, 0, -1)) != session.attended


def test_a_game_is_the_same_on_every_engine(tmp_path):
    genie = tiny_genie()
    player = choose_engine(genie, "onnxruntime", tmp_path)
    with PlayServer(genie, NAMES) as ours, PlayServer(player, NAMES) as theirs:
        assert ours.page == theirs.page
        for message, picture in (
            (BEGIN | {"lookback": "retrieval"}, PICTURE.tobytes()),
            *[(STEP, b"")] * 20,
            (STEP | {"action": 5, "maskgitSteps": 8, "temperature": 1.5, "minP": 0.2}, b""),
            (STEP | {"temperature": 0}, b""),
        ):
            told, frames = zip(
                *(server.answer("/game", message, picture) for server in (ours, theirs)),
                strict=True,
            )
            assert told[0] == told[1]
            np.testing.assert_allclose(*(np.frombuffer(f, "<f4") for f in frames), atol=1e-4)


def test_starting_again_brings_back_the_same_game(server):
    before, first = begin(server)[2], step(server)[2]
    step(server)
    assert np.array_equal(begin(server)[2], before)
    assert np.array_equal(step(server)[2], first)


def test_games_do_not_disturb_each_other(server):
    begin(server)
    alone = [step(server, action=action)[2] for action in (1, 3)]
    begin(server)
    begin(server, game="b")
    both = []
    for action in (1, 3):
        both.append(step(server, action=action)[2])
        step(server, action=5, game="b")
    assert np.array_equal(alone, both)


def test_the_game_that_was_left_longest_ago_is_forgotten():
    games = Games(tiny_genie())
    for number in range(MOST_GAMES):
        games.answer({**BEGIN, "game": f"game {number}"}, PICTURE.tobytes())
    games.answer({**STEP, "game": "game 0"})
    games.answer({**BEGIN, "game": "one more"}, PICTURE.tobytes())
    games.answer({**STEP, "game": "game 0"})
    with pytest.raises(GenieError, match="no world of the name game 1 is being played"):
        games.answer({**STEP, "game": "game 1"})


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_any_picture_may_come_first(tmp_path, kind):
    path = tmp_path / f"photo.{kind.lower()}"
    Image.new("RGB", (90, 60), (200, 30, 90)).save(path, kind)
    first, *others = starting_pictures((32, 32), prompt=path)
    assert np.abs(to_uint8(first).astype(int) - (200, 30, 90)).max() <= 4
    assert len(others) == len(level_prompts((32, 32)))


def test_a_level_may_come_first_and_other_sizes_need_a_picture(tmp_path):
    assert torch.equal(starting_pictures((32, 32), level=5)[0], level_picture(5, (32, 32)))
    file = io.BytesIO()
    Image.new("RGB", (90, 60)).save(file, "PNG")
    (tmp_path / "photo.png").write_bytes(file.getvalue())
    assert len(starting_pictures((48, 48), prompt=tmp_path / "photo.png")) == 1
    with pytest.raises(GenieError, match="give a prompt"):
        starting_pictures((48, 48))


def test_a_genie_begins_from_its_own_pictures_rather_than_from_levels():
    own = list(torch.rand(2, 32, 32, 3))
    assert starting_pictures((32, 32), own=own) == own
    first, *others = starting_pictures((32, 32), level=5, own=own)
    assert torch.equal(first, level_picture(5, (32, 32))) and others == own


@pytest.mark.parametrize(
    "picture, problem",
    [
        (b"no picture", "a picture is 32x32x3 float32 numbers, got 10 bytes"),
        ((PICTURE + 2).tobytes(), "floats in [0, 1]"),
        (np.full_like(PICTURE, np.nan).tobytes(), "floats in [0, 1]"),
    ],
)
def test_a_bad_picture_is_one_clear_error_and_the_game_goes_on(server, picture, problem):
    begin(server)
    status, answer, _ = post(server, BEGIN, picture)
    assert status == 400 and problem in answer["error"]
    assert step(server)[0] == 200


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"action": 8}, "from 0 to 7"),
        ({"action": -1}, "from 0 to 7"),
        ({"action": "up"}, "all numbers"),
        ({"action": 1e999}, "all numbers"),
        ({"maskgitSteps": 0}, "maskgit_steps must lie in [1, 16]"),
        ({"maskgitSteps": None}, "all numbers"),
        ({"temperature": -1}, "temperature must be 0 or more"),
        ({"minP": 2}, "min_p must lie in [0, 1]"),
        ({"minP": None}, "all numbers"),
        ({"temperature": float("nan")}, "all numbers"),
        ({"type": "begin", "seed": -1}, "a seed lies in"),
        (
            {"type": "begin", "seed": 0, "lookback": "all"},
            "lookback is one of recent, sparse, retrieval",
        ),
        ({"type": "stop"}, "begin or step"),
        ({"game": "b"}, "no world of the name b"),
    ],
)
def test_a_bad_step_is_one_clear_error_and_the_game_goes_on(server, changes, message):
    begin(server)
    status, answer, _ = step(server, **changes)
    assert status == 400 and list(answer) == ["error"] and message in answer["error"]
    assert step(server)[0] == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]\n", b"\xff\n", b"7"])
def test_what_is_no_message_is_one_clear_error(server, body):
    status, _, answer = ask(server, "POST", "/game", body)
    assert status == 400 and list(answer) == ["error"]


def test_a_failure_of_our_own_is_told_apart_from_a_users_mistake(server, monkeypatch, capsys):
    monkeypatch.setattr(server, "_games", None)
    status, answer, _ = begin(server)
    assert status == 500 and "the terminal says where" in answer["error"]
    assert "AttributeError" in capsys.readouterr().err


def test_other_sites_cannot_play(server):
    assert begin(server)[0] == 200
    body = json.dumps(STEP).encode()
    assert ask(server, "POST", "/game", body, Origin="http://other.invalid")[0] == 403
    assert ask(server, "POST", "/game", body, Host="other.invalid")[0] == 403
    assert ask(server, "GET", "/", Host="other.invalid")[0] == 403
    assert ask(server, "POST", "/game", body, Origin=server.address)[0] == 200


def test_unknown_paths_and_huge_bodies_are_refused(server):
    assert ask(server, "GET", "/etc/passwd")[0] == 404
    assert ask(server, "POST", "/nothing")[0] == 404
    for length in (str(2**40), "-1", "many"):
        assert ask(server, "POST", "/game", **{"Content-Length": length})[0] == 413


def test_a_port_in_use_is_one_clear_error(server):
    with pytest.raises(GenieError, match=f"port {server.server_port} cannot be used"):
        PlayServer(tiny_genie(), port=server.server_port)


@pytest.mark.parametrize("port", [-1, 70_000, "8000", 80.5, None])
def test_what_is_no_port_is_one_clear_error(port):
    with pytest.raises(GenieError, match=f"port {port} cannot be used"):
        PlayServer(tiny_genie(), port=port)


def test_names_come_from_the_scores_beside_the_weights(tmp_path):
    assert read_action_names(tmp_path) is None
    (tmp_path / "scores.json").write_text(json.dumps({"latent_to_real": NAMES}))
    assert read_action_names(tmp_path) == NAMES
    with pytest.raises(ValueError, match="8 latent actions, but 3 names"):
        PlayServer(tiny_genie(), NAMES[:3])
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(ValueError, match="latent_to_real"):
        read_action_names(tmp_path)


def test_a_page_that_is_closed_while_it_waits_leaves_the_terminal_quiet(server, capfd):
    body = json.dumps(BEGIN).encode() + b"\n" + PICTURE.tobytes()
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        # With this setting, closing resets the connection at once.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        head = f"POST /game HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert begin(server, game="b")[0] == 200
    time.sleep(0.1)
    assert capfd.readouterr().err == ""
