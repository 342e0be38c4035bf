"""The dynamics model: what it may see, what its loss asks for, and how it draws a frame in
rounds.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.maskgit import cut_tail, fill_in, sample_tokens
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.presets import pocket

CODES, TOKENS = 32, 16


@pytest.fixture
def dynamics(make_genie):
    return make_genie(num_blocks=2).dynamics


def draw(clips=2, frames=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(CODES, (clips, frames, TOKENS), generator=generator)
    return tokens, torch.randint(8, (clips, frames - 1), generator=generator)


def force(dynamics, logits):
    """Make the model output these logits, (codes,), everywhere."""
    with torch.no_grad():
        dynamics.to_logits.weight.zero_()
        dynamics.to_logits.bias.copy_(logits)


def spy(dynamics):
    """The list of token inputs (batch, T, N) of every pass from now on."""
    seen = []
    dynamics.embed_token.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].clone())
    )
    return seen


@torch.no_grad()
def frames_that_differ(dynamics, first, second):
    return (dynamics(*first) != dynamics(*second)).flatten(2).any(dim=-1).any(dim=0)


def test_before_training_the_likeliest_token_is_the_one_that_stands_there():
    torch.manual_seed(0)
    model = DynamicsModel(pocket().dynamics)
    tokens = torch.randint(512, (1, 3, 64))
    likeliest = model(tokens, torch.tensor([[0, 5]])).argmax(dim=-1)
    assert (likeliest == tokens).float().mean() > 0.8, "by chance 1 in 512"


@pytest.mark.parametrize("t", range(5))
def test_logits_depend_on_no_later_token(dynamics, t):
    tokens, actions = draw()
    other = tokens.clone()
    other[:, t:] = (other[:, t:] + 1) % CODES
    different = frames_that_differ(dynamics, (tokens, actions), (other, actions))
    assert not different[:t].any()
    assert different[t:].all(), "and on every earlier one"


@pytest.mark.parametrize("t", range(4))
def test_logits_depend_on_no_later_action(dynamics, t):
    tokens, actions = draw()
    other = actions.clone()
    other[:, t] = (other[:, t] + 1) % 8  # leads to frame t + 1
    different = frames_that_differ(dynamics, (tokens, actions), (tokens, other))
    assert not different[: t + 1].any()
    assert different[t + 1 :].all()


def test_logits_have_one_entry_a_code(dynamics):
    logits = dynamics(*draw())
    assert logits.shape == (2, 5, TOKENS, CODES) and logits.dtype == torch.float32


def test_masked_tokens_may_be_given(dynamics):
    tokens, actions = draw()
    tokens[:, -1] = dynamics.mask_token
    assert dynamics(tokens, actions).isfinite().all()


def test_every_parameter_gets_a_gradient(dynamics):
    for seed in range(4):
        dynamics.loss(*draw(clips=4, seed=seed))["loss"].backward()
    missing = [
        name for name, p in dynamics.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert not missing
    assert dynamics.embed_token.weight.grad.any(dim=-1).all(), "every code and the mask"
    assert dynamics.embed_action.weight.grad.any(dim=-1).all(), "every action"


def test_targets_are_the_tokens_and_not_the_mask(dynamics):
    logits = torch.linspace(-2, 2, CODES)
    force(dynamics, logits)
    for code in (0, 7, 31):
        tokens = torch.full((2, 5, TOKENS), code)
        expected = -torch.log_softmax(logits, dim=0)[code].item()
        assert dynamics.loss(tokens, draw()[1])["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_the_prompt_frame_is_no_target(dynamics):
    logits = torch.linspace(-2, 2, CODES)
    force(dynamics, logits)
    tokens = torch.full((2, 5, TOKENS), 9)
    tokens[:, 0] = 3
    expected = -torch.log_softmax(logits, dim=0)[9].item()
    assert dynamics.loss(tokens, draw()[1])["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_accuracy_is_counted_on_hidden_tokens(dynamics):
    force(dynamics, torch.nn.functional.one_hot(torch.tensor(9), CODES).float())
    tokens = torch.full((2, 5, TOKENS), 9)
    assert dynamics.loss(tokens, draw()[1])["accuracy_still"] == 1
    tokens[:, 1::2] = 8  # changes every frame, and is 9 in frames 2 and 4
    accuracy = dynamics.loss(tokens, draw()[1])["accuracy"].item()
    assert 0.2 < accuracy < 0.8


def test_training_hides_between_half_and_all_of_every_frame_but_the_first(dynamics):
    seen = spy(dynamics)
    dynamics.loss(*draw(clips=64, frames=6))
    trial, hidden = (
        mask for mask in (tokens == dynamics.mask_token for tokens in seen) if mask.any()
    )
    assert torch.equal(trial, hidden), "the trial run guesses what the run that counts is asked for"
    assert not hidden[:, 0].any()
    rates = hidden[:, 1:].float().mean(dim=(1, 2))
    assert 0.35 < rates.min() < 0.6 and 0.9 < rates.max() <= 1, (
        "the rate is drawn for each clip of a batch"
    )
    assert 0.68 < rates.mean() < 0.82


def test_a_hidden_token_cannot_be_read_off(dynamics):
    # With everything hidden, the true tokens of a frame must not change the logits for that frame.
    dynamics.config = replace(dynamics.config, mask_rate=(1.0, 1.0), scheduled_sampling=0.0)
    outputs = []
    dynamics.to_logits.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    tokens, actions = draw()
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % CODES
    dynamics.loss(tokens, actions)
    dynamics.loss(other, actions)
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("maskgit_steps", [1, 2, 3, 8, 15, 16])
def test_every_round_shows_more_tokens_and_keeps_those_shown(dynamics, maskgit_steps):
    tokens, actions = draw()
    past = dynamics.prefill(tokens, actions)
    seen = spy(dynamics)
    generator = torch.Generator().manual_seed(0)
    final = dynamics.sample(past, actions[:, 0], maskgit_steps=maskgit_steps, generator=generator)
    assert len(seen) == maskgit_steps
    assert (seen[0] == dynamics.mask_token).all()
    rounds = [*(tokens[:, 0] for tokens in seen), final]
    for before, after in zip(rounds, rounds[1:], strict=False):
        shown = before != dynamics.mask_token
        assert torch.equal(after[shown], before[shown]), "what is shown stays, and is fed back"
        assert ((after != dynamics.mask_token).sum(dim=1) > shown.sum(dim=1)).all()
    assert final.shape == (2, TOKENS) and final.dtype == torch.int64
    assert 0 <= final.min() and final.max() < CODES


def test_the_past_in_training_holds_some_of_the_models_own_guesses(dynamics):
    # it always guesses 9
    force(dynamics, torch.nn.functional.one_hot(torch.tensor(9), CODES) * 100.0)
    tokens, actions = draw(clips=64, frames=6)
    tokens[tokens == 9] = 8
    seen = spy(dynamics)
    dynamics.loss(tokens, actions)
    clean, hidden, past, again = seen
    assert torch.equal(clean, tokens) and torch.equal(hidden, again)
    replaced = past != tokens
    assert (past[replaced] == 9).all() and (hidden == dynamics.mask_token)[replaced].all()
    rates = replaced[:, 1:].float().mean(dim=(1, 2))
    most = dynamics.config.scheduled_sampling
    assert rates.max() <= most * 1.3 and rates.max() > most / 2 > rates.min(), (
        "the share is drawn for each clip"
    )


def test_a_guess_may_rest_on_guesses_before_it(dynamics):
    force(dynamics, torch.nn.functional.one_hot(torch.tensor(9), CODES) * 100.0)
    tokens, actions = draw(clips=64, frames=6)
    tokens[tokens == 9] = 8
    seen = spy(dynamics)
    dynamics.loss(tokens, actions, guess_depth=3)
    pasts, hidden = seen[::2], seen[1::2]
    assert len(pasts) == 4 and all(torch.equal(one, hidden[0]) for one in hidden)
    assert torch.equal(pasts[0], tokens)
    assert all(torch.equal(past, pasts[1]) for past in pasts[2:]), (
        "guesses stand in the same places each time"
    )
    assert (pasts[1] == 9).any() and (pasts[1] != tokens).equal(pasts[1] == 9)


def test_many_tokens_are_shown_at_first_and_few_in_the_last_rounds(dynamics):
    past = dynamics.prefill(*draw())
    seen = spy(dynamics)
    final = dynamics.sample(past, torch.tensor([0, 1]), maskgit_steps=4)
    counts = [(tokens == dynamics.mask_token).sum().item() // 2 for tokens in [*seen, final]]
    assert counts == [16, 9, 4, 1, 0]


def test_temperature_zero_takes_the_likeliest_and_draws_nothing(dynamics):
    past = dynamics.prefill(*draw())
    actions = torch.tensor([2, 5])
    results = [
        dynamics.sample(
            past,
            actions,
            maskgit_steps=4,
            temperature=0,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in range(3)
    ]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    tokens, inferred = draw()
    masked = torch.cat([tokens, torch.full((2, 1, TOKENS), dynamics.mask_token)], dim=1)
    likeliest = dynamics(masked, torch.cat([inferred, actions[:, None]], dim=1))[:, -1].argmax(
        dim=-1
    )
    assert torch.equal(dynamics.sample(past, actions, maskgit_steps=1, temperature=0), likeliest)


def test_a_seeded_generator_repeats_its_draws(dynamics):
    past = dynamics.prefill(*draw())

    def sample(seed):
        generator = torch.Generator().manual_seed(seed)
        return dynamics.sample(past, torch.tensor([2, 5]), maskgit_steps=4, generator=generator)

    torch.manual_seed(0)
    first = sample(1)
    torch.manual_seed(99)  # global randomness plays no part
    assert torch.equal(first, sample(1))
    assert not torch.equal(first, sample(2))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("grid", [(1, 1), (4, 4)])
def test_sampling_follows_the_models_distribution(temperature, grid):
    torch.manual_seed(0)
    model = DynamicsModel(DynamicsConfig(grid, 4, STTransformerConfig(1, width=8, num_heads=1)))
    believed = torch.tensor([0.5, 0.3, 0.15, 0.05])
    force(model, believed.log())
    clips = 8000 // math.prod(grid)
    past = model.prefill(
        torch.zeros(clips, 1, math.prod(grid), dtype=torch.int64), torch.empty(clips, 0).long()
    )
    drawn = model.sample(
        past, torch.zeros(clips, dtype=torch.int64), maskgit_steps=1, temperature=temperature
    )
    shares = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    expected = believed ** (1 / temperature)
    torch.testing.assert_close(shares, expected / expected.sum(), atol=0.02, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_tail_of_the_distribution_is_never_drawn_whatever_the_temperature(temperature):
    believed = torch.tensor([0.02, 0.5, 0.3, 0.15, 0.03])  # the tail at both ends
    generator = torch.Generator().manual_seed(0)
    drawn = sample_tokens(believed.log().expand(20_000, 5), temperature, generator, min_p=0.1)
    shares = torch.bincount(drawn, minlength=5) / len(drawn)
    left = torch.tensor([0, 0.5, 0.3, 0.15, 0]) ** (1 / temperature)
    torch.testing.assert_close(shares, left / left.sum(), atol=0.015, rtol=0)
    assert shares[0] == shares[4] == 0


def test_the_cut_is_a_share_of_the_likeliest_tokens_probability():
    logits = torch.tensor([[0.8, 0.1, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1]]).log()
    assert (cut_tail(logits, 0.12) > -math.inf).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert (cut_tail(logits, 0.6) > -math.inf).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert (cut_tail(logits, 1) > -math.inf).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    kept = cut_tail(logits, 0.6)[1, :2]
    assert torch.equal(kept, logits[1, :2])


def test_with_nothing_cut_the_same_tokens_are_drawn_as_ever(dynamics):
    past, actions = dynamics.prefill(*draw()), torch.tensor([2, 5])

    def sample(seed=1, **options):
        generator = torch.Generator().manual_seed(seed)
        return dynamics.sample(past, actions, maskgit_steps=4, generator=generator, **options)

    assert torch.equal(sample(), sample(min_p=0.0))
    logits = torch.randn(50, 64, 32, generator=torch.Generator().manual_seed(0))
    assert cut_tail(logits, 0.0) is logits
    assert not torch.equal(sample(), sample(min_p=0.9))
    # Only the likeliest is left: no chance remains.
    assert torch.equal(sample(1, min_p=1.0), sample(2, temperature=0))


def test_what_the_config_cuts_is_cut_unless_another_is_asked_for(dynamics):
    cutting = DynamicsModel(replace(dynamics.config, min_p=0.9)).eval()
    cutting.load_state_dict(dynamics.state_dict())
    past, actions = dynamics.prefill(*draw()), torch.tensor([2, 5])

    def sample(model, **options):
        generator = torch.Generator().manual_seed(1)
        return model.sample(past, actions, maskgit_steps=4, generator=generator, **options)

    assert torch.equal(sample(cutting), sample(dynamics, min_p=0.9))
    assert torch.equal(sample(cutting, min_p=0.0), sample(dynamics))
    assert not torch.equal(sample(cutting), sample(dynamics))


def test_what_is_cut_makes_no_token_surer():
    # Place 0 believes (0.55, 0.45 in small parts), place 1 (0.6, 0.4). Without its tail place 0 is
    # certain to become 0, but the model is surer of a 0 at place 1, which is kept first.
    believed = torch.tensor([[0.55, *[0.05] * 9], [0.6, 0.4, *[0.0] * 8]])
    steps: list[torch.Tensor] = []
    for seed in range(20):
        fill_in(
            lambda tokens: believed.log()[None],
            torch.full((1, 2), 10),
            10,
            [1, 0],
            generator=torch.Generator().manual_seed(seed),
            on_step=lambda tokens: steps.append(tokens.clone()),
            min_p=0.2,
        )
    first = torch.cat(steps[::2])
    assert set(map(tuple, first.tolist())) == {(10, 0), (0, 10)}


class Fixed(nn.Module):
    def __init__(self, probabilities):
        super().__init__()
        self.logits = torch.tensor(probabilities).log()

    def forward(self, x):
        return self.logits.expand(x.shape[0], -1, -1)


def test_confidence_is_that_of_the_token_drawn():
    # Place 0 believes (0.9, 0.1), place 1 (0.6, 0.4). A 1 drawn at place 0 is the least sure guess
    # there is: it waits for the second round and is drawn again, so place 0 ends as 1 once in a
    # hundred, not once in ten.
    torch.manual_seed(0)
    model = DynamicsModel(DynamicsConfig((1, 2), 2, STTransformerConfig(1, width=8, num_heads=1)))
    past = model.prefill(torch.zeros(20000, 1, 2, dtype=torch.int64), torch.empty(20000, 0).long())
    model.to_logits = Fixed([[0.9, 0.1], [0.6, 0.4]])
    drawn = model.sample(past, torch.zeros(20000, dtype=torch.int64), maskgit_steps=2)
    assert drawn[:, 0].float().mean().item() == pytest.approx(0.01, abs=0.004)
