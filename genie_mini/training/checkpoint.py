"""All that a training run needs to go on after a stop: a safetensors file, and, where the networks
are divided, parts beside it.
"""

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
    is_divided,
    is_first,
    load_own_state,
    load_whole_state,
    on_first,
    own_state,
    whole_average,
    whole_state,
)
from genie_mini.training.request import Request
from genie_mini.training.sharded_checkpoint import (
    check_parts,
    find_parts,
    parts_folder,
    read_parts,
    remove_parts,
    torch_has_parts,
    write_parts,
)

_AVERAGES = ("exp_avg", "exp_avg_sq")  # of a weight's gradient and its square, as AdamW keeps them


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
    one process would. Where the networks are divided among them and torch can (2.9), each writes a
    part of weights and averages beside it (`genie_mini.training.sharded_checkpoint`).

    Raises:
        GenieError: a tensor holds NaN or infinity, or a part cannot be written; the checkpoint
            stays as it was.
    """
    state = {} if optimizer is None else optimizer.state_dict()["state"]
    notes = {"phase": str(phase), "step": str(step), "request": request.to_json()}
    if is_divided(genie) and torch_has_parts():
        tensors = _named({}, _only(state, "step"))
        notes["parts"] = write_parts(path, _named(own_state(genie), _only(state, *_AVERAGES)))
    else:
        tensors = {
            name: tensor.contiguous() for name, tensor in _named(whole_state(genie), {}).items()
        }
        for name, value in _named({}, state).items():
            average = whole_average(value)
            if is_first():  # the others need no memory for it
                tensors[name] = average

    def write():
        check_finite(tensors, path)
        write_atomic(path, safetensors.torch.save(tensors, notes))
        remove_parts(path, but=notes.get("parts"))

    on_first(write)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of a checkpoint, and its phase and step. The file is closed again: a mapped one
    could not be replaced on Windows. Tensors that lie in parts are not read here: `restore` does.

    Raises:
        GenieError: it is no whole checkpoint, or holds NaN or infinity.
    """
    _, where = read_notes(path)
    parts = find_parts(path)
    if parts is not None:
        check_parts(parts)
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
        parts_folder(path, notes)
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
        tensors: of the checkpoint's file; only the first process needs to have them.
        path: of the file, beside which its parts lie, if it has any.

    Raises:
        GenieError: its tensors are those of other networks, or its parts are damaged.
    """
    learning = (
        [weight for group in optimizer.param_groups for weight in group["params"]]
        if optimizer is not None
        else []
    )
    parts = on_first(lambda: find_parts(path))
    if parts is None:
        state = _restore_file(genie, learning, tensors, path)
    else:
        state = _restore_parts(genie, learning, tensors, path, parts)
    if optimizer is not None:
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _restore_file(genie, learning, tensors, path):
    """Fill the networks from tensors that the first process has; returns the optimizer's state of
    each weight that has learnt, by its number.
    """
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    on_first(lambda: check_tensors(genie, weights, path))
    load_whole_state(genie, weights)
    found: dict[int, dict[str, Tensor]] = {}
    steps = on_first(lambda: _read_state(learning, ("step", *_AVERAGES), tensors, path, found))
    return {
        index: {
            "step": step,
            **{
                key: divided_like(learning[index], found.get(index, {}).get(key))
                for key in _AVERAGES
            },
        }
        for index, step in steps.items()
    }


def _restore_parts(genie, learning, tensors, path, parts):
    """As `_restore_file`, where weights and averages lie in parts."""
    steps = on_first(lambda: _read_state(learning, ("step",), tensors, path, {}))
    state = {
        index: {key: torch.zeros_like(learning[index]) for key in _AVERAGES} for index in steps
    }
    own = own_state(genie)
    read_parts(parts, _named(own, state), whole=bool(learning))
    load_own_state(genie, own)
    return {index: {"step": step, **state[index]} for index, step in steps.items()}


def _named(weights, state):
    """Weights, and what the optimizer keeps of each by its number, as a checkpoint names them."""
    return {f"model.{name}": weight for name, weight in weights.items()} | {
        f"optimizer.{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def _only(state, *names):
    """Of what the optimizer keeps of each weight, some."""
    return {index: {name: values[name] for name in names} for index, values in state.items()}


def _read_state(weights, keys, tensors, path, state):
    """Put what the optimizer keeps of each weight that has learnt into `state`, by its number;
    returns how many steps it has learnt, likewise.
    """
    for index, weight in enumerate(weights):
        found = {key: tensors.get(f"optimizer.{index}.{key}") for key in keys}
        if all(average is None for average in found.values()):
            continue  # a weight that has not learnt yet
        for key, average in found.items():
            if average is None or average.shape != (() if key == "step" else weight.shape):
                raise GenieError(f"{path} holds averages of other weights: optimizer.{index}.{key}")
        state[index] = found
    return {index: found["step"] for index, found in state.items()}
