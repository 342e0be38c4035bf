"""What the dynamics model refuses, and that its memory of the past changes nothing."""

import pytest
import torch


@pytest.fixture
def dynamics(make_genie):
    return make_genie(num_blocks=2).dynamics


def draw(frames=5):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(32, (2, frames, 16), generator=generator)
    return tokens, torch.randint(8, (2, frames - 1), generator=generator)


def test_remembering_at_once_or_frame_by_frame_is_the_same(dynamics):
    tokens, actions = draw()
    at_once = dynamics.prefill(tokens, actions)
    past = dynamics.prefill(tokens[:, :1], actions[:, :0])
    for t in range(1, 5):
        past = dynamics.append(past, tokens[:, t : t + 1], actions[:, t - 1 : t])
    assert past.position == at_once.position == 5
    for ours, theirs in zip(past.keys + past.values, at_once.keys + at_once.values, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_no_more_frames_are_remembered_than_the_context_holds(dynamics):
    past = dynamics.prefill(*draw())
    for _ in range(4):
        past = dynamics.append(past, draw()[0][:, :1], torch.zeros(2, 1, dtype=torch.int64))
    assert past.keys[0].shape[2] == dynamics.config.context - 1 == 5
    assert past.position == 9


def test_sampling_does_not_change_the_past(dynamics):
    past = dynamics.prefill(*draw())
    keys = past.keys[0].clone()
    dynamics.sample(past, torch.tensor([0, 1]), maskgit_steps=3)
    assert past.position == 5 and torch.equal(past.keys[0], keys)


@pytest.mark.parametrize("call", ["forward", "loss"])
@pytest.mark.parametrize(
    "tokens, actions, problem",
    [
        (torch.zeros(2, 5, 15), torch.zeros(2, 4), "tokens must be"),
        (torch.zeros(2, 16), torch.zeros(2, 4), "tokens must be"),
        (torch.zeros(2, 5, 16), torch.zeros(2, 5), "time - 1"),
        (torch.zeros(2, 5, 16), torch.zeros(1, 4), "time - 1"),
        (torch.zeros(2, 5, 16), torch.full((2, 4), 8), r"actions must lie in \[0, 8\)"),
        (torch.zeros(2, 5, 16), torch.full((2, 4), -1), r"actions must lie in \[0, 8\)"),
        (torch.full((2, 5, 16), -1), torch.zeros(2, 4), "tokens must lie in"),
        (torch.full((2, 5, 16), 33), torch.zeros(2, 4), "tokens must lie in"),
    ],
)
def test_wrong_tokens_and_actions_are_refused(dynamics, call, tokens, actions, problem):
    with pytest.raises(ValueError, match=problem):
        getattr(dynamics, call)(tokens.long(), actions.long())


@pytest.mark.parametrize("maskgit_steps", [0, -1, 17])
def test_an_impossible_number_of_rounds_is_refused(dynamics, maskgit_steps):
    with pytest.raises(ValueError, match="maskgit_steps"):
        dynamics.sample(
            dynamics.prefill(*draw()), torch.tensor([0, 1]), maskgit_steps=maskgit_steps
        )


def test_a_negative_temperature_is_refused(dynamics):
    with pytest.raises(ValueError, match="temperature"):
        dynamics.sample(
            dynamics.prefill(*draw()), torch.tensor([0, 1]), maskgit_steps=2, temperature=-0.1
        )
