"""Minutes become steps once, by what the steps take on this machine; after that the run is one of
steps.
"""

import json
import signal
from dataclasses import astuple, replace
from types import SimpleNamespace

import pytest
import torch
from short_runs import CONFIG, Noise, logs, same, weights

from genie_mini.errors import GenieError
from genie_mini.training import budget, trainer
from genie_mini.training.budget import decide_steps, time_steps
from genie_mini.training.checkpoint import read_notes
from genie_mini.training.config import LOOKBACK_TRAINING, Shares
from genie_mini.training.phases import Losses
from genie_mini.training.request import LENGTHS, Request
from genie_mini.training.trainer import Interrupted, train

# Fake seconds that a step takes.
SHORT_CLIPS, LONG_CLIPS, LATENT, DYNAMICS = 0.05, 0.25, 0.15, 0.4
TOKENIZER = 0.75 * SHORT_CLIPS + 0.25 * LONG_CLIPS


class Clock:
    """Stands still but while a network learns; on a slower machine that takes longer."""

    def __init__(self):
        self.now, self.slower = 0.0, 1.0

    def spend(self, seconds):
        self.now += self.slower * seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: clock.now))
    tokenizer_losses, world_losses = Losses.tokenizer_losses, Losses.world_losses

    def tokenizer(self, frames, step):
        clock.spend(SHORT_CLIPS if frames.shape[1] == CONFIG.short_frames else LONG_CLIPS)
        return tokenizer_losses(self, frames, step)

    def world(self, frames, step):
        clock.spend(LATENT if step < self.config.latent_action_steps else DYNAMICS)
        return world_losses(self, frames, step)

    monkeypatch.setattr(Losses, "tokenizer_losses", tokenizer)
    monkeypatch.setattr(Losses, "world_losses", world)
    return clock


@pytest.fixture
def idle_measurement(monkeypatch, clock):
    """What is measured are steps that only take their time, and no network's."""

    def take_step(phase, step, frames, optimizer, precision, config):
        if phase.name == "tokenizer":
            clock.spend(SHORT_CLIPS if frames.shape[1] == CONFIG.short_frames else LONG_CLIPS)
        else:
            clock.spend(LATENT if step < config.latent_action_steps else DYNAMICS)

    monkeypatch.setattr(budget, "take_step", take_step)


@pytest.fixture
def not_measured(monkeypatch):
    """Call it, and nothing must be measured from then on."""
    return lambda: monkeypatch.setattr(
        budget, "time_steps", lambda *_: pytest.fail("it was measured again")
    )


def decided(genie, minutes, config=CONFIG):
    request = Request.of(genie, config, None, "", minutes)
    return decide_steps(request, genie, Noise(), config, progress=False).lengths[-1]


def steps_of(folder):
    """The steps that the checkpoint of a run holds, first and after each time more was asked."""
    return read_notes(folder / "checkpoint.safetensors")[0].lengths


@pytest.mark.usefixtures("idle_measurement")
@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("shares", [Shares(), Shares(0.5, 0.2, 0.3)], ids=["default", "other"])
def test_each_network_gets_its_share_of_the_time_within_a_step(genie, clock, slower, shares):
    clock.slower = slower
    tokenizer, latent, alone, dynamics = decided(genie, 60, replace(CONFIG, shares=shares))
    assert alone == latent, "the dynamics model begins when the latent actions are decided"
    left = 3600 - clock.now
    assert 3500 < left < 3600, "the measurement has taken some of it"
    costs = [slower * seconds for seconds in (TOKENIZER, LATENT, DYNAMICS)]
    for steps, cost, share in zip(
        (tokenizer, latent, dynamics), costs, astuple(shares), strict=True
    ):
        assert abs(steps * cost - share * left) <= cost


def test_what_is_done_once_for_several_steps_counts_in_parts(genie, clock, monkeypatch):
    infer_labels = Losses.infer_labels

    def slowly(self, frames):
        clock.spend(0.6)
        return infer_labels(self, frames)

    monkeypatch.setattr(Losses, "infer_labels", slowly)
    config = replace(CONFIG, dynamics_clip_uses=3, **dict.fromkeys(LENGTHS, 1000))
    seconds = time_steps(genie, Noise(), config)
    assert seconds == pytest.approx([TOKENIZER, LATENT, DYNAMICS + 0.6 / 3])


@pytest.mark.usefixtures("idle_measurement")
@pytest.mark.parametrize("workers", [0, 4])
def test_clips_that_are_made_meanwhile_count_only_where_a_step_waits_for_them(
    genie, clock, monkeypatch, workers
):
    class Filmed(Noise):
        def batch(self, *wish):
            clock.spend(0.4)
            return super().batch(*wish)

    monkeypatch.setattr(budget, "clip_workers", lambda device: workers)
    seconds = time_steps(genie, Filmed(), replace(CONFIG, **dict.fromkeys(LENGTHS, 1000)))
    waiting = [0.75 * 0.4 / 4 + 0.25 * LONG_CLIPS, LATENT, DYNAMICS]
    one_by_one = [0.4 + cost for cost in (TOKENIZER, LATENT, DYNAMICS)]
    assert seconds == pytest.approx(waiting if workers else one_by_one)


def test_a_step_that_waited_for_another_program_does_not_count(genie, clock):
    config = replace(CONFIG, **dict.fromkeys(LENGTHS, 1000))
    waiting = Noise(30, lambda: clock.spend(1000))
    seconds = time_steps(genie, waiting, config)
    assert seconds == pytest.approx([TOKENIZER, LATENT, DYNAMICS]) and clock.now > 1000


@pytest.mark.usefixtures("idle_measurement")
def test_a_network_without_a_share_does_not_learn_and_one_with_a_share_does(genie):
    config = replace(CONFIG, shares=LOOKBACK_TRAINING.shares)
    tokenizer, latent, alone, dynamics = decided(genie, 10, config)
    assert (tokenizer, latent, alone) == (0, 0, 0) and dynamics > 100
    assert decided(genie, 0.01) == (1, 1, 1, 1), "the time was up before the first step"


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (0.0, 0.0, float("nan"))])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(GenieError, match="shares are numbers from 0 up that sum to 1"):
        Shares(*shares)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e9, "60", True])
def test_minutes_that_make_no_sense_are_refused(trained, tmp_path, minutes):
    with pytest.raises(GenieError, match="minutes must lie in"):
        trained(minutes=minutes)
    assert not list(tmp_path.iterdir())


def test_the_measurement_leaves_nothing_behind(genie):
    genie.tokenizer.train()
    before, modes = weights(genie), [module.training for module in genie.modules()]
    torch.manual_seed(5)
    chance = torch.rand(3)
    torch.manual_seed(5)
    time_steps(genie, Noise(), CONFIG)
    assert torch.equal(torch.rand(3), chance)
    assert same(weights(genie), before)
    assert [module.training for module in genie.modules()] == modes
    assert all(parameter.grad is None for parameter in genie.parameters())


# the run


def test_a_run_of_minutes_is_the_run_of_the_steps_that_they_come_to(trained):
    measured, one = trained("one", minutes=0.3)
    ((tokenizer, latent, alone, dynamics),) = steps_of(one)
    assert min(tokenizer, latent, dynamics) > 1
    lengths = dict(zip(LENGTHS, (tokenizer, latent, alone, dynamics), strict=True))
    counted, two = trained("two", **lengths)
    assert logs(one) == logs(two) and same(weights(measured), weights(counted))
    assert (len(logs(one)["tokenizer"]), len(logs(one)["world"])) == (tokenizer, latent + dynamics)


@pytest.mark.usefixtures("idle_measurement")
@pytest.mark.parametrize("at", [0, 3, 20])
def test_a_run_that_goes_on_keeps_the_steps_that_were_decided(
    trained, make_genie, clock, not_measured, monkeypatch, at
):
    whole, one = trained("whole", minutes=0.3)
    measuring, decide = [], budget.decide_steps

    def counted(request, genie, videos, config, *, progress):
        measuring.append(True)
        return decide(request, genie, Noise(), config, progress=progress)

    monkeypatch.setattr(trainer, "decide_steps", counted)
    clock.now, stop = 0.0, Noise(at, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        trained("stopped", stop, minutes=0.3)
    assert measuring and steps_of(one) == steps_of(one.with_name("stopped"))
    not_measured()
    clock.slower = 10.0
    resumed, two = trained("stopped", genie=make_genie(seed=9), minutes=0.3)
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))
    again, _ = trained("stopped", genie=make_genie(seed=9), minutes=0.3)
    assert same(weights(again), weights(whole))


@pytest.mark.usefixtures("idle_measurement")
def test_more_minutes_are_measured_and_learnt_on_top(trained):
    _, one = trained("one", minutes=0.3)
    before = logs(one)
    _, folder = trained("one", minutes=0.8)
    first, then = steps_of(folder)
    notes, _ = read_notes(folder / "checkpoint.safetensors")
    assert notes.minutes == (0.3, 0.8) and notes.leg_minutes == pytest.approx([0.3, 0.5])
    for log, steps in (("tokenizer", then[0]), ("world", then[1] + then[3])):
        after = logs(folder)[log]
        assert after[: len(before[log])] == before[log] and len(after) == steps
    # What comes on top has long clips alone, and the machine is as fast as before.
    tokenizer, latent, _, dynamics = (new - old for old, new in zip(first, then, strict=True))
    spent = tokenizer * LONG_CLIPS, latent * LATENT, dynamics * DYNAMICS
    measuring = 4 * 4 * (LONG_CLIPS + LATENT + DYNAMICS)
    assert sum(spent) == pytest.approx(30 - measuring, abs=0.4)
    for seconds, share in zip(spent, astuple(CONFIG.shares), strict=True):
        assert seconds == pytest.approx(share * sum(spent), abs=0.4)


@pytest.mark.usefixtures("idle_measurement")
def test_other_wishes_after_minutes_are_one_error_or_more_steps(trained, not_measured):
    _, folder = trained(minutes=0.3)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    not_measured()
    for changes, told in (
        ({"minutes": 0.2}, "minutes 0.3, now 0.2 \\(more can be asked for, not less\\)"),
        ({"minutes": 0.3, "seed": 1}, "training seed 0, now 1"),
        ({"tokenizer_steps": 1}, "tokenizer_steps [0-9]+, now 1 \\(of each, more"),
    ):
        with pytest.raises(GenieError, match=told):
            trained(**changes)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    more = dict.fromkeys(LENGTHS, 25)
    trained(**more)
    assert steps_of(folder)[1] == (25, 25, 25, 25)
    with pytest.raises(GenieError, match=r"steps \(.*: 25, 25, 25, 25\), now minutes 9"):
        trained(minutes=9)


def test_minutes_after_steps_are_one_error(trained, not_measured):
    not_measured()
    trained()
    with pytest.raises(GenieError, match=r"steps \(.*: 4, 4, 2, 4\), now minutes 5"):
        trained(minutes=5)


@pytest.mark.usefixtures("idle_measurement")
def test_other_shares_are_no_other_wish(trained, not_measured):
    trained(minutes=0.3)
    not_measured()
    trained(minutes=0.3, shares=Shares(0.2, 0.2, 0.6))


def test_a_measurement_that_is_stopped_leaves_no_run(trained, tmp_path, make_genie):
    genie = make_genie()
    before = weights(genie)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(genie, Noise(5, interrupt), CONFIG, tmp_path / "run", minutes=0.3, progress=False)
    assert not list((tmp_path / "run").iterdir()) and same(weights(genie), before)


# what a checkpoint keeps


def test_a_checkpoint_of_before_there_were_minutes_is_one_of_steps(genie):
    request = Request.of(genie, CONFIG, None, "")
    content = json.loads(request.to_json())
    assert Request.from_json(json.dumps(content)) == request
    del content["minutes"]
    assert Request.from_json(json.dumps(content)) == request


@pytest.mark.parametrize(
    "minutes",
    [[], [1], [1, 2, 3], [2, 1], [1, 1], [0, 1], [True, 2], ["1", "2"], [1, 1e999], 3, "12", {}],
    ids=str,
)
def test_minutes_of_a_checkpoint_that_make_no_sense_are_named(minutes):
    content = {"what": {}, "lengths": [[4, 4, 2, 4], [5, 5, 3, 5]], "minutes": minutes}
    with pytest.raises((ValueError, TypeError)):
        Request.from_json(json.dumps(content))
