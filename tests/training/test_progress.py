"""One bar for all phases of a run, with the time that is left of all of them."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tqdm.std
from short_runs import CONFIG, Noise

from genie_mini.training import trainer
from genie_mini.training.config import Shares
from genie_mini.training.phases import build_phases
from genie_mini.training.progress import RunBar, expected_seconds
from genie_mini.training.request import Request


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1e6)
    monkeypatch.setattr(tqdm.std, "time", lambda: clock.now)
    return clock


def seconds_left(text):
    """What the bar said last."""
    told = re.findall(r"((?:\d+:)?\d+:\d+) left", text)[-1].split(":")
    return sum(int(part) * 60**place for place, part in enumerate(reversed(told)))


def run_bar(clock, bar, index, first, last, cost):
    for step in bar.steps("phase", index, first):
        clock.now += cost
        if step + 1 == last:
            return


@pytest.mark.parametrize("slower", [0.5, 1.0, 4.0])
def test_the_time_left_is_that_of_all_phases_at_the_pace_of_this_machine(clock, capsys, slower):
    seconds = [np.full(100, 1.0), np.concatenate([np.full(50, 2.0), np.full(40, 5.0)])]
    with RunBar(seconds, 0, 0, True) as bar:
        run_bar(clock, bar, 0, 0, 100, slower)
        assert seconds_left(capsys.readouterr().err) == pytest.approx(slower * 300, rel=0.05)
        run_bar(clock, bar, 1, 0, 50, slower * 2)
        assert seconds_left(capsys.readouterr().err) == pytest.approx(slower * 200, rel=0.05)
        run_bar(clock, bar, 1, 50, 70, slower * 5)
        assert seconds_left(capsys.readouterr().err) == pytest.approx(slower * 100, rel=0.1)


def test_a_run_that_goes_on_begins_its_bar_where_it_stopped(clock, capsys):
    seconds = [np.full(100, 1.0), np.full(100, 3.0)]
    with RunBar(seconds, 1, 50, True) as bar:
        assert "62%" in capsys.readouterr().err
        run_bar(clock, bar, 1, 50, 75, 3.0)
        assert seconds_left(capsys.readouterr().err) == pytest.approx(75, rel=0.05)


def expected(genie, request, config=CONFIG):
    legs = request.legs(genie, config)
    phases = [phase for leg in legs for phase in build_phases(genie, Noise(), leg)]
    seconds = expected_seconds(request, legs, phases)
    assert [len(each) for each in seconds] == [phase.steps for phase in phases]
    return seconds


def test_minutes_are_expected_to_be_spent_as_they_were_shared_out(genie):
    config = replace(CONFIG, shares=Shares(0.25, 0.35, 0.4))
    request = Request.of(genie, config, None, "", 10.0).decided((100, 50, 50, 30))
    tokenizer, world = expected(genie, request, config)
    assert tokenizer == pytest.approx(600 * 0.25 / 100)
    assert world[:50] == pytest.approx(600 * 0.35 / 50)
    assert world[50:] == pytest.approx(600 * 0.4 / 30)
    more = Request(request.what, request.lengths, (10.0, 15.0)).decided((10, 10, 10, 10))
    legs = expected(genie, more)
    assert sum(each.sum() for each in legs[:2]) == pytest.approx(600)
    assert sum(each.sum() for each in legs[2:]) == pytest.approx(300)


def test_of_steps_nobody_knows_how_long_they_take(genie):
    request = Request.of(genie, CONFIG, None, "")
    assert [each.tolist() for each in expected(genie, request)] == [[1.0] * 4, [1.0] * 6]
    mixed = Request(request.what, ((4, 4, 4, 4), (5, 5, 5, 5)), (10.0, None))
    assert all((each == 1).all() for each in expected(genie, mixed))


def test_the_bar_of_a_run_comes_to_its_end(make_genie, tmp_path, capsys):
    trainer.train(make_genie(), Noise(), CONFIG, tmp_path, progress=True)
    assert "world 6/6: 100%" in capsys.readouterr().err
