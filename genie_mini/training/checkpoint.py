"""All that a training run needs to go on after a stop, as one safetensors file."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.files import check_finite, check_tensors, write_atomic
from genie_mini.genie import Genie
from genie_mini.training.distributed import (
    divided_like,
    is_first,
    load_whole_state,
    on_first,
    whole_average,
    whole_state,
)
from genie_mini.training.request import Request


def write_checkpoint(
    path: Path,
    genie: Genie,
    optimizer: torch.optim.Optimizer | None,
    phase: int,
    step: int,
    request: Request,
) -> None:
    """Save all that is needed to go on: weights, the optimizer's averages, where in which phase we
    are, and what the run was asked for.

    Where several processes train, all of them call it, and the first one writes the same file that
    one process would.

    Raises:
        GenieError: a tensor holds NaN or infinity; the file stays as it was.
    """
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in whole_state(genie).items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                average = whole_average(value)
                if is_first():  # the others need no memory for it
                    tensors[f"optimizer.{index}.{name}"] = average
    notes = {"phase": str(phase), "step": str(step), "request": request.to_json()}

    def write():
        check_finite(tensors, path)
        write_atomic(path, safetensors.torch.save(tensors, notes))

    on_first(write)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of a checkpoint, and its phase and step. The file is closed again: a mapped one
    could not be replaced on Windows.

    Raises:
        GenieError: it is no whole checkpoint, or holds NaN or infinity.
    """
    _, where = read_notes(path)
    try:
        tensors = safetensors.torch.load(path.read_bytes())
    except (safetensors.SafetensorError, OSError) as error:
        raise _broken(path, error) from error
    check_finite(tensors, path)
    return tensors, where


def read_notes(path: Path) -> tuple[Request, dict[str, int]]:
    """What the run of a checkpoint was asked for, and the phase and step that it had come to.

    Raises:
        GenieError: it is no whole checkpoint.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
        where = {name: int(notes[name]) for name in ("phase", "step")}
        if min(where.values()) < 0:
            raise ValueError(f"{where} is nowhere")
        return Request.from_json(notes["request"]), where
    except (
        *(safetensors.SafetensorError, OSError),
        *(ValueError, TypeError, KeyError, RecursionError),
    ) as error:
        raise _broken(path, error) from error


def _broken(path, error):
    return GenieError(
        f"{path} is not a whole checkpoint ({error}); move it away, with the logs beside it, to "
        "train from the beginning"
    )


def restore(
    genie: Genie,
    optimizer: torch.optim.Optimizer | None,
    tensors: dict[str, Tensor],
    path: Path,
) -> None:
    """Bring networks and optimizer back to the state of a checkpoint, those of all processes that
    train together.

    Args:
        genie, optimizer: to be filled.
        tensors: of the checkpoint; only the first process needs to have them.
        path: of the checkpoint, for the messages.

    Raises:
        GenieError: its tensors are those of other networks.
    """
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    on_first(lambda: check_tensors(genie, weights, path))
    load_whole_state(genie, weights)
    if optimizer is None:
        return
    averages: dict[int, dict[str, Tensor]] = {}
    weights_of = [weight for group in optimizer.param_groups for weight in group["params"]]
    # As often as each weight has learnt: what the other processes must know of the checkpoint.
    steps = on_first(lambda: _read_averages(weights_of, tensors, path, averages))
    content = optimizer.state_dict()
    content["state"] = {
        index: {
            "step": step,
            **{
                key: divided_like(weights_of[index], averages.get(index, {}).get(key))
                for key in ("exp_avg", "exp_avg_sq")
            },
        }
        for index, step in steps.items()
    }
    optimizer.load_state_dict(content)


def _read_averages(weights, tensors, path, state):
    """Put the averages of each weight that has learnt into `state`, by its number; returns the
    number of its steps, likewise.
    """
    for index, weight in enumerate(weights):
        shapes = {"step": (), "exp_avg": weight.shape, "exp_avg_sq": weight.shape}
        found = {key: tensors.get(f"optimizer.{index}.{key}") for key in shapes}
        if all(average is None for average in found.values()):
            continue  # a weight that has not learnt yet
        for key, average in found.items():
            if average is None or average.shape != shapes[key]:
                raise GenieError(f"{path} holds averages of other weights: optimizer.{index}.{key}")
        state[index] = found
    return {index: found["step"] for index, found in state.items()}
