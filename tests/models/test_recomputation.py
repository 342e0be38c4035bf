"""Less memory, the same gradients."""

from types import SimpleNamespace

import pytest
import torch

from genie_mini.models.recomputation import in_parts
from genie_mini.models.st_transformer import STBlock, STTransformer

LOSSES = {
    "tokenizer": lambda genie, clips: genie.tokenizer(clips)["loss"],
    "latent actions": lambda genie, clips: genie.latent_action_model(clips, 0.9)["loss"],
    "settled latent actions": lambda genie, clips: genie.latent_action_model.settle(clips)["loss"],
    "dynamics": lambda genie, clips: genie.dynamics.loss(
        genie.tokenizer.eval().encode(clips), genie.latent_action_model.eval().infer(clips)
    )["loss"],
}


@pytest.fixture
def learn(make_genie, make_clips):
    """The gradients of a fresh Genie after a training pass over three clips, by name, and how often
    its blocks have run.
    """

    def gradients(name, num_parts, recompute):
        genie = make_genie(num_blocks=2).train()
        counted = SimpleNamespace(blocks=0)

        def count(*_):
            counted.blocks += 1

        for module in genie.modules():
            if hasattr(module, "num_parts"):
                module.num_parts = num_parts
            if isinstance(module, STTransformer):
                module.recompute = recompute
            if isinstance(module, STBlock):
                module.register_forward_pre_hook(count)
        torch.manual_seed(0)
        LOSSES[name](genie, make_clips(3)).backward()
        found = {name: weight.grad for name, weight in genie.named_parameters()}
        return {name: grad for name, grad in found.items() if grad is not None}, counted.blocks

    return gradients


@pytest.mark.parametrize("num_parts, recompute", [(2, False), (1, True), (3, True), (9, False)])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradients_are_those_of_keeping_everything(learn, name, num_parts, recompute):
    expected, once = learn(name, 1, False)
    found, again = learn(name, num_parts, recompute)
    assert found.keys() == expected.keys() and again > once
    first, second = (
        torch.cat([grads[name].flatten() for name in expected]) for grads in (expected, found)
    )
    assert (second - first).norm() < 1e-5 * first.norm()


def test_without_gradients_nothing_is_computed_twice():
    calls = []
    rows = torch.arange(5.0, requires_grad=True)

    def double(part):
        calls.append(len(part))
        return 2 * part

    with torch.no_grad():
        assert in_parts(double, 2, rows).tolist() == [0, 2, 4, 6, 8]
    assert calls == [3, 2]
    in_parts(double, 2, rows).sum().backward()
    assert rows.grad.tolist() == [2] * 5
