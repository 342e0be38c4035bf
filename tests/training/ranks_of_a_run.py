"""Trainings in two processes on this machine, as `torchrun` would start them: how the processes are
started, and what each does. Spawned processes import this; it is no test.
"""

import errno
import itertools
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from short_runs import CONFIG, Noise
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.training import budget, checkpoint
from genie_mini.training.request import Request
from genie_mini.training.sharded_checkpoint import torch_has_parts
from genie_mini.training.trainer import Interrupted, train

RANKS = 2
NOTHING = {
    "tokenizer_steps": 0,
    "latent_action_steps": 0,
    "latent_action_pretraining_steps": 0,
    "dynamics_steps": 0,
}
# Each phase alone, so that no number of one is rounded otherwise because of another. Codes that
# nobody chooses move; latent actions are soft, then spread anew and settled; clips are short and
# long; guesses rest on guesses, and moments of standing still are told under other actions.
PHASES = {
    "tokenizer": NOTHING | {"tokenizer_steps": 4},
    "patches": NOTHING | {"tokenizer_steps": 2},
    "latent actions": NOTHING
    | {
        "latent_action_steps": 6,
        "latent_action_pretraining_steps": 6,
        "latent_action_restarts": ((0.5, 0.0), (0.5, 1.0)),
        # Adam's first steps are as long for a gradient that is nothing but rounding.
        "latent_action_lr": 1e-4,
    },
    "dynamics": NOTHING | {"dynamics_steps": 4, "guess_depth": 2},
}
# The same work, divided in different ways.
WAYS = {
    "copies": {},
    "shards": {"shards": RANKS, "activation_checkpointing": True, "gradient_accumulation": 2},
}
PLAN = {
    "batch_size": 4,
    "tokenizer_steps": 2,
    "latent_action_steps": 2,
    "latent_action_pretraining_steps": 2,
    "dynamics_steps": 4,
}
MINUTES, SLOWER = 100.0, 3.0  # seconds of a step on the second rank; a second on the first
STOP = 4  # steps of it before something happens to it: from there on the dynamics model learns


def everything_genie(seed, codebook):
    """A tiny Genie with all that some preset has. No weight is zero: where all codes draw the same
    picture, rounding would choose among them.
    """
    tiny = tiny_genie(seed, codebook, keeps_detail=True)
    latent_action = replace(tiny.config.latent_action, sees_surprise=True)
    genie = Genie(replace(tiny.config, latent_action=latent_action)).eval()
    genie.tokenizer.load_state_dict(tiny.tokenizer.state_dict())
    for weight in genie.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return genie


def run(folder, event=None, seed=0, codebook="learnt", **changes):
    """Train a tiny Genie in this process, or in its share; at the step `STOP` there is an event."""
    config = replace(CONFIG, **(PLAN | changes))
    genie = everything_genie(seed, codebook)
    # In front of a normalisation these have no gradient but what rounding leaves of it. Adam makes
    # steps of any length out of that, and the statistics of play, which lag behind, see them.
    for network in (genie.tokenizer, genie.latent_action_model):
        if hasattr(network, "to_code"):
            network.to_code.bias.requires_grad_(False)
    videos = Noise(STOP if event else None, event, size=32)
    train(genie, videos, config, Path(folder), progress=False)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def tear_next_write(then):
    """From now on what this process writes is on the disk by half when something happens."""
    sync = os.fsync

    def torn(file):
        os.ftruncate(file, os.fstat(file).st_size // 2)
        os.fsync = sync
        then()

    os.fsync = torn


def no_room():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def of_second_rank(event):
    """An event that only one of the processes knows of."""
    return event if dist.get_rank() == 1 else lambda: None


def folder_of(root, name):
    """The folder of a run; only the first rank is told the right one."""
    return f"{root}/{name}" if dist.get_rank() == 0 else f"{root}/elsewhere/{name}"


def killed_run(root):
    """One of the processes is killed, while both write a checkpoint if this torch has parts."""
    event = (lambda: tear_next_write(die)) if torch_has_parts() else die
    changes = {"shards": RANKS, "checkpoint_seconds": 0}
    run(folder_of(root, "killed"), of_second_rank(event), **changes)


def all_runs(root):
    """Everything that the tests look at, in one start of the processes."""
    for (phase, changes), (way, division) in itertools.product(PHASES.items(), WAYS.items()):
        codebook = "patches" if phase == "patches" else "learnt"
        run(folder_of(root, f"{phase}, {way}"), codebook=codebook, **changes, **division)
    run(folder_of(root, "whole"))
    run(folder_of(root, "whole in shards"), shards=RANKS)
    run(folder_of(root, "killed"), seed=9, shards=RANKS)
    with older_torch():
        run(folder_of(root, "of one"), seed=9, shards=RANKS)
    told = [
        failure(run, folder_of(root, "stopped"), of_second_rank(ctrl_c), shards=RANKS),
        failure(run, folder_of(root, "odd"), batch_size=3, short_share=0.0),
        failure(run, folder_of(root, "three"), shards=3),
        failure(run, folder_of(root, "odd later"), dynamics_batch_size=3),
    ]
    if torch_has_parts():
        event = of_second_rank(lambda: tear_next_write(no_room))
        changes = {"shards": RANKS, "checkpoint_seconds": 0}
        told.append(failure(run, folder_of(root, "full"), event, **changes))
        run(folder_of(root, "full"), seed=9)
    return told, steps_of_minutes()


@contextmanager
def older_torch():
    """A torch that cannot write a checkpoint in parts."""
    real, checkpoint.torch_has_parts = checkpoint.torch_has_parts, lambda: False
    yield
    checkpoint.torch_has_parts = real


def failure(function, *arguments, **more):
    """What a call fails with on each rank."""
    try:
        function(*arguments, **more)
    except (GenieError, Interrupted) as error:
        told = f"{type(error).__name__}: {error}"
    else:
        told = "no error"
    return of_all_ranks(told)


def of_all_ranks(value):
    values = [None] * RANKS
    dist.all_gather_object(values, value)
    return values


def steps_of_minutes():
    """How many steps are decided on each rank, where one takes the second rank longer."""
    ticks = itertools.count(0.0, SLOWER if dist.get_rank() else 1.0)
    genie, real = tiny_genie(), budget.time
    wish = Request.of(genie, CONFIG, None, "", MINUTES)
    budget.time = SimpleNamespace(monotonic=lambda: next(ticks))
    try:
        request = budget.decide_steps(wish, genie, Noise(size=32), CONFIG, progress=False)
    finally:
        budget.time = real
    return of_all_ranks(request.lengths)


def on_ranks(function, folder):
    """Run a function in as many processes, which know each other; what the first one returns."""
    multiprocessing.spawn(_one_rank, (function, str(folder)), nprocs=RANKS)
    return torch.load(f"{folder}/result", weights_only=True)


def _one_rank(rank, function, folder):
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store of {function.__name__}", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    try:
        result = function(folder)
        if rank == 0:
            torch.save(result, f"{folder}/result")
    finally:
        dist.destroy_process_group()
