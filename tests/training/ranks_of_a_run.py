"""Trainings in two processes on this machine, as `torchrun` would start them: what each process
does, and how several of them are started. Spawned processes import this; it is no test.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from short_runs import CONFIG, Noise
from tiny import tiny_genie

from genie_mini.training.trainer import Interrupted, train

RANKS = 2
# Latent actions that are soft, then decided, then settled after their codes were spread anew; dead
# codes that move; clips of several lengths.
PLAN = replace(
    CONFIG,
    tokenizer_steps=4,
    latent_action_steps=6,
    latent_action_pretraining_steps=4,
    latent_action_restarts=((0.5, 0.0), (0.5, 1.0)),
    dynamics_steps=4,
)


def on_ranks(function, *arguments):
    """Run a function in as many processes, which know each other; what the first one returns."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_one_rank, (function, arguments, folder), nprocs=RANKS)
        return torch.load(f"{folder}/result", weights_only=True)


def _one_rank(rank, function, arguments, folder):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(RANKS)}
    store = dist.FileStore(f"{folder}/store", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    try:
        result = function(*arguments)
        if rank == 0:
            torch.save(result, f"{folder}/result")
    finally:
        dist.destroy_process_group()


def run(folder, codebook="learnt", at=None, event=None, seed=0, **changes):
    """Train the tiny Genie in this process, or in its share."""
    genie = tiny_genie(seed, codebook)
    config = replace(PLAN, **changes)
    train(genie, Noise(at, event, size=32), config, Path(folder), progress=False)
