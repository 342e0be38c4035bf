"""Playing: from one frame or several, alone or in batches, past the end of the window."""

import numpy as np
import pytest
import torch
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.models.detail import Detail
from genie_mini.rollout import PlaySession, Rollout


@pytest.mark.parametrize("frames", [1, 2, 5, 9])
def test_play_starts_from_one_frame_or_several(genie, make_clips, frames):
    clip = make_clips(1, frames)[0]
    session = genie.play(clip[0] if frames == 1 else clip, seed=0)
    window = clip[-(genie.config.dynamics.context - 1) :]
    tokens = genie.tokenizer.encode(window[None])
    assert torch.equal(session.tokens, tokens[0, -1])
    torch.testing.assert_close(session.frame, genie.tokenizer.decode(tokens)[0, -1])
    frame = session.step(3)
    assert frame.shape == (16, 16, 3) and torch.equal(frame, session.frame)
    assert frame.dtype == torch.float32 and 0 <= frame.min() and frame.max() <= 1


def test_one_frame_may_come_with_or_without_its_time_axis(genie, clips):
    frames = [
        genie.play(prompt, seed=4).step(1)
        for prompt in (clips[0, 0], clips[0, :1], clips[0, 0].numpy())
    ]
    assert torch.equal(frames[0], frames[1]) and torch.equal(frames[0], frames[2])


def test_a_step_draws_what_the_uncached_models_would(make_genie, clips):
    genie = make_genie(num_blocks=2)
    session = genie.play(clips[0, :2], seed=0)
    actions = genie.latent_action_model.infer(clips[:1, :2])
    tokens = genie.tokenizer.encode(clips[:1, :2])
    for action in (3, 0, 7):
        frame = session.step(action, maskgit_steps=1, temperature=0)
        actions = torch.cat([actions, torch.tensor([[action]])], dim=1)
        hidden = torch.full((1, 1, 16), genie.dynamics.mask_token)
        logits = genie.dynamics(torch.cat([tokens, hidden], dim=1), actions)[:, -1:]
        tokens = torch.cat([tokens, logits.argmax(dim=-1)], dim=1)
        assert torch.equal(session.tokens, tokens[0, -1])
        torch.testing.assert_close(frame, genie.tokenizer.decode(tokens)[0, -1], atol=1e-5, rtol=0)


def test_with_its_detail_a_world_begins_as_the_prompt_and_so_stays_what_stands_still():
    plain, detailed = (tiny_genie(keeps_detail=keeps) for keeps in (False, True))
    prompt = torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    drawn, restored = (genie.play(prompt, seed=2) for genie in (plain, detailed))
    assert torch.equal(restored.frame, prompt[-1]) and not torch.equal(drawn.frame, prompt[-1])
    detail = Detail(prompt[-1], drawn.frame)
    for action in (3, 0, 7):
        drawn.step(action)
        restored.step(action)
        assert torch.equal(restored.tokens, drawn.tokens)
        assert torch.equal(restored.frame, detail.put_back(drawn.frame))


def test_the_action_and_the_past_make_a_difference(genie, clips):
    ends = {
        tuple(genie.play(clips[0, 0]).step(a, temperature=0).flatten().tolist()) for a in range(8)
    }
    assert len(ends) > 4
    other = clips[0, :3].clone()
    other[0] = 1 - other[0]
    draws = [
        [session.step(2, temperature=0) for _ in range(2)]
        for session in map(genie.play, (clips[0, :3], other))
    ]
    assert not torch.equal(draws[0][1], draws[1][1])


def test_the_seed_decides_what_is_drawn(genie, clips):
    def play(seed):
        session = genie.play(clips[0, 0], seed=seed)
        return torch.stack([session.step(action) for action in (0, 5, 5, 2)])

    first = play(1)
    torch.manual_seed(123)
    assert torch.equal(first, play(1))
    assert not torch.equal(first, play(2))


def test_sessions_do_not_disturb_each_other(genie, clips):
    alone, first, second = (genie.play(clips[0, 0], seed=seed) for seed in (1, 1, 2))
    for action in (0, 5, 2):
        second.step(7)
        assert torch.equal(first.step(action), alone.step(action))


def test_a_roll_out_begun_again_is_a_new_one_of_the_same_past(genie, clips):
    shown = Rollout(genie, clips)
    taken = torch.arange(len(clips)), torch.full((len(clips),), 3)
    for seed in (0, 1, 1):
        again, new = shown.again(seed), Rollout(genie, clips, seed)
        for actions in taken:
            assert torch.equal(again.step(actions), new.step(actions))
    assert torch.equal(shown.step(taken[0]), Rollout(genie, clips).step(taken[0]))


def test_a_step_equals_that_of_a_batch(genie, make_clips):
    clips = make_clips(num_clips=3)
    rollout = Rollout(genie, clips)
    sessions = [PlaySession(genie, clip) for clip in clips]
    for actions in ([0, 3, 7], [1, 1, 1], [6, 2, 4]):
        together = rollout.step(torch.tensor(actions), temperature=0)
        alone = torch.stack(
            [s.step(a, temperature=0) for s, a in zip(sessions, actions, strict=True)]
        )
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
        assert torch.equal(rollout.tokens, torch.stack([session.tokens for session in sessions]))
    single, session = Rollout(genie, clips[:1], seed=5), PlaySession(genie, clips[0], seed=5)
    assert torch.equal(single.step(torch.tensor([4]))[0], session.step(4))


def test_long_play_stays_finite_and_does_not_slow_down(make_genie, clips):
    genie = make_genie(num_blocks=2)
    session = genie.play(clips[0], seed=0)
    sizes = []
    handle = genie.dynamics.transformer.register_forward_pre_hook(
        lambda module, inputs: sizes.append(inputs[1].keys[0].shape[2] - inputs[1].free)
    )
    frames = torch.stack([session.step(step % 8, maskgit_steps=2) for step in range(40)])
    handle.remove()
    assert frames.isfinite().all() and 0 <= frames.min() and frames.max() <= 1
    assert max(sizes) == genie.config.dynamics.context - 1, "the window slides"
    assert frames[-8:].std() > 0


def test_an_array_may_be_a_view_of_another(genie, clips):
    mirrored = clips[0].numpy()[:, :, ::-1]
    assert torch.equal(genie.play(mirrored).frame, genie.play(clips[0].flip(2)).frame)


@pytest.mark.parametrize("kind", [str, object, ">f4", np.float64, np.complex64, np.longdouble])
def test_an_array_of_no_floats_that_torch_knows_is_refused(genie, clips, kind):
    with pytest.raises(GenieError, match="frames must be"):
        genie.play(clips[0].numpy().astype(kind))


def test_numpy_actions_and_prompts_are_fine(genie, clips):
    session = genie.play(clips[0].numpy(), seed=0)
    assert torch.equal(session.step(np.int64(3)), genie.play(clips[0], seed=0).step(3))


@pytest.mark.parametrize("action", [-1, 8, 100])
def test_actions_out_of_range_are_refused_and_change_nothing(genie, clips, action):
    session, other = genie.play(clips[0]), genie.play(clips[0])
    with pytest.raises(ValueError, match="latent actions are the integers from 0 to 7"):
        session.step(action)
    assert torch.equal(session.step(0), other.step(0))


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"maskgit_steps": 0}, "maskgit_steps"),
        ({"maskgit_steps": 17}, "maskgit_steps"),
        ({"temperature": -1}, "temperature"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
    ],
)
def test_impossible_sampling_is_refused(genie, clips, options, problem):
    with pytest.raises(ValueError, match=problem):
        genie.play(clips[0]).step(0, **options)


@pytest.mark.parametrize(
    "prompt",
    [
        torch.zeros(16, 20, 3),
        torch.zeros(3, 16, 16),
        torch.zeros(16, 16),
        torch.zeros(1, 1, 16, 16, 3),
        torch.zeros(0, 16, 16, 3),
        torch.zeros(16, 16, 3, dtype=torch.uint8),
    ],
)
def test_wrong_prompts_are_refused(genie, prompt):
    with pytest.raises(ValueError, match="frames"):
        genie.play(prompt)


def test_with_a_context_of_one_frame_nothing_of_the_past_is_seen(make_genie, clips):
    genie = make_genie(context=1)
    rollout = Rollout(genie, clips)
    actions = [torch.full((2,), action) for action in (3, 5, 3)]
    frames = [rollout.step(action, maskgit_steps=2, temperature=0) for action in actions]
    torch.testing.assert_close(frames[0], frames[2], atol=1e-5, rtol=0)
    assert not torch.equal(frames[0], frames[1])
    with pytest.raises(GenieError, match="no past for 'sparse' to choose"):
        genie.with_lookback("sparse")
