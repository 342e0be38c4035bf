"""How fast this machine does what the book does: training steps, frames at play, clips from the
loader, the export. On an idle machine, about ten minutes on one core with AVX2:

    OMP_NUM_THREADS=1 python benchmarks/speed.py genie_mini/chapters/results/speed/NAME.json
    python benchmarks/speed_page.py

The second command makes the book's page of all tables that lie there, one a processor. A training
step stands beside the rate at which this machine multiplies matrices in the same minute, so that
tables of different machines can be compared. Sizes: `mini`, and those at which other people's
Genies were measured ("peers": 256 tokens a frame, width 128, 4 blocks, 4 heads, 1024 codes).
"""

import argparse
import functools
import itertools
import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from machine import CPU, REPEATS, alone, commit, matrix_rate, most_held, processor, seconds
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from genie_mini.data import PlatformerVideos
from genie_mini.device import computing_in, has_bf16
from genie_mini.export import export
from genie_mini.files import write_atomic
from genie_mini.genie import CLIP_FRAMES, Genie, in_windows
from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig
from genie_mini.presets import PRESETS, GenieConfig
from genie_mini.rollout import Rollout
from genie_mini.training.config import TRAINING_PRESETS
from genie_mini.training.preparation import prepare
from genie_mini.world import record

BATCH = 4  # clips of a training step
STEPS = (1, 4, 8, 25)  # MaskGIT steps of a frame


def peers(latent_patch: int = 4) -> GenieConfig:
    """The sizes at which other people's Genies were measured."""
    stack = STTransformerConfig(num_blocks=4, width=128, num_heads=4)
    return GenieConfig(
        TokenizerConfig((64, 64), 4, stack, stack, QuantizerConfig(1024)),
        LatentActionConfig((64, 64), latent_patch, stack, stack),
        DynamicsConfig((16, 16), 1024, stack),
    )


# One clip at a time, computed again where its gradients are (`--gradient-accumulation 4`); what is
# learnt is the same.
LESS_MEMORY = replace(TRAINING_PRESETS["mini"], gradient_accumulation=BATCH)
SETTINGS = PRESETS | {"peers": peers, "peers, 16": lambda: peers(latent_patch=16)}
# What is trained at which setting: the latent action model's patches are its own.
TRAININGS = [
    ("tokenizer", "mini"),
    ("latent_action_model", "mini"),
    ("dynamics", "mini"),
    ("tokenizer", "peers"),
    ("latent_action_model", "peers"),
    ("latent_action_model", "peers, 16"),
    ("dynamics", "peers"),
]


@functools.cache
def film(size: int, batch: int, num_frames: int) -> torch.Tensor:
    """Clips of the platformer."""
    return PlatformerVideos(size).batch(batch, num_frames, [0])


def training_step(
    genie: Genie,
    part: str,
    batch: int,
    precision: torch.dtype,
    num_frames: int = CLIP_FRAMES,
):
    """A function that takes one step of AdamW with one network on the same clips each time."""
    frames = film(genie.config.tokenizer.image_size[0], batch, num_frames).to(genie.device)
    genie.eval()
    if part == "dynamics":
        with torch.no_grad():
            tokens = in_windows(genie.tokenizer.encode, frames)
            actions = in_windows(genie.latent_action_model.infer, frames)
    module: nn.Module = getattr(genie, part).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def loss():
        if part == "dynamics":
            return genie.dynamics.loss(tokens, actions)["loss"]
        return module(frames)["loss"]

    def step():
        optimizer.zero_grad(set_to_none=True)
        with computing_in(precision, genie.device):
            value = loss()
        value.backward()
        optimizer.step()

    return step


def new_genie(setting: str, less_memory: bool = False) -> Genie:
    """Untrained, of a setting's sizes; the same each time."""
    torch.manual_seed(0)
    genie = Genie(SETTINGS[setting]())
    if less_memory:
        prepare(genie, LESS_MEMORY)
    return genie


def _raised_by_steps(part, setting, batch, precision, less_memory, count) -> int:
    torch.set_num_threads(count)
    step = training_step(new_genie(setting, less_memory), part, batch, precision)
    before = most_held()
    step()
    step()
    return most_held() - before


def memory_of_a_step(
    part: str, setting: str, batch: int, precision: torch.dtype, less_memory: bool = False
) -> int:
    """Bytes by which two steps raise the most that a process has held: a new one, whose memory
    nothing else has raised before.
    """
    count = torch.get_num_threads()
    return alone(_raised_by_steps, part, setting, batch, precision, less_memory, count)


class NoModules:
    """In place of the counter's record of which module computes what, which nobody asks here. It
    fails in a module that runs without gradients inside one that has them, as where the latent
    action model foresees a frame.
    """

    parents = frozenset({"Global"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def operations(step) -> int:
    """How many floating-point operations a call takes, in matrix products and attention."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = NoModules()  # type: ignore[assignment]
    with counter:
        step()
    return counter.get_total_flops()


def train_row(
    part: str,
    setting: str,
    precision: torch.dtype,
    batch: int = BATCH,
    less_memory: bool = False,
) -> dict:
    """A training step: time, what it computes, as a share of the machine's rate, and memory. What
    is computed again to save memory is not counted as computed.
    """
    step = training_step(new_genie(setting, less_memory), part, batch, precision)
    plain = training_step(new_genie(setting), part, batch, precision) if less_memory else step
    computed = operations(plain)
    taken, rate = seconds(step), matrix_rate()
    return {
        "network": part,
        "setting": setting,
        "precision": str(precision).removeprefix("torch."),
        "clips": batch,
        "less memory": less_memory,
        "seconds": taken,
        "GFLOP": computed / 1e9,
        "share of the matrix rate": computed / taken / rate,
        "MB": memory_of_a_step(part, setting, batch, precision, less_memory) / 1e6,
    }


def play_row(genie: Genie, setting: str, steps: int, worlds: int = 1) -> dict:
    """A frame at play, one world or several at once."""
    size = genie.config.tokenizer.image_size[0]
    frames = torch.from_numpy(record(worlds, CLIP_FRAMES, size=size)[0])
    rollout = Rollout(genie, frames[:, : CLIP_FRAMES - 1])
    actions = torch.zeros(worlds, dtype=torch.int64)
    taken = seconds(
        lambda: rollout.step(actions, maskgit_steps=steps), 2 * REPEATS, device=genie.device
    )
    rows, columns = genie.config.dynamics.grid
    return {
        "setting": setting,
        "tokens a frame": rows * columns,
        "MaskGIT steps": steps,
        "worlds": worlds,
        "seconds": taken,
        "frames a second": worlds / taken,
    }


@torch.no_grad()
def without_cache(genie: Genie, frames: torch.Tensor, maskgit_steps: int = 8) -> None:
    """What one frame costs where nothing is kept: every MaskGIT step runs the whole window."""
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    for _ in range(maskgit_steps):
        genie.dynamics(tokens, actions)
    genie.tokenizer.decode(tokens)


def other_rows() -> list[dict]:
    """The loader, a frame without a cache, and the export, with `mini`'s sizes."""
    videos, genie = PlatformerVideos(64), new_genie("mini").eval()
    clips = seconds(lambda: videos.batch(64, CLIP_FRAMES, [0]))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        export(genie, folder)
        exported = time.perf_counter() - began
    return [
        {"what": f"64 clips of {CLIP_FRAMES} frames of the platformer", "seconds": clips},
        {
            "what": "a frame of 8 MaskGIT steps without a cache",
            "seconds": seconds(lambda: without_cache(genie, film(64, 1, CLIP_FRAMES))),
        },
        {"what": "export as ONNX, three variants, checked", "seconds": exported},
    ]


def measure(log=print) -> dict:
    """All tables of this machine."""
    precisions = [torch.float32, *([torch.bfloat16] if has_bf16(CPU) else [])]
    training, play = [], []
    rate = matrix_rate()
    log(f"{rate / 1e9:.0f} GFLOP/s of float32 matrices", flush=True)
    for (part, setting), precision in itertools.product(TRAININGS, precisions):
        training.append(train_row(part, setting, precision))
        log(training[-1], flush=True)
    for part, setting in TRAININGS:
        if setting != "mini":
            training.append(train_row(part, setting, torch.float32, less_memory=True))
            log(training[-1], flush=True)
    for setting in ("mini", "peers"):
        genie = new_genie(setting).eval()
        for steps in STEPS:
            play.append(play_row(genie, setting, steps))
            log(play[-1], flush=True)
    play.append(play_row(new_genie("mini").eval(), "mini", 8, worlds=BATCH))
    return {"matrix GFLOP/s": rate / 1e9, "training": training, "play": play, "other": other_rows()}


def about(command: str, code: str = "") -> dict:
    """What made a table, and where; `code` is the commit, where git cannot tell it."""
    return {
        "command": command,
        "commit": code or commit(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "system": platform.platform(terse=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="NAME.json")
    out = parser.parse_args().out
    command = f"OMP_NUM_THREADS={torch.get_num_threads()} python benchmarks/speed.py {out}"
    content = about(command) | measure()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
