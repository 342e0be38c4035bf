"""Actions that can do nothing: some moments of standing still are told under other actions."""

from dataclasses import replace

import pytest
import torch
from short_runs import CONFIG, Noise

from genie_mini.training.futile import idle_action, with_futile_actions
from genie_mini.training.phases import build_phases

ACTIONS = 4


def test_the_idle_action_is_the_one_under_which_the_fewest_tokens_change():
    tokens = torch.zeros(1, 7, 10, dtype=torch.int64)
    actions = torch.tensor([[0, 2, 3, 0, 2, 3]])
    for t, changed in enumerate((5, 0, 3, 4, 2, 3)):
        tokens[:, t + 1] = tokens[:, t]
        tokens[:, t + 1, :changed] += 1
    assert idle_action(tokens, actions, ACTIONS) == 2  # 1 is never taken, and is not idle


def test_only_idle_moments_are_told_otherwise_and_as_many_as_asked():
    torch.manual_seed(0)
    actions = torch.randint(ACTIONS, (200, 63))
    told = with_futile_actions(actions, 1, 0.4, ACTIONS)
    idle = actions == 1
    assert torch.equal(told[~idle], actions[~idle])
    counts = told[idle].bincount(minlength=ACTIONS) / idle.sum()
    # of four actions that are drawn alike one is the idle one itself
    torch.testing.assert_close(counts, torch.tensor([0.1, 0.7, 0.1, 0.1]), atol=0.02, rtol=0)
    assert torch.equal(with_futile_actions(actions, 1, 0.0, ACTIONS), actions)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_dynamics_model_is_told_so_and_its_labels_stay(make_genie, monkeypatch, share):
    genie, given = make_genie(), []

    def loss(model, tokens, actions, *more):
        given.append(actions)
        return {"loss": torch.zeros(()), "accuracy": torch.zeros(())}

    monkeypatch.setattr(type(genie.dynamics), "loss", loss)
    config = replace(CONFIG, futile_share=share)
    world = build_phases(genie.train(), Noise(), config)[1]
    world.losses.__self__.idle_action = 0
    inferred = torch.zeros(2, 30, dtype=torch.int64)
    monkeypatch.setattr(world.reuse, "labels", lambda step, infer: (None, inferred))
    world.losses(None, config.latent_action_steps)
    assert (given[0] != 0).any() == bool(share) and not inferred.any()
