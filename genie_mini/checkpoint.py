"""What a training run writes down: the losses of each step, and all it needs to go on after a stop."""

import csv
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from genie_mini.genie import Genie, write_whole

LOG_COLUMNS = (
    "step", "seconds", "loss", "reconstruction", "quantizer", "stability", "codes",
    "latent_action", "actions", "dynamics", "accuracy",
)  # fmt: skip


def write_row(file, step, figures, seconds):
    """Append one line to a log, with a heading if it is the first."""
    writer = csv.DictWriter(file, LOG_COLUMNS, restval="")
    if file.tell() == 0:
        writer.writeheader()
    rounded = {name: f"{value:.6g}" for name, value in figures.items()}
    writer.writerow({"step": step, "seconds": f"{seconds:.1f}", **rounded})


def keep_rows(log: Path, steps: int) -> None:
    """Drop the lines of steps that were logged after the last checkpoint: they will be run again."""
    if log.exists():
        rows = log.read_text().splitlines(keepends=True)
        kept = rows[:1] + [row for row in rows[1:] if row.endswith("\n") and int(row.split(",")[0]) < steps]
        write_whole(log, "".join(kept).encode() if steps else b"")


def write_checkpoint(path: Path, genie: Genie, optimiser, phase: int, step: int) -> None:
    """Save all that is needed to go on: weights, the optimiser's averages, and where in which phase we are."""
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in genie.state_dict().items()}
    if optimiser is not None:
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write_whole(path, safetensors.torch.save(tensors, {"phase": str(phase), "step": str(step)}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of a checkpoint, and its phase and step."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            where = {name: int((file.metadata() or {})[name]) for name in ("phase", "step")}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not a whole checkpoint ({error}); move it away to train from the beginning") from error
    return tensors, where


def restore(genie: Genie, optimiser, tensors: dict[str, Tensor], path: Path) -> None:
    """Bring networks and optimiser back to the state of a checkpoint."""
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    try:
        genie.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path} belongs to a Genie of another shape: give another folder, or the preset it had") from error
    if optimiser is None:
        return
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    content = optimiser.state_dict()
    content["state"] = state
    optimiser.load_state_dict(content)
