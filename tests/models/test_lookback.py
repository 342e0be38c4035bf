"""Which frames are attended to: within the slots, from the past alone, and at play the same as in
training.
"""

from dataclasses import replace

import pytest
import torch

from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.kv_cache import Archive
from genie_mini.models.lookback import LOOKBACKS, RUN, RetrievalLookback, SparseLookback
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.rollout import Rollout

CONTEXT, TOKENS, CODES = 16, 4, 12


def choices(name, num_frames=70, seed=0):
    """What each frame of two random videos looks back at, (2, frames, frames), and the tokens."""
    tokens = torch.randint(
        CODES, (2, num_frames, TOKENS), generator=torch.Generator().manual_seed(seed)
    )
    return LOOKBACKS[name](CONTEXT).attention_mask(tokens), tokens


@pytest.mark.parametrize("name", LOOKBACKS)
def test_no_frame_attends_to_more_than_the_slots_or_to_what_is_to_come(name):
    attention_mask, _ = choices(name)
    assert attention_mask.sum(dim=-1).max() == CONTEXT - 1
    assert not attention_mask.triu().any()
    assert attention_mask.diagonal(-1, dim1=1, dim2=2).all(), (
        "the frame before is always among them"
    )
    ages = torch.arange(70)[:, None] - torch.arange(70)
    assert ages.expand(2, -1, -1)[attention_mask].max() <= LOOKBACKS[name](CONTEXT).reach


@pytest.mark.parametrize("name", LOOKBACKS)
def test_choices_depend_on_earlier_frames_only(name):
    attention_mask, tokens = choices(name)
    lookback = LOOKBACKS[name](CONTEXT)
    for t in (5, 17, 50, 69):
        other = tokens.clone()
        other[:, t:] = (other[:, t:] + 1) % CODES
        again = lookback.attention_mask(other)
        assert torch.equal(again[:, : t + 1], attention_mask[:, : t + 1])


@pytest.mark.parametrize("name", LOOKBACKS)
def test_a_short_video_is_attended_to_as_a_whole(name):
    lookback = LOOKBACKS[name](CONTEXT)
    gapless = lookback.gapless
    assert choices(name, gapless + 1)[0] is None
    longer, _ = choices(name, gapless + 8)
    assert torch.equal(longer[:, : gapless + 1], torch.ones_like(longer).tril(-1)[:, : gapless + 1])
    assert not longer[:, -1, :-1].all()


def test_the_recent_frames_are_the_last_fifteen():
    attention_mask, _ = choices("recent")
    assert attention_mask[0, 40].nonzero()[:, 0].tolist() == list(range(25, 40))


def test_the_sparse_window_reaches_a_frame_of_age_forty_and_never_takes_up_one_that_it_dropped():
    attention_mask, _ = choices("sparse", num_frames=130)
    assert SparseLookback(CONTEXT).reach == 52
    for t in range(60, 130):
        ages = (t - attention_mask[0, t].nonzero()[:, 0]).tolist()
        assert sorted(ages)[:RUN] == [1, 2, 3, 4] and len(ages) == 15
        assert max(ages) > 40, "whatever the time, some frame older than 40 is left"
    later, earlier = attention_mask[0, 2:], attention_mask[0, 1:-1]
    kept_before = earlier | torch.eye(130, dtype=torch.bool)[1:-1]
    assert not (later & ~kept_before).any()


def test_retrieval_finds_the_frame_that_lay_next_to_what_is_seen_now():
    home, away = torch.zeros(TOKENS, dtype=torch.int64), torch.ones(TOKENS, dtype=torch.int64)
    video = torch.stack([*[home] * 6, *[away] * 44])[None]
    chosen = RetrievalLookback(CONTEXT).choose(video, first=0)[0]
    assert chosen.sum() == 15 and chosen[5], (
        "the last frame before one went away is there at age 45"
    )
    assert not LOOKBACKS["recent"](CONTEXT).attention_mask(video)[0, -1, 5]
    still = RetrievalLookback(CONTEXT).choose(away.expand(1, 50, -1), first=0)[0]
    assert still.nonzero()[:, 0].tolist() == list(range(35, 50)), (
        "where nothing stands out, the most recent"
    )


def test_retrieval_fetches_a_stretch_that_lies_behind_what_is_seen_now():
    thing, now = torch.zeros(TOKENS, dtype=torch.int64), torch.ones(TOKENS, dtype=torch.int64)
    half = torch.tensor([1, 0] * (TOKENS // 2))  # half like now, so it matters less
    lookback = RetrievalLookback(CONTEXT)

    left = torch.stack([*[thing] * 12, *[now] * 44])[None]
    assert lookback.choose(left, 0)[0].nonzero()[:, 0].tolist() == [*range(4, 12), *range(49, 56)]
    come = torch.stack([*[now] * 4, *[thing] * 12, *[half] * 24, *[now] * 8])[None]
    assert lookback.choose(come, 0)[0].nonzero()[:, 0].tolist() == [*range(4, 12), *range(41, 48)]


@pytest.mark.parametrize("name", LOOKBACKS)
@pytest.mark.parametrize("context", [2, 3, 200])
def test_in_any_context_the_last_frame_is_seen_and_no_more_than_fit(name, context):
    lookback = LOOKBACKS[name](context)
    tokens = torch.randint(2, (2, 260, 3), generator=torch.Generator().manual_seed(0))
    for end in (*range(1, 12), 130, 260):
        first = max(0, end - lookback.reach)
        choice = lookback.choose(tokens[:, first:end], first)
        assert choice[:, -1].all() and (choice.sum(dim=1) <= context - 1).all()


def model(name, context=6, seed=0):
    torch.manual_seed(seed)
    stack = STTransformerConfig(num_blocks=2, width=16, num_heads=2)
    return DynamicsModel(
        DynamicsConfig((2, 2), CODES, stack, context=context, lookback=name)
    ).eval()


def video(num_frames=24, clips=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(CODES, (clips, num_frames, TOKENS), generator=generator)
    return tokens, torch.randint(8, (clips, num_frames - 1), generator=generator)


@pytest.mark.parametrize("name", LOOKBACKS)
def test_play_attends_to_what_training_attends_to(name):
    dynamics = model(name)
    tokens, actions = video()
    with torch.no_grad():
        whole = dynamics(tokens, actions)
    past, held, attended = dynamics.prefill(tokens[:, :5], actions[:, :4]), [], []
    dynamics.transformer.register_forward_pre_hook(
        lambda module, inputs: attended.append(inputs[1].keys[0].shape[2] - inputs[1].free)
    )
    for t in range(5, tokens.shape[1]):
        with torch.no_grad():
            logits = dynamics.predict_logits(tokens[:, t], actions[:, t - 1], past.preallocate(1))
        torch.testing.assert_close(logits, whole[:, t], atol=1e-5, rtol=0)
        past = dynamics.append(past, tokens[:, t : t + 1], actions[:, t - 1 : t])
        held.append((past.cache if isinstance(past, Archive) else past).keys[0].shape[2])
    assert max(attended) == dynamics.config.context - 1, "no dearer a frame than the paper's window"
    assert max(held) == min(dynamics.lookback.reach, 24)


@pytest.mark.parametrize("name", LOOKBACKS)
def test_the_hidden_run_of_training_attends_like_play(name):
    # With nothing but the guessed frame hidden, training's logits are those of play.
    dynamics = model(name)
    dynamics.config = replace(dynamics.config, mask_rate=(1.0, 1.0), scheduled_sampling=0.0)
    tokens, actions = video(num_frames=20, clips=2)
    outputs = []
    dynamics.to_logits.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        dynamics.loss(tokens, actions)
        in_training = outputs.pop().view(2, 19, TOKENS, CODES)
        past = dynamics.prefill(tokens[:, :19], actions[:, :18])
        hidden = torch.full((2, TOKENS), dynamics.mask_token)
        at_play = dynamics.predict_logits(hidden, actions[:, 18], past.preallocate(1))
    torch.testing.assert_close(in_training[:, -1], at_play, atol=1e-5, rtol=0)


def influence(name, age):
    """How far a frame's logits move when one frame of this age is changed; one block, so that
    nothing is passed on.
    """
    torch.manual_seed(0)
    stack = STTransformerConfig(num_blocks=1, width=16, num_heads=2)
    dynamics = DynamicsModel(
        DynamicsConfig((2, 2), CODES, stack, context=CONTEXT, lookback=name)
    ).eval()
    tokens, actions = video(num_frames=56, clips=1)
    tokens[:] = 1
    tokens[:, : 56 - age] = 0  # a change of place, so that retrieval has something to find
    other = tokens.clone()
    other[:, 55 - age] = 5
    with torch.no_grad():
        return (dynamics(tokens, actions) - dynamics(other, actions))[:, -1].abs().max().item()


def test_sparse_and_retrieved_frames_of_age_forty_reach_the_next_frame_and_recent_ones_do_not():
    assert (
        influence("recent", 15) > 1e-4 and influence("recent", 16) == influence("recent", 39) == 0
    )
    assert influence("retrieval", 40) > 1e-4
    assert influence("sparse", 39) > 1e-4, "frame 16 of 56, a multiple of eight"
    assert influence("sparse", 40) == 0, "its neighbour was let go"


@pytest.mark.parametrize("name", LOOKBACKS)
def test_every_choice_trains(name):
    dynamics = model(name).train()
    dynamics.config = replace(dynamics.config, change_weight=0.0)
    tokens = (torch.arange(24)[None, :, None] + torch.arange(TOKENS)).expand(
        4, -1, -1
    ) % CODES  # counts up
    actions = torch.zeros(4, 23, dtype=torch.int64)
    optimizer = torch.optim.AdamW(dynamics.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = dynamics.loss(tokens, actions)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])


@pytest.mark.parametrize("name", LOOKBACKS)
def test_every_choice_can_be_played(name, make_genie, clips):
    genie = make_genie()
    genie.dynamics.config = replace(genie.dynamics.config, lookback=name)
    genie.dynamics.lookback = LOOKBACKS[name](6)
    frames = [Rollout(genie, clips, seed=0).step(torch.tensor([1, 2])) for _ in range(2)]
    assert torch.equal(*frames)
    rollout = Rollout(genie, clips, seed=0)
    for step in range(30):
        rollout.step(torch.tensor([step % 8, 3]), maskgit_steps=2)
    assert rollout.frames.isfinite().all()


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="recent, sparse, retrieval"):
        DynamicsConfig((2, 2), CODES, {}, lookback="everything")
