"""What is switched off is off, what is left on is on, and everything is as before afterwards."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from genie_mini.errors import GenieError
from genie_mini.studies.ablations import (
    WINDOWS,
    ablations,
    actions_off,
    draw_next,
    influence,
    spatial_off,
)
from genie_mini.studies.attention import attention_maps, attention_rows, player_places, watched
from genie_mini.world import record


@pytest.fixture
def drawn(make_genie, make_clips):
    """A stirred Genie of two blocks, the tokens and actions of its clips, and a function: logits of
    their last frame's.
    """
    genie = make_genie(num_blocks=2)
    clips = make_clips(num_frames=5)
    tokens, actions = genie.tokenizer.encode(clips), torch.randint(8, (2, 4))

    @torch.no_grad()
    def logits(tokens=tokens, actions=actions):
        return genie.dynamics(tokens, actions)[:, -1]

    return genie, tokens, actions, logits


def changed(tokens, frame, place):
    other = tokens.clone()
    other[:, frame, place] = (other[:, frame, place] + 1) % 32
    return other


def test_without_spatial_memory_a_token_sees_its_own_place_alone(drawn):
    genie, tokens, _, logits = drawn
    before = logits()
    with spatial_off(genie.dynamics):
        off = logits()
        for frame in (1, 4):
            moved = (logits(changed(tokens, frame, 5)) - off).abs().amax(dim=(0, 2)) > 1e-6
            assert moved.nonzero()[:, 0].tolist() == [5]
    assert not torch.allclose(off, before) and torch.equal(logits(), before)
    assert ((logits(changed(tokens, 4, 5)) - before).abs().amax(dim=(0, 2)) > 1e-6).all()


def test_without_action_memory_no_action_makes_a_difference(drawn):
    genie, _, actions, logits = drawn
    before, other = logits(), (actions + 3) % 8
    assert not torch.allclose(logits(actions=other), before)
    with actions_off(genie.dynamics):
        assert torch.equal(logits(actions=other), logits())
    assert torch.equal(logits(), before)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_window_shows_so_many_frames_and_no_more(drawn, window):
    genie, tokens, _, _ = drawn
    actions = torch.randint(8, (2, 5))
    before, _ = draw_next(genie.dynamics, tokens, actions, window, seed=0)
    for age in range(1, 6):
        after, _ = draw_next(
            genie.dynamics, changed(tokens, 5 - age, slice(None)), actions, window, seed=0
        )
        assert torch.equal(after, before) == (age > window - 1)


def test_a_switch_is_thrown_back_after_a_failure(drawn):
    genie, _, _, logits = drawn
    before = logits()
    for switch in (
        spatial_off,
        actions_off,
        lambda dynamics: watched(dynamics.transformer.blocks[0].spatial),
    ):
        with pytest.raises(KeyError), switch(genie.dynamics):
            raise KeyError
        assert torch.equal(logits(), before)


def test_the_table_of_ablations_has_a_row_for_each(make_genie):
    genie = make_genie(size=32, patch_size=8, context=16)
    rows = ablations(genie, cases=12)
    assert [row["memory"] for row in rows[: len(WINDOWS)]] == [
        "all on",
        *(f"temporal: window of {w}" for w in WINDOWS[1:]),
    ]
    assert len(rows) == len(WINDOWS) + 3
    for row in rows:
        assert np.isfinite(row["loss"]) and np.isfinite(row["psnr"]) and 0 <= row["cycle"] <= 1
    # An untrained Genie infers the same action everywhere, so that another clip's are no others.
    assert len({row["loss"] for row in rows}) >= len(rows) - 1, "every switch does something"


def test_an_old_frame_acts_through_the_rolling_cache_and_not_through_an_exact_window(make_genie):
    # a window of 6
    one, two = (make_genie(size=32, patch_size=8, num_blocks=blocks) for blocks in (1, 2))
    rows = influence(two, [1, 5, 6, 10, 11, 14], cases=2)
    assert all(row["exact"] == 0 for row in rows if row["age"] > 5) and all(
        row["rolling"] > 0 for row in rows[:4]
    )
    assert rows[0]["exact"] > 0 and rows[1]["exact"] > 0
    assert all(row["rolling"] == 0 for row in rows[4:]), (
        "two blocks pass a frame on twice: ten frames"
    )
    assert [row["rolling"] > 0 for row in influence(one, [5, 6], cases=2)] == [True, False]


def test_weights_of_attention_are_those_that_mix(drawn):
    genie, _, _, logits = drawn
    attention = genie.dynamics.transformer.blocks[1].temporal
    inputs = []
    attend = partial(type(attention).attend, attention)
    with watched(attention) as weights:
        logits()
        attention.attend, inner = (
            (lambda q, k, v, *rest: inputs.append((v, inner(q, k, v, *rest))) or inputs[-1][1]),
            attention.attend,
        )
        logits()
        attention.attend = inner
    assert len(weights) == 2 and attend is not None
    value, mixed = inputs[0]
    by_hand = attention.to_output((weights[1] @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(by_hand, mixed, atol=1e-5, rtol=1e-4)
    assert not weights[0].triu(1).any(), "no frame looks at one to come"


def test_attention_maps_are_shares(make_genie):
    genie = make_genie(size=32, patch_size=8, context=16, num_blocks=2)
    maps = attention_maps(genie, num_clips=3)
    assert (
        maps["temporal"].shape == (2, 2, 16)
        and maps["spatial"].shape == (2, 2, 4, 4)
        and maps["player"].shape == (2, 2)
    )
    np.testing.assert_allclose(maps["temporal"].sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(maps["spatial"].sum((-2, -1)), 1, atol=1e-5)
    assert ((0 < maps["player"]) & (maps["player"] < 1)).all() and 1 / 16 <= maps[
        "player_even"
    ] <= 2 / 16
    rows = attention_rows(genie, cases=3)
    assert len(rows) == 4 and rows[3]["age 15"] == maps["temporal"][1, 1, 15]


def test_the_player_covers_the_places_that_he_touches():
    covered = player_places(np.array([0, 40, 44]), (8, 8)).unflatten(1, (8, 8)).nonzero().tolist()
    assert covered == [[0, 0, 3], [1, 5, 3], [2, 5, 3], [2, 6, 3]]


def test_ablations_of_too_few_clips_say_so(make_genie, monkeypatch):
    in_the_air = replace(record(2, 16, held_out=True)[1], on_ground=np.zeros((2, 16), dtype=bool))
    monkeypatch.setattr(
        "genie_mini.studies.ablations.record",
        lambda *given, **options: (record(*given, **options)[0], in_the_air),
    )
    with pytest.raises(GenieError, match="in none of 2 clips .* ask for more"):
        ablations(make_genie(size=32, patch_size=8), cases=2)
