"""What is kept of a training is scored as it was, part by part, and put on one clock."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.run_log import write_row
from genie_mini.studies import watched_training
from genie_mini.studies.training_timeline import Timeline
from genie_mini.studies.watched_training import (
    ROWS,
    SHOWN,
    Moment,
    begun_parts,
    name_actions,
    read_moment,
    real_rows,
    score_moment,
    sprite,
    unpack_sprite,
)
from genie_mini.training.checkpoint import write_checkpoint
from genie_mini.training.config import TrainingConfig
from genie_mini.training.request import Request

CONFIG = TrainingConfig(
    tokenizer_steps=2,
    latent_action_steps=4,
    latent_action_pretraining_steps=3,
    latent_action_restarts=((0.5, 0.0), (0.5, 1.0)),
    dynamics_steps=2,
)


def request(genie, origin="preset pocket", config=CONFIG):
    return Request.of(genie, config, None, origin)


@pytest.fixture
def few_clips(monkeypatch):
    """Less to score than usual."""
    for name, number in (("_SCORED", 3), ("_ROLLOUTS", 2)):
        monkeypatch.setattr(watched_training, name, number)
    cached = ("held_out_clips", "held_out_films", "_of_real_films")
    for name in cached:
        getattr(watched_training, name).cache_clear()
    yield
    for name in cached:
        getattr(watched_training, name).cache_clear()


@pytest.mark.parametrize(
    "phase, step, begun",
    [
        (0, 0, set()),
        (0, 1, {"tokenizer"}),
        (1, 0, {"tokenizer"}),
        (1, 1, {"tokenizer", "latent_action_model"}),
        (1, 3, {"tokenizer", "latent_action_model"}),
        (1, 4, {"tokenizer", "latent_action_model", "dynamics"}),
        (2, 0, {"tokenizer", "latent_action_model", "dynamics"}),
    ],
)
def test_a_part_has_begun_after_its_first_step(phase, step, begun):
    assert begun_parts(request(tiny_genie()), phase, step) == begun


def test_patches_are_counted_and_what_was_trained_before_has_begun():
    assert begun_parts(request(tiny_genie(codebook="patches")), 0, 0) == {"tokenizer"}
    trained = request(tiny_genie(), "weights of SHA-256 01234567")
    assert len(begun_parts(trained, 0, 0)) == 3


def test_a_moment_is_the_genie_of_its_checkpoint(tmp_path):
    genie = tiny_genie(seed=3, codebook="patches", keeps_detail=True)
    write_checkpoint(tmp_path / "moment", genie, None, 1, 2, request(genie))
    moment = read_moment(tmp_path / "moment")
    assert (moment.phase, moment.step) == (1, 2) and not moment.genie.training
    assert moment.genie.config == genie.config
    assert moment.begun == {"tokenizer", "latent_action_model"}
    for name, tensor in genie.state_dict().items():
        assert tensor.equal(moment.genie.state_dict()[name])


def test_a_training_that_was_asked_for_more_is_refused():
    more = replace(CONFIG, dynamics_steps=5)
    asked = request(tiny_genie()).goes_on_as(request(tiny_genie(), config=more), "checkpoint")
    with pytest.raises(GenieError, match="asked for more later"):
        begun_parts(asked, 1, 0)


def test_each_part_is_scored_from_when_it_has_begun(few_clips):
    genie, found = tiny_genie(), {}
    for begun in ((), ("tokenizer",), ("tokenizer", "latent_action_model", "dynamics")):
        scores, counts, drawn = score_moment(Moment(genie, 1, 1, frozenset(begun)))
        assert drawn.shape == (2, len(ROWS), len(SHOWN), 32, 32, 3)
        absent = [bool((drawn[:, row] == drawn[0, row, 0, 0, 0, 0]).all()) for row in range(2)]
        assert absent == ["tokenizer" not in begun, "dynamics" not in begun]
        assert (counts is None) == (len(begun) < 2)
        found[len(begun)] = [score.name for score in scores]
    assert found[0] == [] and found[1] == ["tokenizer PSNR"]
    assert found[3] == [
        "tokenizer PSNR",
        "action map, visible actions",
        "delta PSNR at t = 4",
        "next frame above repeating the last",
        "exactly one player in a roll-out of 32 frames",
        "rules obeyed in a roll-out of 32 frames",
    ]


def test_the_real_frames_pass_the_tests_of_roll_outs(few_clips):
    films = watched_training.held_out_films(32)
    for score in watched_training.rollout_scores(films[:, -watched_training.DREAMT :]):
        assert score.value == score.best > 0.8


def test_the_names_of_codes_do_not_matter(few_clips):
    _, truth = watched_training.held_out_clips(32)
    actions = torch.from_numpy(truth.actions)
    score, counts = name_actions(actions, truth, 8)
    assert score.value == 1.0 > score.chance
    assert np.array_equal(counts, np.diag(np.diag(counts)))
    renamed, moved = name_actions((actions + 3) % 8, truth, 8)
    assert renamed == score and np.array_equal(moved, np.roll(counts, 3, axis=0))
    nothing, _ = name_actions(torch.zeros_like(actions), truth, 8)
    assert nothing.value <= nothing.chance


def test_pictures_come_out_of_their_file_as_they_went_in(few_clips, tmp_path):
    real = real_rows(32).numpy()
    drawn = [np.stack([real, 255 - real], axis=1), np.stack([255 - real, real], axis=1)]
    (tmp_path / "pictures.png").write_bytes(sprite(real, drawn))
    read, moments = unpack_sprite(tmp_path / "pictures.png", len(ROWS), len(SHOWN))
    assert np.abs(255 * read - real).mean() < 4
    assert moments.shape == (2, 2, len(ROWS), len(SHOWN), 32, 32, 3)
    assert np.abs(255 * moments - np.stack(drawn)).mean() < 4


def write_logs(folder, logs):
    for name, rows in logs.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            for step, (seconds, metrics) in enumerate(rows):
                write_row(file, step, metrics, seconds)


def test_one_clock_for_both_phases_and_a_stop(tmp_path):
    logs = {
        "tokenizer": [(60, {"reconstruction": 0.5}), (120, {"reconstruction": 0.25})],
        "world": [
            (60, {"latent_action": 3.0}),
            (120, {"latent_action": 2.0}),
            (60, {"latent_action": 1.0}),  # the run went on after a stop
            (120, {"latent_action": 0.0, "dynamics": 7.0}),
            (180, {"dynamics": 6.0}),
        ],
    }
    write_logs(tmp_path, logs)
    line = Timeline.of(tmp_path, request(tiny_genie()))
    assert [line.minute(*at) for at in ((0, 0), (0, 2), (1, 0), (1, 3), (2, 0))] == [0, 2, 2, 5, 7]
    assert line.end == 7 and line.restarts == [4]
    assert line.stretches == {
        "tokenizer": {"first": 0, "steps": 2, "asked": 2, "minutes": 2},
        "latent actions": {"first": 2, "steps": 4, "asked": 4, "minutes": 4},
        "dynamics": {"first": 5, "steps": 2, "asked": 2, "minutes": 2},
    }
    assert line.curves() == {
        "dynamics": ([5, 6], [7, 6]),
        "latent_action": ([2, 3, 4, 5], [3, 2, 1, 0]),
        "reconstruction": ([0, 1], [0.5, 0.25]),
    }


def test_a_run_that_was_stopped_tells_what_it_has_done(tmp_path):
    write_logs(tmp_path, {"tokenizer": [(60, {}), (120, {})], "world": [(60, {})]})
    line = Timeline.of(tmp_path, request(tiny_genie()))
    assert (
        line.end == 3
        and line.restarts == []
        and set(line.stretches)
        == {
            "tokenizer",
            "latent actions",
        }
    )
    assert line.stretches["latent actions"] == {
        "first": 2,
        "steps": 1,
        "asked": 4,
        "minutes": 1,
    }
