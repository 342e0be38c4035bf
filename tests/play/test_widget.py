"""The player's Python side: what it tells the element, and what it answers when a kernel plays."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from requests_of_players import BEGIN, STEP
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.play.widget import PROMPT_LEVELS, Player, page_player, player_options, recorded_game
from genie_mini.world import ACTIONS, HELD_OUT_SEED, Simulation

NAMES = ["left", "right", "jump", "nothing", "dash left", "dash right", "jump left", "jump right"]


def picture(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


@pytest.fixture
def talk():
    """Send a player a message, as the element would; returns its answer and the picture in it."""

    def send(player, content, buffers=()):
        answers = []
        player.send = lambda answer, buffers=(): answers.append((answer, buffers))
        if isinstance(content, dict):
            content = {"id": 1, "game": "a", **content}
        player._answer(player, content, buffers)
        (answer, buffers), frame = answers[0], None
        if buffers:
            frame = torch.from_numpy(
                np.frombuffer(bytearray(buffers[0]), np.float32).reshape(32, 32, 3)
            )
        return answer, frame

    return send


def test_options_hold_pictures_of_held_out_levels_and_the_worlds_shape():
    options = player_options(tiny_genie(), action_names=NAMES)
    first = Simulation([HELD_OUT_SEED + PROMPT_LEVELS[0]]).frames(32)[0]
    assert np.array_equal(picture(options["prompts"][0]["image"]), first)
    assert options["world"]["grid"] == [4, 4] and options["world"]["actionNames"] == NAMES
    assert options["steps"] == 8 and player_options(tiny_genie(), steps=99)["steps"] == 16
    json.dumps(options)


def test_a_recorded_game_is_the_true_game():
    recording = recorded_game(["right", "jump right", "nothing"], NAMES, level=7, size=32)
    assert [NAMES[action] for action in recording["actions"]] == ["right", "jump right", "nothing"]
    simulation, sheet = Simulation([7]), picture(recording["image"])
    for index, name in enumerate(["right", "jump right", "nothing"], 1):
        simulation.step(np.array([ACTIONS.index(name)]))
        row, column = divmod(index, recording["columns"])
        shown = sheet[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
        assert np.array_equal(shown, simulation.frames(32)[0])


def test_the_page_holds_a_strip_with_alt_text_and_the_options():
    fallback = torch.rand(3, 32, 32, 3)
    page = page_player(player_options(tiny_genie()), fallback, alt='a "game" & more').data
    assert 'alt="a &quot;game&quot; &amp; more"' in page
    assert picture(re.search(r'src="([^"]+)"', page)[1]).shape == (32, 96, 3)
    assert json.loads(re.search(r"<script[^>]*>(.+)</script>", page)[1])["form"] == "play"


def test_the_kernel_plays_what_a_session_plays(talk):
    genie = tiny_genie()
    player, start = Player(genie, action_names=NAMES), torch.rand(32, 32, 3)
    session = genie.play(start, seed=5)
    answer, frame = talk(player, BEGIN | {"seed": 5}, [memoryview(start.numpy().tobytes())])
    torch.testing.assert_close(frame, session.frame)
    for action in (1, 6):
        answer, frame = talk(
            player, STEP | {"action": action, "maskgitSteps": 4, "temperature": 0.7, "minP": 0.1}
        )
        torch.testing.assert_close(frame, session.step(action, 4, 0.7, min_p=0.1))
        assert (
            answer["tokens"] == session.tokens.tolist() == answer["steps"][-1]
            and len(answer["steps"]) == 4
        )
        masked = [tokens.count(genie.dynamics.mask_token) for tokens in answer["steps"]]
        assert masked == sorted(masked, reverse=True) and masked[0] > masked[-1] == 0


def test_what_cannot_be_done_is_answered_with_a_reason(talk):
    player = Player(tiny_genie())
    start = memoryview(torch.rand(32, 32, 3).numpy().tobytes())
    talk(player, BEGIN, [start])
    answer, _ = talk(player, STEP | {"action": 9})
    assert "latent actions are the integers from 0 to 7" in answer["error"]
    answer, _ = talk(player, STEP | {"game": "b", "action": 0})
    assert "b" in answer["error"]


START = memoryview(torch.rand(32, 32, 3).numpy().tobytes())


@pytest.mark.parametrize(
    "content, buffers",
    [
        (None, []),
        ("begin", []),
        ([], []),
        (7, []),
        ({}, []),
        ({"type": None}, []),
        ({"type": "begin"}, [START]),
        (BEGIN | {"seed": "zero"}, [START]),
        (BEGIN | {"seed": -1}, [START]),
        (BEGIN | {"seed": float("nan")}, [START]),
        (BEGIN | {"lookback": None}, [START]),
        (BEGIN | {"lookback": ["recent"]}, [START]),
        (BEGIN | {"lookback": "everything"}, [START]),
        (BEGIN, []),
        (BEGIN, None),
        (BEGIN, 5),
        (BEGIN, [5]),
        (BEGIN, ["picture"]),
        (BEGIN, [START, START]),
        (BEGIN, [START[:100]]),
        (BEGIN | {"game": ["a"]}, [START]),
        (STEP | {"action": True}, []),
        (STEP | {"action": 10**5000}, []),
        (STEP | {"temperature": float("inf")}, []),
        (STEP | {"temperature": None}, []),
        (STEP | {"maskgitSteps": [4]}, []),
    ],
)
def test_a_message_of_the_wrong_types_is_answered_with_a_reason_and_the_game_goes_on(
    talk, content, buffers
):
    player = Player(tiny_genie())
    talk(player, BEGIN, [START])
    answer, frame = talk(player, content, buffers)
    assert answer["error"] and len(answer["error"]) < 300 and frame is None
    assert answer["id"] == (1 if isinstance(content, dict) else None)
    answer, _ = talk(player, STEP)
    assert "error" not in answer


def test_a_failure_of_our_own_is_answered_too_and_goes_to_the_log(talk, monkeypatch):
    player, answers = Player(tiny_genie()), []
    monkeypatch.setattr(player, "_games", None)
    player.send = lambda answer, buffers=(): answers.append(answer)
    with pytest.raises(AttributeError):
        player._answer(player, {"id": 4, "type": "begin"}, [])
    assert answers == [{"id": 4, "error": "genie-mini failed; the kernel's log says where"}]


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"form": "memory palace"}, "a player's form is one of play, maskgit, actions, memory"),
        ({"action_names": ["left"]}, "8 latent actions, but 1 names"),
        ({"prompts": [torch.rand(8, 8, 3)]}, r"a prompt must be \(32, 32, 3\)"),
        ({"prompts": [torch.rand(2, 32, 32, 3)]}, "begins from pictures"),
        ({"prompts": []}, "begins from pictures, one at least"),
        ({"steps": 0}, "steps are an integer from 1 up, got 0"),
        ({"steps": 2.5}, "steps are an integer from 1 up, got 2.5"),
    ],
)
def test_bad_options_are_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        player_options(tiny_genie(), **options)


def test_a_recording_needs_names_for_its_actions():
    with pytest.raises(ValueError, match="no latent action means jump"):
        recorded_game(["left", "jump"], ["left"], level=0)
    with pytest.raises(ValueError, match="no latent action means fly"):
        recorded_game(["fly"], ["fly"], level=0)
    for level in (-1, 2.5, True):
        with pytest.raises(GenieError, match="an integer from 0 up"):
            recorded_game(["left"], ["left"], level=level)


def test_a_player_is_shown_without_an_address_so_that_notebooks_stay_the_same():
    assert repr(Player(tiny_genie())) == "Player(form='play')"
