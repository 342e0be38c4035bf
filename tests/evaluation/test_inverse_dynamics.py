"""The supervised network sees what can be seen, stops where it knows most, and leaves chance as it
was.
"""

import numpy as np
import pytest
import torch

from genie_mini.evaluation.inverse_dynamics import (
    WINDOW,
    InverseDynamics,
    name_actions,
    train_inverse_dynamics,
)


def moving_dots(count, hidden=False, seed=0):
    """A dot anywhere that goes up, down, left or right in the last step; hidden, it stays."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(4, size=count)
    frames = torch.zeros(count, WINDOW, 16, 16, 3)
    places = rng.integers(2, 13, size=(count, 2))
    steps = np.array([(-2, 0), (2, 0), (0, -2), (0, 2)])
    for number, (place, action) in enumerate(zip(places, actions, strict=True)):
        frames[number, :-1, place[0], place[1]] = 1
        row, column = place + (0 if hidden else steps[action])
        frames[number, -1, row, column] = 1
    return frames, torch.from_numpy(actions)


def trained(frames, actions, **options):
    count = len(actions)
    return train_inverse_dynamics(
        lambda chosen: (frames[chosen], actions[chosen]),
        np.arange(count * 3 // 4),
        np.arange(count * 3 // 4, count),
        4,
        progress=False,
        **options,
    )


def test_an_action_that_is_seen_is_named_right_wherever_it_happens():
    network = trained(*moving_dots(1500), steps=220, batch_size=32)
    frames, actions = moving_dots(200, seed=1)
    logits = name_actions(network, frames)
    assert (logits.argmax(dim=-1) == actions).float().mean() > 0.95
    doubt = torch.nn.functional.cross_entropy(logits, actions).item() / np.log(2)
    assert doubt < 0.2, "of the two bits that there are"


def test_of_an_action_that_is_not_seen_nothing_is_told():
    # Learnt by heart, the labels would be told with confidence, and wrong: validation stops that.
    network = trained(*moving_dots(300, hidden=True), steps=60, batch_size=32)
    frames, actions = moving_dots(200, hidden=True, seed=1)
    doubt = torch.nn.functional.cross_entropy(name_actions(network, frames), actions)
    assert doubt.item() == pytest.approx(np.log(4), abs=0.15)


def test_the_same_seed_gives_the_same_network_and_chance_goes_on_undisturbed():
    frames, actions = moving_dots(100)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again = (trained(frames, actions, steps=3, batch_size=8) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(
        torch.equal(one, two)
        for one, two in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (92, 160)])
def test_any_size_of_picture_is_seen(size):
    network = InverseDynamics(6, channels=4)
    assert name_actions(network, torch.rand(2, WINDOW, *size, 3)).shape == (2, 6)
