"""How fast a world is played in Python, by PyTorch and by onnxruntime: frames a second of one world
at 8 and 4 MaskGIT steps, on one thread. On an idle machine, two minutes:

    OMP_NUM_THREADS=1 python benchmarks/play_engines.py
    OMP_NUM_THREADS=1 python benchmarks/play_engines.py --weights runs/mine

The engines take turns, so that what else the machine does meanwhile slows both; each number is the
median of its turns. The first call exports the Genie before it measures.
"""

import argparse
import itertools
import statistics
import time
from importlib.metadata import version

import torch
from machine import commit, processor

from genie_mini import Genie
from genie_mini.device import PLAY_THREADS, threads
from genie_mini.export import choose_engine

ENGINES = ("torch", "onnxruntime")
STEPS = (8, 4)  # MaskGIT steps of a frame
TURNS, FRAMES = 15, 20  # of each engine at each number of steps; frames of a turn


def play(session, steps: int, actions: list[int]) -> float:
    """Frames a second of a world that goes on by these actions."""
    began = time.perf_counter()
    for action in actions:
        session.step(action, steps)
    return len(actions) / (time.perf_counter() - began)


def measure(genie: Genie) -> dict[tuple[str, int], float]:
    """Frames a second by engine and MaskGIT steps."""
    size = genie.config.tokenizer.image_size
    prompt = torch.zeros(*size, 3)  # what there is to see makes no difference
    players = {engine: choose_engine(genie, engine) for engine in ENGINES}
    sessions = {
        (engine, steps): players[engine].play(prompt, seed=0)
        for engine, steps in itertools.product(ENGINES, STEPS)
    }
    window = [0] * genie.config.dynamics.context  # from then on every frame costs the same
    for (_, steps), session in sessions.items():
        play(session, steps, window)
    rates = {key: [] for key in sessions}
    for turn in range(TURNS):
        actions = [(turn + t) % genie.config.dynamics.num_actions for t in range(FRAMES)]
        for (engine, steps), session in sessions.items():
            rates[engine, steps].append(play(session, steps, actions))
    return {key: statistics.median(found) for key, found in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="mini", metavar="NAME|DIR")
    weights = parser.parse_args().weights
    print(f"{weights}, code of {commit()}, {processor()}")
    print(f"torch {torch.__version__}, onnxruntime {version('onnxruntime')}", flush=True)
    with threads(PLAY_THREADS):
        rates = measure(Genie.from_pretrained(weights))
    print(f"{'frames a second':24}" + "".join(f"{engine:>14}" for engine in ENGINES))
    for steps in STEPS:
        cells = "".join(f"{rates[engine, steps]:14.1f}" for engine in ENGINES)
        print(f"{f'{steps} MaskGIT steps':24}{cells}")


if __name__ == "__main__":
    main()
