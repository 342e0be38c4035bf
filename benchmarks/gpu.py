"""How fast a GPU does what the book does: training steps of `mini` and `coinrun`, with and without
torch.compile, and frames at play. On an idle machine, about two minutes on an H100:

    python benchmarks/gpu.py genie_mini/chapters/results/speed/gpu-NAME.json
    python benchmarks/speed_page.py

What is to be known first is measured first, and the table is written after every row: no row is
begun after `--seconds`. Where a GPU is lent for less time, `--rows` names those that matter. A row
that fails says so in the table and the next one is measured. To see on any machine that all of it
runs, with the sizes of `pocket` and two clips (add `--trial`):

    OMP_NUM_THREADS=1 python benchmarks/gpu.py --trial --device cpu trial.json
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import speed
import torch
from machine import matrix_rate, once, processor, seconds

from genie_mini.data import PlatformerVideos
from genie_mini.device import DEVICES, choose_device, choose_precision
from genie_mini.files import write_atomic
from genie_mini.genie import CLIP_FRAMES, Genie
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.training.budget import time_steps
from genie_mini.training.config import TRAINING_PRESETS
from genie_mini.training.preparation import prepare

# What NVIDIA's data sheets call the rate of dense bfloat16 products, TFLOP/s, by how the driver
# names the card: that of the SXM module, not of the cards for PCIe.
PUBLISHED = {"NVIDIA H100 80GB HBM3": 989.0, "NVIDIA H200": 989.0}
FEWEST = 4  # clips of a step, where memory is too small for more
LONGEST_MESSAGE = 500  # of a failure, characters


@dataclass(frozen=True)
class Step:
    """A training step to be measured.

    Attributes:
        network, setting: what is trained, at which sizes.
        clips, frames: of a step; fewer clips where the memory is too small for them.
        compiled, recompute: how the blocks compute; see `TrainingConfig`.
    """

    network: str
    setting: str
    clips: int
    frames: int = CLIP_FRAMES
    compiled: bool = False
    recompute: bool = False


STEPS = [
    Step("dynamics", "mini", 64, frames=64),
    Step("dynamics", "coinrun", TRAINING_PRESETS["coinrun"].batch_size),
    Step("tokenizer", "coinrun", TRAINING_PRESETS["coinrun"].batch_size),
    Step("latent_action_model", "coinrun", TRAINING_PRESETS["coinrun"].batch_size),
    Step("dynamics", "mini", 64),
    Step("tokenizer", "mini", 64),
    Step("latent_action_model", "mini", 64),
]
# All clips of the paper's batch at once.
LARGE = replace(STEPS[1], recompute=True)
PLAYS = [("mini", 1), ("mini", 64), ("coinrun", 1)]  # at which setting, how many worlds
SCHEDULE = "mini"  # the preset whose training is counted in minutes


def new_genie(setting: str, device: torch.device) -> Genie:
    """An untrained Genie, made on the device: on the CPU the large ones take seconds. What the one
    before it took is free again.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with device:
        return speed.new_genie(setting)


def timed_step(step: Step, device: torch.device, precision: torch.dtype) -> dict:
    """What a step takes; of one that computes as written, what it computes too."""
    torch.compiler.reset()  # or another number of clips would be translated for any number
    genie = new_genie(step.setting, device)
    run = speed.training_step(genie, step.network, step.clips, precision, step.frames)
    config = TRAINING_PRESETS[step.setting]
    prepare(genie, replace(config, compile=step.compiled, activation_checkpointing=step.recompute))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    row = asdict(step) | {"precision": str(precision).removeprefix("torch.")}
    if not step.compiled and not step.recompute:
        row["TFLOP a clip"] = speed.operations(run) / 1e12 / step.clips
    if step.compiled:
        row["first step, seconds"] = once(run, device)
    row["seconds"] = seconds(run, device=device)
    if device.type == "cuda":
        row["GB"] = torch.cuda.max_memory_allocated() / 1e9
    return row


def in_memory(step: Step, device: torch.device, precision: torch.dtype) -> dict:
    """As `timed_step`, with as many of the clips, halved and halved again, as memory holds."""
    try:
        return timed_step(step, device, precision)
    except torch.OutOfMemoryError:
        if step.clips // 2 < FEWEST:
            raise
    # Only here is that free which the exception held.
    return in_memory(replace(step, clips=step.clips // 2), device, precision)


def same(row: dict, step: Step, *names: str) -> bool:
    """Whether a row that has been measured agrees with a step in these."""
    return "failed" not in row and all(row[name] == getattr(step, name) for name in names)


def train_row(step: Step, content: dict, device: torch.device) -> dict:
    """A training step beside the machine's rate, and beside the same step before it was compiled.

    What it computes is what it would without recomputing, so that a share counts useful work.
    """
    precision, rows = choose_precision("auto", device), content["training"]
    what = ("network", "setting", "frames")
    plain = replace(step, compiled=False)
    eager = [row for row in rows if same(row, plain, *what, "recompute", "compiled")]
    eager = eager if step.compiled else []
    begin = replace(step, clips=eager[-1]["clips"]) if eager else step  # as many as it had
    row = in_memory(begin, device, precision) | {"clips asked": step.clips}
    row["clips a second"] = row["clips"] / row["seconds"]
    counts = [
        r["TFLOP a clip"] for r in [*rows, row] if "TFLOP a clip" in r and same(r, step, *what)
    ]
    if counts:
        row["TFLOP"] = counts[-1] * row["clips"]
        rate = row["TFLOP"] / row["seconds"]
        row["share of the matrix rate"] = rate / content["matrix TFLOP/s"][row["precision"]]
        if content["published TFLOP/s"] and precision == torch.bfloat16:
            row["share of the published rate"] = rate / content["published TFLOP/s"]
    if eager and eager[-1]["clips"] == row["clips"]:
        row["gain"] = eager[-1]["seconds"] / row["seconds"]
    return row


def play_row(setting: str, worlds: int, device: torch.device) -> dict:
    """A frame at play."""
    return speed.play_row(new_genie(setting, device).eval(), setting, PLAY_MASKGIT_STEPS, worlds)


def schedule_row(preset: str, device: torch.device) -> dict:
    """What the training of a preset would take, as `genie-mini train` has it, clips included."""
    config, genie = TRAINING_PRESETS[preset], new_genie(preset, device)
    size = genie.config.tokenizer.image_size[0]
    times = time_steps(genie, PlatformerVideos(size), config)
    steps = (config.tokenizer_steps, config.latent_action_steps, config.dynamics_steps)
    minutes = [count * one / 60 for count, one in zip(steps, times, strict=True)]
    return {"steps": steps, "seconds a step": times, "minutes": minutes}


Job = tuple[str, dict, Callable[[], dict]]  # of which table, what is measured, and how


def jobs(content: dict, device: torch.device, trial: bool) -> Iterator[Job]:
    """All rows, the most important first."""

    def sized(setting: str) -> str:
        return "pocket" if trial else setting

    def training(steps: list[Step]) -> Iterator[Job]:
        for step, compiled in product(steps, (False, True)):
            step = replace(step, setting=sized(step.setting), compiled=compiled)
            step = replace(step, clips=2) if trial else step
            yield "training", asdict(step), partial(train_row, step, content, device)

    yield from training(STEPS[:4])
    what = {"preset": sized(SCHEDULE)}
    yield "schedule", what, partial(schedule_row, sized(SCHEDULE), device)
    yield from training(STEPS[4:])
    for setting, worlds in PLAYS:
        what = {"setting": sized(setting), "worlds": worlds}
        yield "play", what, partial(play_row, sized(setting), worlds, device)
    yield from training([LARGE])


def chosen(wanted: Iterable[Job], rows: list[int] | None) -> list[Job]:
    """Those of these numbers, counted from 1, in their order; with None all."""
    every = list(wanted)
    return every if rows is None else [every[row - 1] for row in rows]


def measure(content: dict, wanted: Iterable[Job], last: float, save) -> None:
    """Fill the tables, saving each row; those not begun before the time `last` are left out."""
    for table, what, row in wanted:
        if time.monotonic() > last:
            content["left out"].append(what)
            continue
        began = time.monotonic()
        try:
            done = what | row()
        except Exception as error:  # whatever it is: a lent GPU may not be had again for the rest
            message = f"{type(error).__name__}: {error}"
            done = what | {"failed": message[:LONGEST_MESSAGE]}
        content[table].append(done | {"seconds to measure": time.monotonic() - began})
        print(content[table][-1], flush=True)
        save()
    save()


def machine(device: torch.device) -> dict:
    """The device, and how fast it multiplies matrices."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    rates = {
        str(dtype).removeprefix("torch."): matrix_rate(dtype, device) / 1e12
        for dtype in dict.fromkeys([torch.float32, choose_precision("auto", device)])
    }
    return {"gpu": name, "matrix TFLOP/s": rates, "published TFLOP/s": PUBLISHED.get(name)}


def main() -> None:
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="gpu-NAME.json")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which no row is begun")
    parser.add_argument("--trial", action="store_true", help="sizes of pocket, two clips")
    parser.add_argument("--rows", type=int, nargs="+", help="only these of `jobs`, counted from 1")
    parser.add_argument("--commit", default="", help="of the code, where it lies without git")
    options = parser.parse_args()
    device = choose_device(options.device)
    told = f" --rows {' '.join(map(str, options.rows))}" if options.rows else ""
    command = f"python benchmarks/gpu.py{told} --seconds {options.seconds:g} {options.out}"
    content = speed.about(command, options.commit) | machine(device)
    content |= {"training": [], "schedule": [], "play": [], "left out": []}
    print(content, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)

    def save():
        write_atomic(options.out, json.dumps(content, indent=1).encode() + b"\n")

    wanted = chosen(jobs(content, device, options.trial), options.rows)
    measure(content, wanted, began + options.seconds, save)


if __name__ == "__main__":
    main()
