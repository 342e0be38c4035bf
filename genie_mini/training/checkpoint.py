"""What a training run writes down: the losses of each step, and all it needs to go on after
a stop.
"""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.files import write_atomic
from genie_mini.genie import Genie


def write_checkpoint(path: Path, genie: Genie, optimizer, phase: int, step: int) -> None:
    """Save all that is needed to go on: weights, the optimiser's averages, and where in which phase
    we are.
    """
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in genie.state_dict().items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()
            }
    write_atomic(path, safetensors.torch.save(tensors, {"phase": str(phase), "step": str(step)}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of a checkpoint, and its phase and step."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            where = {name: int((file.metadata() or {})[name]) for name in ("phase", "step")}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise GenieError(
            f"{path} is not a whole checkpoint ({error}); move it away to train from the beginning"
        ) from error
    return tensors, where


def restore(genie: Genie, optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    """Bring networks and optimiser back to the state of a checkpoint."""
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    try:
        genie.load_state_dict(weights)
    except RuntimeError as error:
        raise GenieError(
            f"{path} belongs to a Genie of another shape: give another folder, or the preset it had"
        ) from error
    if optimizer is None:
        return
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    content = optimizer.state_dict()
    content["state"] = state
    optimizer.load_state_dict(content)
