"""Training: two phases, frozen where frozen, the same for the same seed, and resumed exactly where
it stopped.
"""

import math
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from short_runs import CONFIG, STEPS, Killed, Noise, kill, logs, same, weights

from genie_mini.errors import GenieError
from genie_mini.files import PARTS
from genie_mini.genie import Genie
from genie_mini.training import trainer
from genie_mini.training.learning_rate import learning_rate
from genie_mini.training.phases import build_phases
from genie_mini.training.trainer import Interrupted


def test_the_same_seed_gives_the_same_losses_and_weights(trained):
    (first, one), (second, two), (third, three) = (
        trained("one"),
        trained("two"),
        trained("three", seed=1),
    )
    assert logs(one) == logs(two) and same(weights(first), weights(second))
    assert logs(one) != logs(three) and not same(weights(first), weights(third))


def test_the_log_has_a_line_a_step_with_finite_losses(trained):
    _, folder = trained()
    for name, steps in (("tokenizer", 4), ("world", 6)):
        rows = logs(folder)[name]
        assert [int(row["step"]) for row in rows] == list(range(steps))
        assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert [bool(row["dynamics"]) for row in logs(folder)["world"]] == [False] * 2 + [True] * 4
    assert [bool(row["latent_action"]) for row in logs(folder)["world"]] == [True] * 4 + [False] * 2


def test_every_step_has_clips_of_its_own_and_the_result_is_saved(trained):
    videos = Noise()
    genie, folder = trained(videos=videos)
    assert len(videos.keys) == STEPS == len({tuple(key) for key in videos.keys})
    assert same(weights(Genie.from_pretrained(folder)), weights(genie))


@pytest.mark.parametrize("clips", [None, 1, 3])
def test_steps_of_the_dynamics_model_alone_have_their_own_number_of_clips(genie, clips):
    config = replace(CONFIG, dynamics_batch_size=clips, num_frames=8, latent_action_frames=4)
    world = build_phases(genie, Noise(), config)[1]
    counts = [world.clips(step) for step in range(world.steps)]
    assert counts == [(4, 4)] * 2 + [(2, 8)] * 2 + [(clips or 2, 8)] * 2


@pytest.mark.parametrize("clips", [0, -1, 1.0, True, "2", 10**10])
def test_impossible_numbers_of_clips_are_refused(clips):
    with pytest.raises(GenieError, match="dynamics_batch_size is an integer from 1 to"):
        replace(CONFIG, dynamics_batch_size=clips)


def test_every_part_learns(trained, make_genie):
    genie, _ = trained()
    for part in PARTS:
        before = dict(getattr(make_genie(), part).named_parameters())
        after = dict(getattr(genie, part).named_parameters())
        assert [name for name in after if torch.equal(after[name], before[name])] == []


def test_training_makes_the_losses_smaller(trained):
    _, folder = trained(
        tokenizer_steps=40,
        latent_action_steps=1,
        dynamics_steps=1,
        latent_action_pretraining_steps=0,
        short_share=0.0,
    )
    losses = [float(row["reconstruction"]) for row in logs(folder)["tokenizer"]]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize("at", [0, 2, 3, 4, 5, 7, STEPS - 1])
def test_ctrl_c_and_going_on_equals_not_stopping(trained, make_genie, at):
    whole, one = trained("whole")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="run the same command again"):
        trained("stopped", Noise(at, lambda: signal.raise_signal(signal.SIGINT)))
    assert signal.getsignal(signal.SIGINT) is handler, "Ctrl-C means what it meant before"
    rest = Noise()
    # its own first weights must play no part
    resumed, two = trained("stopped", rest, make_genie(seed=9))
    assert len(rest.keys) == STEPS - at - 1, (
        "the step that Ctrl-C fell into was finished, and none is done twice"
    )
    assert logs(two) == logs(one)
    assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("at", [1, 3, 5, 8, 9])
def test_a_kill_between_checkpoints_loses_steps_and_changes_nothing(
    trained, make_genie, monkeypatch, at
):
    whole, one = trained("whole")
    clock = iter(range(10**6))
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(Killed):
        trained("killed", Noise(at, kill), checkpoint_seconds=3)
    rest = Noise()
    resumed, two = trained("killed", rest, make_genie() if at == 1 else make_genie(seed=9))
    assert STEPS - at <= len(rest.keys) <= STEPS
    assert logs(two) == logs(one)
    assert same(weights(resumed), weights(whole))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    trained, make_genie, monkeypatch
):
    whole, one = trained("whole")
    write, calls = trainer.write_checkpoint, []

    def torn(path, *arguments):
        calls.append(path)
        if len(calls) == 3:
            path.with_name(path.name + ".partial").write_bytes(b"half")
            raise Killed
        write(path, *arguments)

    monkeypatch.setattr(trainer, "write_checkpoint", torn)
    with pytest.raises(Killed):
        trained("killed", checkpoint_seconds=0)
    monkeypatch.undo()
    resumed, two = trained("killed", genie=make_genie(seed=9))
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


def test_training_that_is_finished_is_not_undone_by_the_same_command(trained, make_genie):
    genie, folder = trained()
    again, _ = trained(videos=Noise(0, kill), genie=make_genie(seed=9))
    assert same(weights(Genie.from_pretrained(folder)), weights(genie))
    assert same(weights(again), weights(genie))


def test_the_tokenizer_is_frozen_in_phase_two(trained):
    first, _ = trained(
        "phase 1", latent_action_steps=0, latent_action_pretraining_steps=0, dynamics_steps=0
    )
    both, _ = trained("both")
    assert same(weights(first, "tokenizer"), weights(both, "tokenizer"))


def test_latent_actions_are_frozen_once_they_are_learnt(trained):
    short, _ = trained("short", dynamics_steps=2)
    long, _ = trained("long", dynamics_steps=6)
    assert same(weights(short, "latent_action_model"), weights(long, "latent_action_model"))
    assert not same(weights(short, "dynamics"), weights(long, "dynamics"))


def test_the_dynamics_loss_sends_no_gradient_into_the_other_networks(genie):
    phase = build_phases(genie, Noise(), replace(CONFIG, latent_action_pretraining_steps=0))[1]
    losses, _, _ = phase.losses(Noise().batch(2, 4, [0]), 0)
    latent, dynamics = losses
    dynamics.backward()
    assert all(p.grad is None for p in genie.latent_action_model.parameters())
    assert all(p.grad is None for p in genie.tokenizer.parameters())
    assert any(p.grad is not None for p in genie.dynamics.parameters())
    latent.backward()
    assert any(p.grad is not None for p in genie.latent_action_model.parameters())
    assert all(p.grad is None for p in genie.tokenizer.parameters())


def test_learning_rates_have_known_values():
    def at(step, **changes):
        return learning_rate(
            step, **{"start": 10, "stop": 110, "peak": 1.0, "warmup_steps": 20, **changes}
        )

    assert [at(10), at(14), at(29)] == pytest.approx([0.05, 0.25, 1.0])
    assert at(30) == pytest.approx(1.0)
    assert at(70) == pytest.approx(0.51)  # half-way down from 1 to 0.02
    assert at(110) == pytest.approx(0.02) == at(500)
    rates = [at(step) for step in range(30, 110)]
    assert rates == sorted(rates, reverse=True)
    assert at(30, peak=3e-4) == pytest.approx(3e-4)
    assert at(11, stop=14) == pytest.approx(1.0), (
        "the warm-up takes no more than half of a short run"
    )
    assert at(10, warmup_steps=0) == pytest.approx(1.0)
    assert math.isfinite(at(5, warmup_steps=0)), (
        "before its start a part has no rate that could stop the run"
    )


@pytest.mark.parametrize(
    "changes", [{"dynamics_steps": 1}, {"warmup_steps": 0}, {"tokenizer_steps": 1}]
)
def test_short_plans_and_plans_without_a_warmup_train_to_the_end(trained, changes):
    _, folder = trained(**changes)
    config = replace(CONFIG, **changes)
    assert len(logs(folder)["tokenizer"]) == config.tokenizer_steps
    assert len(logs(folder)["world"]) == max(
        4, config.latent_action_pretraining_steps + config.dynamics_steps
    )


def test_a_plan_in_which_nobody_learns_for_a_while_is_refused():
    with pytest.raises(ValueError, match="latent_action_pretraining_steps"):
        replace(CONFIG, latent_action_steps=1, latent_action_pretraining_steps=3)


def test_the_latent_action_model_learns_in_rounds(make_genie, monkeypatch):
    config = replace(
        CONFIG,
        latent_action_steps=10,
        latent_action_pretraining_steps=10,
        latent_action_restarts=((0.5, 0.0), (0.3, 0.2), (0.2, 0.6)),
    )
    assert config.restart_steps == [0, 5, 8, 10]
    genie, calls, moves = make_genie(), [], []
    model = genie.latent_action_model
    forward = model.forward
    monkeypatch.setattr(
        model,
        "forward",
        lambda frames, *rest, **more: (
            calls.append((*rest, more["refine"])) or forward(frames, *rest, **more)
        ),
    )
    monkeypatch.setattr(
        model, "spread_codes", lambda frames: moves.append((len(calls), len(frames)))
    )
    phase = build_phases(genie, Noise(), config)[1]
    for step in range(10):
        phase.losses(Noise().batch(2, 4, [0]), step)
    assert [progress for progress, _ in calls] == pytest.approx(
        [0, 0.2, 0.4, 0.6, 0.8, 0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3, 0.6, 0.8]
    )
    assert [refine for _, refine in calls] == [False] * 5 + [True] * 5
    assert [step for step, _ in moves] == [5, 8] and all(clips >= 16 for _, clips in moves)
    rates = [phase.parts[0].lr_at(step, warmup_steps=1) for step in range(10)]
    assert rates[0] == rates[5] == rates[8] == config.latent_action_lr and rates[4] < rates[5]


def test_in_a_round_that_begins_decided_the_decoder_chooses(make_genie, monkeypatch):
    config = replace(
        CONFIG,
        latent_action_steps=4,
        latent_action_pretraining_steps=4,
        latent_action_restarts=((0.5, 0.0), (0.5, 1.0)),
    )
    genie, settled = make_genie(), []
    settle = genie.latent_action_model.settle
    monkeypatch.setattr(
        genie.latent_action_model,
        "settle",
        lambda frames: settled.append(step) or settle(frames),
    )
    phase = build_phases(genie, Noise(), config)[1]
    for step in range(4):
        phase.losses(Noise().batch(2, 4, [0]), step)
    assert settled == [2, 3]


def test_rounds_that_do_not_fill_the_training_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        replace(CONFIG, latent_action_restarts=((0.5, 0.0),))
