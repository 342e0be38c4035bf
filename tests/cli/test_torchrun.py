"""Several processes, one command: what they write and say is what one would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist

from genie_mini import cli
from genie_mini.cli import main
from genie_mini.genie import Genie
from genie_mini.training.distributed import ToldElsewhere

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo"
)
def test_torchrun_trains_one_genie_in_two_processes(tmp_path):
    clips = np.random.default_rng(0).integers(256, size=(3, 4, 32, 32, 3))
    np.save(tmp_path / "clips.npy", clips.astype(np.uint8))
    words = ["train", "--data", "clips.npy", "--tokenizer", "learnt", "--steps", "1"]
    words += ["--shards", "2", "--device", "cpu", "--out", "run"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *torchrun, str(TESTS / "cli" / "small_command.py"), *words],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["trained; play it with `genie-mini play --weights run`"]
    assert Genie.from_pretrained(tmp_path / "run").config.tokenizer.image_size == (32, 32)
    assert len((tmp_path / "run" / "tokenizer.csv").read_text().splitlines()) == 1 + 1
    assert len(list((tmp_path / "run" / "prompts").iterdir())) == 6


def test_a_process_keeps_still_about_what_the_first_one_tells(monkeypatch, capsys):
    def fail(arguments):
        raise ToldElsewhere("no room")

    monkeypatch.setattr(cli.train, "run", fail)
    assert main(["train", "--out", "run"]) == 2
    assert capsys.readouterr().err == ""
