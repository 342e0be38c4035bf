"""Whatever is wrong with a value, the door that it comes to says so in the one way: no other
exception, and no result.
"""

from dataclasses import replace

import pytest
import torch
from doors import STRANGERS, Door, all_doors, find_escape
from fake_device import FakeDevice, move
from tiny import tiny_genie

from genie_mini.contract import check_frames, check_indices
from genie_mini.errors import GenieError

EXAMPLES = 8  # at each door; `tools/fuzz.py` tries more


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    return all_doors(tmp_path_factory.mktemp("doors"))


@pytest.mark.parametrize("room", ["configurations", "networks", "a Genie", "scores and export"])
def test_what_is_wrong_is_refused_at_every_door(rooms, room):
    found = {name: find_escape(door, EXAMPLES) for name, door in rooms[room].items()}
    escaped = [
        f"{name}: {escape[0]!r:.200} {escape[1]!r:.300}" for name, escape in found.items() if escape
    ]
    assert not escaped, "\n".join(escaped)


def test_an_open_door_is_noticed():
    _, error = find_escape(Door(lambda value: value, STRANGERS), EXAMPLES)
    assert "it was taken" in str(error)
    _, error = find_escape(Door(lambda value: value + 1j, STRANGERS, may_work=True), EXAMPLES)
    assert isinstance(error, TypeError)


def test_nothing_is_checked_while_torch_translates():
    def twice(frames, tokens):
        return check_frames(frames, (16, 16)) * 2, check_indices("tokens", tokens, None, 4)

    frames, tokens = torch.rand(1, 1, 16, 16, 3), torch.tensor([1, 2])
    compiled = torch.compile(twice, fullgraph=True, backend="eager")(frames, tokens)
    assert torch.equal(compiled[0], 2 * frames) and torch.equal(compiled[1], tokens)


def test_shapes_alone_are_checked_where_there_are_no_values():
    with torch.device("meta"):
        genie = tiny_genie()
        tokens = genie.tokenizer.encode(torch.empty(1, 2, 32, 32, 3))
        assert tokens.is_meta and tokens.shape == (1, 2, 16)
        with pytest.raises(GenieError, match="frames must be"):
            genie.tokenizer.encode(torch.empty(1, 2, 32, 16, 3))
    with pytest.raises(GenieError, match="meta device, which holds no values"):
        tiny_genie().tokenizer.decode(tokens)


def test_tensors_of_another_device_are_brought_to_the_networks_but_caches_are_not():
    tokens, actions = torch.zeros(1, 2, 16, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64)
    ours = tiny_genie().dynamics
    with FakeDevice():
        theirs = move(tiny_genie()).dynamics
        logits = theirs(tokens, actions).cpu()
        with pytest.raises(GenieError, match="the cache belongs to another network"):
            theirs.append(ours.prefill(tokens, actions), tokens[:, 1:], actions)
    torch.testing.assert_close(logits, ours(tokens, actions), atol=1e-5, rtol=0)


def test_an_error_says_what_was_wrong_and_what_is_accepted():
    genie, clips = tiny_genie(), torch.rand(1, 2, 32, 32, 3)
    session = genie.play(clips[0])
    for call, told in (
        (lambda: genie.tokenizer.encode(clips * 255), r"floats in \[0, 1\], got values from 0"),
        (lambda: genie.tokenizer.encode(clips.double()), "float32, got torch.float64"),
        (lambda: genie.tokenizer.encode(clips.numpy()), "a torch tensor, got ndarray"),
        (lambda: session.step(3.7), "latent actions are the integers from 0 to 7, got 3.7"),
        (lambda: session.step(True), "latent actions are the integers from 0 to 7, got True"),
        (
            lambda: session.step(1, temperature=1e-38),
            "0 or more, and at least 1e-06 if it is not 0, got 1e-38",
        ),
        (lambda: session.step(1, min_p=1.5), r"min_p must lie in \[0, 1\], got 1.5"),
        (lambda: session.step(1, maskgit_steps=2.0), r"lie in \[1, 16\], an integer, got 2.0"),
        (lambda: replace(genie.config.dynamics, context=0), r"context must lie in \[1, 4096\]"),
        (lambda: replace(genie.config.dynamics, num_codes=True), "num_codes must lie .* got True"),
    ):
        with pytest.raises(GenieError, match=told):
            call()
