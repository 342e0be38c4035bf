"""A run goes on with what it was asked for, or with more steps, alone in its folder."""

import signal
from dataclasses import replace

import pytest
import torch
from short_runs import CONFIG, Killed, Noise, kill, logs, same, weights

from genie_mini.errors import GenieError
from genie_mini.files import PARTS
from genie_mini.genie import Genie
from genie_mini.training.config import TrainingConfig, training_config
from genie_mini.training.request import Request
from genie_mini.training.trainer import Interrupted

MORE = {
    "tokenizer_steps": 7,
    "latent_action_steps": 6,
    "latent_action_pretraining_steps": 4,
    "dynamics_steps": 5,
}
STEPS = 4 + 6  # of the run
ADDED = 3 + 3  # of tokenizer, and of the world: two more of the latent actions alone, then one


@pytest.fixture
def extended(trained):
    """A finished run, and then more of it: (folder name, videos, Genie) -> Genie, folder."""

    def run(name, videos=None, genie=None):
        trained(name)
        return trained(name, videos, genie, **MORE)

    return run


def test_more_steps_are_learnt_on_top(trained, extended):
    first, one = trained("one")
    videos = Noise()
    genie, folder = extended("more", videos)
    assert len(videos.keys) == ADDED
    before, after = logs(one), logs(folder)
    for log, steps in (("tokenizer", 7), ("world", 6 + 3)):
        assert after[log][: len(before[log])] == before[log]
        assert [int(row["step"]) for row in after[log]] == list(range(steps))
    assert [bool(row["dynamics"]) for row in after["world"][6:]] == [False, False, True]
    assert [bool(row["latent_action"]) for row in after["world"][6:]] == [True, True, False]
    assert same(weights(Genie.from_pretrained(folder)), weights(genie))
    for part in PARTS:
        assert not same(weights(first, part), weights(genie, part))


def test_what_comes_on_top_has_clips_of_its_own(trained, extended):
    first, more = Noise(), Noise()
    trained("one", first)
    extended("two", more)
    assert not {tuple(key) for key in first.keys} & {tuple(key) for key in more.keys}


def test_more_tokenizer_steps_see_whole_clips_and_lower_the_loss(trained):
    plan = {"latent_action_steps": 1, "dynamics_steps": 1, "latent_action_pretraining_steps": 0}
    trained("run", tokenizer_steps=30, **plan)
    videos = Noise()
    _, folder = trained("run", videos, tokenizer_steps=60, **plan)
    losses = [float(row["reconstruction"]) for row in logs(folder)["tokenizer"]]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert len(losses) == 60 and sum(losses[-5:]) < sum(losses[25:30])


@pytest.mark.parametrize("at", [0, 2, 4])
def test_ctrl_c_on_top_and_going_on_equals_not_stopping(trained, extended, make_genie, at):
    whole, one = extended("whole")
    with pytest.raises(Interrupted):
        extended("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)))
    rest = Noise()
    resumed, two = trained("stopped", rest, make_genie(seed=9), **MORE)
    assert len(rest.keys) == ADDED - at - 1
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


@pytest.mark.parametrize("at", [0, 3, 7])
def test_more_may_be_asked_for_before_the_run_has_ended(trained, extended, make_genie, at):
    whole, one = extended("whole")
    with pytest.raises(Interrupted):
        trained("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)))
    resumed, two = trained("stopped", genie=make_genie(seed=9), **MORE)
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


def patch_genie(make_genie, seed=0):
    """A Genie whose tokens are patches, black ones as yet."""
    torch.manual_seed(seed)
    return Genie(make_genie().config.with_patches(20)).eval()


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_run_of_patches_that_was_stopped_goes_on_exactly(trained, make_genie, at):
    genies = [patch_genie(make_genie) for _ in range(2)]
    patches = torch.randint(256, (20, 48), generator=torch.Generator().manual_seed(0))
    for genie in genies:
        genie.tokenizer.patches.copy_(patches)
    whole, one = trained("whole", genie=genies[0])
    assert torch.equal(whole.tokenizer.patches, patches)
    with pytest.raises(Interrupted):
        trained("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)), genie=genies[1])
    resumed, two = trained("stopped", genie=patch_genie(make_genie, seed=9))
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))
    assert all(row["reconstruction"] and not row["quantizer"] for row in logs(two)["tokenizer"])


@pytest.mark.parametrize("at", [5, 6, 23])
def test_a_run_whose_codes_are_spread_and_settled_goes_on_exactly(trained, make_genie, at):
    # of latent actions, after four steps of the tokenizer: two, then two that begin with new codes
    rounds = {"latent_action_restarts": ((0.5, 0.0), (0.5, 1.0))}
    whole, one = trained("whole", **rounds)
    assert not same(weights(whole), weights(trained("one round")[0]))
    with pytest.raises(Interrupted):
        trained("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)), **rounds)
    resumed, two = trained("stopped", genie=make_genie(seed=9), **rounds)
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


@pytest.mark.parametrize("rounds, begin", [(((1.0, 0.0),), 0.7), (((0.5, 0.0), (0.5, 1.0)), 1.0)])
def test_what_comes_on_top_leaves_latent_actions_as_decided_as_they_were(genie, rounds, begin):
    config = replace(CONFIG, latent_action_restarts=rounds)
    request = replace(Request.of(genie, config, None, "", None), lengths=((9,) * 4, (12,) * 4))
    first, more = request.legs(genie, config)
    assert first.latent_action_restarts == rounds
    assert more.latent_action_restarts == ((1.0, begin),)


def test_more_may_be_asked_for_again_and_the_same_changes_nothing(extended, trained):
    extended("run")
    longer = MORE | {"dynamics_steps": 9}
    genie, folder = trained("run", **longer)
    assert len(logs(folder)["world"]) == 6 + 3 + 4
    again, _ = trained("run", Noise(0, kill), **longer)
    assert same(weights(again), weights(genie))
    with pytest.raises(GenieError, match="dynamics_steps 9, now 5"):
        trained("run", **MORE)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"seed": 1}, "training seed 0, now 1"),
        ({"batch_size": 3}, "training batch_size 2, now 3"),
        ({"dynamics_batch_size": 1}, "training dynamics_batch_size None, now 1"),
        ({"betas": (0.5, 0.9)}, "training betas"),
        ({"precision": "bf16"}, "training precision fp32, now bf16"),
        ({"tokenizer_steps": 3}, "tokenizer_steps 4, now 3"),
        ({"tokenizer_steps": 3, "dynamics_steps": 9}, "tokenizer_steps 4, now 3"),
    ],
    ids=str,
)
def test_another_wish_is_refused_and_named(trained, changes, told):
    _, folder = trained("run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(GenieError, match=told):
        trained("run", Noise(0, kill), **changes)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_networks_of_another_shape_are_refused_and_named(trained, make_genie):
    trained("run")
    with pytest.raises(GenieError, match="networks tokenizer .* now .*networks dynamics"):
        trained("run", genie=make_genie(num_codes=64, patch_size=8))


def test_how_it_is_done_may_change(trained):
    trained("run")
    trained("run", Noise(0, kill), checkpoint_seconds=1.0)


def test_two_trainings_in_one_folder_are_refused(trained, make_genie):
    whole, one = trained("whole")
    refused = []

    def another():
        with pytest.raises(GenieError, match="another genie-mini is writing into"):
            trained("run", genie=make_genie(seed=9))
        refused.append(True)

    genie, folder = trained("run", Noise(5, another))
    assert refused and logs(folder) == logs(one) and same(weights(genie), weights(whole))
    assert not list(folder.glob("*.lock")) and not list(folder.glob(".*"))


def test_a_folder_is_free_again_after_a_run_has_failed(trained):
    with pytest.raises(Killed):
        trained("run", Noise(1, kill))
    trained("run")


# plans that make no sense


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 1.5},
        {"tokenizer_steps": -1},
        {"dynamics_steps": 10**30},
        {"dynamics_steps": 2.5},
        {"dynamics_steps": True},
        {"batch_size": 0},
        {"num_frames": 1},
        {"short_frames": 0},
        {"latent_action_frames": 1},
        {"warmup_steps": -1},
        {"short_share": 1.5},
        {"dynamics_lr": -1e-3},
        {"dynamics_lr": float("nan")},
        {"betas": (0.9, 1.0)},
        {"max_grad_norm": -1.0},
        {"precision": "fp8"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_when_they_are_made(changes):
    (name,) = changes
    plan = {"tokenizer_steps": 1, "latent_action_steps": 1, "dynamics_steps": 1}
    with pytest.raises(GenieError, match=name):
        TrainingConfig(**(plan | changes))


def test_the_greatest_seed_trains(trained):
    genie, _ = trained("run", seed=2**63 - 1, tokenizer_steps=1, dynamics_steps=1)
    assert all(torch.isfinite(tensor).all() for tensor in genie.state_dict().values())


def test_steps_of_a_preset_make_sense_for_any_number():
    for steps in (1, 2, 3, 1000):
        for preset in ("pocket", "mini", "coinrun"):
            training_config(preset, steps, seed=0, compile=False)
