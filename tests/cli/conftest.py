"""What the tests of the commands share: a Genie in a folder, and a training of a few seconds."""

from dataclasses import replace

import pytest
from tiny import tiny_genie

from genie_mini import cli
from genie_mini.genie import Genie
from genie_mini.training import patch_choice
from genie_mini.training.config import TRAINING_PRESETS


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    tiny_genie().save(folder)
    return folder


def make_training_small(patch):
    """A tiny Genie learns, and its preview, which takes longer than it, is no picture."""
    patch.setattr(Genie, "from_preset", lambda name: tiny_genie(seed=1))
    pocket = replace(TRAINING_PRESETS["pocket"], batch_size=1, num_frames=4)
    patch.setitem(TRAINING_PRESETS, "pocket", pocket)
    patch.setattr(cli.train, "draw_strip", lambda genie, learnt, *, film: b"a preview")
    # Whether patches will do is as plain in fewer clips, and each of the platformer's is filmed.
    patch.setattr(patch_choice, "_COUNTED", 256)
    patch.setattr(patch_choice, "_CHECKED", 64)


@pytest.fixture
def small_training(monkeypatch):
    make_training_small(monkeypatch)


@pytest.fixture(scope="session")
def train_small():
    """Train by these words, in a training of a few seconds."""

    def train(*words):
        with pytest.MonkeyPatch.context() as patch:
            make_training_small(patch)
            assert cli.main(["train", *words]) == 0

    return train


@pytest.fixture
def wrong(capsys):
    """Run a command that must fail; return the one line it writes."""
    from genie_mini.cli import main

    def run(*words):
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert line.startswith("genie-mini: ")
        return line

    return run
