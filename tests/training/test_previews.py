"""Previews show what has been learnt so far, whole and seldom enough, and change nothing."""

import io
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from short_runs import Killed, Noise, kill, logs, same, weights

from genie_mini.evaluation import action_grid
from genie_mini.evaluation.action_grid import draw_strip
from genie_mini.training import previews
from genie_mini.training.previews import PREVIEW, Previews
from genie_mini.training.trainer import Interrupted

EARLY = frozenset({"tokenizer"})
LATENT = EARLY | {"latent_action_model"}
ALL = LATENT | {"dynamics"}


@pytest.fixture
def after_every_step(monkeypatch):
    monkeypatch.setattr(previews, "_TRAINED_PER_PREVIEW", 0)
    monkeypatch.setattr(action_grid, "_DREAMT", 1)


class Painter:
    """Draws a strip, uses up chance, and keeps what it was told has learnt."""

    def __init__(self, at=None, event=None):
        self.at, self.event, self.learnt = at, event, []

    def __call__(self, genie, learnt):
        if len(self.learnt) == self.at:
            self.event()
        self.learnt.append(learnt)
        torch.rand(7)
        return draw_strip(genie, learnt, film=Noise().batch(1, 6, [0])[0])


@pytest.mark.usefixtures("after_every_step")
def test_previews_change_nothing_of_a_run(trained):
    plain, one = trained("plain")
    painter = Painter()
    watched, two = trained("watched", draw_preview=painter, preview_seconds=0.0)
    assert len(painter.learnt) == 4 + 6 + 1, "after every step, and at the end"
    assert logs(one) == logs(two) and same(weights(plain), weights(watched))


@pytest.mark.usefixtures("after_every_step")
@pytest.mark.parametrize("at", [2, 7])
def test_a_run_with_previews_that_is_stopped_goes_on_as_if_it_had_not_been(trained, make_genie, at):
    whole, one = trained("whole")
    with pytest.raises(Interrupted):
        trained(
            "stopped",
            Noise(at, lambda: signal.raise_signal(signal.SIGINT)),
            draw_preview=Painter(),
            preview_seconds=0.0,
        )
    resumed, two = trained(
        "stopped", genie=make_genie(seed=9), draw_preview=Painter(), preview_seconds=0.0
    )
    assert logs(two) == logs(one) and same(weights(resumed), weights(whole))


@pytest.mark.usefixtures("after_every_step")
def test_a_preview_is_told_which_networks_have_begun_to_learn(trained):
    painter = Painter()
    trained("run", draw_preview=painter, preview_seconds=0.0)
    assert painter.learnt == [EARLY] * 4 + [LATENT] * 2 + [ALL] * 5
    more = Painter()
    trained("run", draw_preview=more, preview_seconds=0.0, tokenizer_steps=6)
    assert more.learnt == [ALL] * 3, "what was learnt before counts"
    alone = Painter()
    nothing = dict.fromkeys(
        ("tokenizer_steps", "latent_action_steps", "latent_action_pretraining_steps"), 0
    )
    trained("alone", draw_preview=alone, preview_seconds=0.0, dynamics_steps=1, **nothing)
    assert alone.learnt == [frozenset({"dynamics"})] * 2


def test_the_last_preview_shows_the_result_and_is_the_same_again(trained):
    genie, folder = trained(draw_preview=Painter())
    first = (folder / PREVIEW).read_bytes()
    assert first == Painter()(genie, ALL)
    trained(draw_preview=Painter())
    assert (folder / PREVIEW).read_bytes() == first


@pytest.mark.usefixtures("after_every_step")
def test_a_preview_is_whole_or_the_one_before(trained, genie, tmp_path, stop_replacing):
    path = tmp_path / "run" / PREVIEW
    with pytest.raises(Killed):
        trained("run", draw_preview=Painter(3, kill), preview_seconds=0.0)
    before = path.read_bytes()
    with Image.open(io.BytesIO(before)) as picture:
        assert picture.format == "PNG"
    replaced = stop_replacing(1)
    with pytest.raises(KeyboardInterrupt):
        Previews(Painter(), path.parent, 0.0).draw(genie, ALL)
    assert replaced == [path] and path.read_bytes() == before
    assert not list(path.parent.glob("*.partial"))


def test_previews_are_some_minutes_apart_and_take_a_fiftieth_of_the_time_at_most(
    genie, tmp_path, monkeypatch
):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(previews, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def draw(genie, learnt, seconds):
        clock.now += seconds
        return b"picture"

    for takes, apart in ((1.0, 100.0), (10.0, 500.0)):
        made = Previews(partial(draw, seconds=takes), tmp_path, 100.0)
        begin = clock.now
        clock.now = begin + 99
        assert not made.due
        clock.now = begin + 101
        assert made.due
        made.draw(genie, EARLY)
        end = clock.now
        clock.now = end + apart - 1
        assert not made.due
        clock.now = end + apart + 1
        assert made.due


def test_without_a_painter_there_is_no_preview(trained):
    _, folder = trained(preview_seconds=0.0)
    assert not (folder / PREVIEW).exists()
