"""How fast four other open Genies are on this machine, at the sizes that speed.py calls "peers".

Each is timed by its own code, from a checkout outside this repository (TinyWorlds
AlmondGod/tinyworlds, Open-Genie myscience/open-genie, Jafar FLAIROx/jafar, Jasmine
p-doom/jasmine), in an environment with what it needs beside PyTorch, on an idle machine:

    OMP_NUM_THREADS=1 python benchmarks/peers.py tinyworlds CHECKOUT OUT.json

A training step is the peer's loss of four clips of 16 frames, its gradient and its AdamW, in
float32, on one core; a frame is its own sampling of 25 MaskGIT steps after 15 frames. Each has a
new process, whose first two steps warm up and tell the memory; then the median of three counts.
JAX's steps are compiled before. What cannot run has the error as its "why".
"""

import argparse
import ctypes
import importlib
import json
import os
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import torch
from machine import alone, commit, matrix_rate, most_held, once, processor

BATCH, FRAMES, SIZE, REPEATS, MASKGIT_STEPS = 4, 16, 64, 3, 25
WIDTH, FEEDFORWARD, BLOCKS, HEADS, CODES, ACTIONS, PATCH = 128, 512, 4, 4, 1024, 8, 4
LAM, FRAME = "latent_action_model", f"frame, {MASKGIT_STEPS} steps"
JUDGED = "tokenizer, GAN and VGG"  # of Open-Genie
NETWORKS = ["tokenizer", LAM, f"{LAM}, 16", "dynamics", FRAME]
INSIDE = "runs the frozen tokenizer and latent action model (patches of {}) in each step"
RECON = INSIDE.format(16) + ", and the tokenizer's decoder; recomputes activations"
AGAIN = dict.fromkeys(NETWORKS[:3], "recomputes activations of each block (remat)")
WHOLE = "tokenizes the 15 frames, samples, decodes {}"
# Which module drives a peer, and what its steps do beside what was asked.
PEERS = {
    "tinyworlds": ("peers_torch", {
        **dict.fromkeys(NETWORKS[:3], "eager, float32; its default is bfloat16, compiled"),
        "dynamics": INSIDE.format(4) + "; eager, float32; its default is bfloat16, compiled",
        FRAME: WHOLE.format(16) + "; sets at least 1/16 of the tokens a pass: 16 passes at most",
    }),
    "open-genie": ("peers_torch", {
        "tokenizer": "without its GAN and VGG losses; attention has no projections",
        JUDGED: "discriminator without attention (raises an error), VGG untrained",
        "dynamics": "given tokens and actions; attention has no projections; 3x3x3 convolutions",
        FRAME: WHOLE.format(16) + "; half of two clips: one clip raises an error",
    }),
    "jafar": ("peers_jax", AGAIN | {
        "dynamics": RECON,
        FRAME: WHOLE.format(1) + "; jitted here, not in its sample.py",
    }),
    "jasmine": ("peers_jax", AGAIN | {
        "dynamics": RECON + "; its default is bfloat16",
        FRAME: WHOLE.format(16) + "; jitted as in its validation (all its defaults: bfloat16)",
    }),
}  # fmt: skip
LIBRARIES = {"torch", "jax", "jaxlib", "flax", "optax", "lightning", "torchvision"}
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Work(NamedTuple):
    """What is timed: a function, the weights that it trains or samples with, clips at once."""

    run: Callable[[], object]
    parameters: int
    clips: int = 1


def patch_of(network: str) -> int:
    return 16 if network.endswith(", 16") else PATCH


def forget_peak() -> None:
    """The most that was held becomes what is held now (Linux): a compiler may have held more."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def row(peer: str, checkout: str, network: str) -> dict:
    """One measurement, in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.path.insert(0, checkout)
    try:
        module = importlib.import_module(PEERS[peer][0])
        work = getattr(module, peer.replace("-", "_"))(network)
        forget_peak()
        before = most_held()
        work.run()
        work.run()
        held = (most_held() - before) / 1e6
        taken = statistics.median(once(work.run) for _ in range(REPEATS))
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return {"network": network, "seconds": None, "MB": None, "why": why[:300]}
    return {
        "network": network,
        "seconds": taken / work.clips,
        "MB": held,
        "parameters": work.parameters,
        "why": None,
    }


def rate() -> float:
    """`matrix_rate` of one thread."""
    torch.set_num_threads(1)
    return matrix_rate()


def measure(peer: str, checkout: Path, networks: list[str], log=print) -> list[dict]:
    """The rows of a peer."""
    rows = []
    for network in networks:
        rows.append(alone(row, peer, str(checkout.resolve()), network))
        if network in PEERS[peer][1]:
            rows[-1]["note"] = PEERS[peer][1][network]
        log(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--only", action="append", help="a network; may be repeated")
    asked = parser.parse_args()
    os.environ["XLA_FLAGS"] = ONE_THREAD
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, here and in what it starts
    networks = asked.only or NETWORKS + ([JUDGED] if asked.peer == "open-genie" else [])
    words = [asked.peer, asked.checkout.name, asked.out.name]  # no folder of this machine
    versions = {found.name: found.version for found in distributions() if found.name in LIBRARIES}
    content = {
        "peer": asked.peer,
        "commit": commit(asked.checkout),
        "command": f"OMP_NUM_THREADS=1 python benchmarks/peers.py {' '.join(words)}",
        "code": commit(),
        "processor": processor(),
        "threads": 1,
        "versions": versions,
        "matrix GFLOP/s": alone(rate) / 1e9,
        "rows": measure(asked.peer, asked.checkout, networks),
    }
    asked.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
