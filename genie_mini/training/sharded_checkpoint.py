"""A checkpoint in parts: where the networks are divided, every process writes what it holds of
them, and reads what it is to hold, through torch.distributed.checkpoint (DCP).

DCP's usual storage keeps its index in a pickle, which can run code when it is read. Its storage for
safetensors (from torch 2.9 on) keeps none: the header of each file says where its pieces lie in the
whole tensors.

The parts lie in one of two folders beside checkpoint.safetensors, and a note of that file names the
folder. Writing goes into the other one; then the first process replaces the file. Until that moment
the earlier checkpoint is the one that counts.
"""

import inspect
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import torch

from genie_mini.errors import GenieError
from genie_mini.files import check_finite
from genie_mini.ranks import num_ranks
from genie_mini.training.distributed import on_all, on_first

_NAMES = ("1", "2")
_FILES = "shard-*.safetensors"  # as DCP calls them
# What a header that is damaged, or somebody's, may lead to.
_DAMAGE = (
    *(safetensors.SafetensorError, OSError, AttributeError),
    *(ValueError, TypeError, LookupError, RecursionError),
)


def torch_has_parts() -> bool:
    """Whether this torch writes and reads a checkpoint in parts, without a pickle."""
    try:
        from torch.distributed.checkpoint import HuggingFaceStorageWriter  # slow to import
    except ImportError:
        return False
    return "save_distributed" in inspect.signature(HuggingFaceStorageWriter).parameters


def parts_folder(path: Path, notes: dict[str, str]) -> Path | None:
    """The folder with the parts of a checkpoint; None if all of it is in its file.

    Args:
        path: of the file.
        notes: that the file holds.

    Raises:
        ValueError: they name no folder of parts.
    """
    if "parts" not in notes:
        return None
    if notes["parts"] not in _NAMES:
        raise ValueError(f"there are no parts {notes['parts']!r}")
    return _folder(path, notes["parts"])


def find_parts(path: Path) -> Path | None:
    """As `parts_folder`, of a file on the disk."""
    with safetensors.safe_open(path, framework="pt") as file:
        return parts_folder(path, file.metadata() or {})


def _folder(path, name):
    return path.with_name(f"{path.stem}-parts-{name}")


def write_parts(path: Path, tensors: dict[str, Any]) -> str:
    """Write the parts of a checkpoint, every process its own, into the folder that does not count
    yet. All processes call it.

    Args:
        path: of the checkpoint's file; that of the first process counts.
        tensors: by name; each process may hold a part of them (DTensor).

    Returns:
        What the file is to note as its `parts`.

    Raises:
        GenieError: a tensor holds NaN or infinity; a process cannot write; they do not write into
            the same folder.
    """
    from torch.distributed import checkpoint as dcp

    name, folder = on_first(lambda: _begin(path.absolute()))
    on_all(lambda: check_finite(_own(tensors), folder))
    writer = dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True)
    on_all(lambda: _call(dcp.save, folder, state_dict=tensors, storage_writer=writer))
    on_first(lambda: _check_whole(folder, tensors))
    return name


def _begin(path):
    """The name of the folder to write parts into, and the folder, empty."""
    current = find_parts(path) if path.exists() else None
    name = next(name for name in _NAMES if _folder(path, name) != current)
    folder = _folder(path, name)
    _remove(folder)  # of a writing that was cut off
    folder.mkdir(exist_ok=True)
    others = sorted(file.name for file in folder.iterdir())
    if others:
        raise GenieError(
            f"{folder} holds {', '.join(others[:6])}, which this training has not written: move "
            "it away"
        )
    return name, folder


def remove_parts(path: Path, but: str | None) -> None:
    """Remove the parts that lie beside a checkpoint's file, except those that it notes."""
    for name in _NAMES:
        if name != but:
            with suppress(OSError):  # they are no harm, and go before the next are written
                _remove(_folder(path, name))


def _remove(folder):
    """Remove a folder of parts; what else lies in it stays."""
    for file in folder.glob(_FILES):
        file.unlink()
    with suppress(OSError):
        folder.rmdir()


def read_parts(folder: Path, tensors: dict[str, Any], whole: bool) -> None:
    """Fill tensors, in place, with those of a checkpoint that any number of processes have written.
    All processes call it, and each reads what it holds of them.

    Args:
        folder: with the parts; that of the first process counts.
        tensors: by name; each process may hold a part of them (DTensor).
        whole: whether the checkpoint must hold nothing else; if not, averages may lie there too.

    Raises:
        GenieError: the parts are damaged, or of other networks, or hold NaN or infinity.
    """
    _check_torch(folder)
    from torch.distributed import checkpoint as dcp

    folder = on_first(folder.absolute)
    on_first(lambda: _check_whole(folder, tensors, whole))
    reader, alone = dcp.HuggingFaceStorageReader(str(folder)), num_ranks() == 1
    on_all(
        lambda: _call(dcp.load, folder, state_dict=tensors, storage_reader=reader, no_dist=alone)
    )
    on_all(lambda: check_finite(_own(tensors), folder))


def check_parts(folder: Path) -> None:
    """Make sure that there are parts of a checkpoint in a folder, of whatever networks.

    Raises:
        GenieError: there are none, or they are damaged, or this torch cannot read them.
    """
    _check_torch(folder)
    _headers(folder)


def _check_torch(folder):
    if not torch_has_parts():
        raise GenieError(
            f"{folder} holds a checkpoint in parts, which torch reads from version 2.9 on; this is "
            f"{torch.__version__}"
        )


def _own(tensors):
    """What this process holds of each tensor."""
    return {
        name: tensor.to_local() if hasattr(tensor, "to_local") else tensor
        for name, tensor in tensors.items()
    }


def _check_whole(folder, tensors, whole=True):
    """Make sure that the parts are all of each tensor, each piece once, and nothing else."""
    found = _headers(folder)
    names = {*tensors} | {name for name in found if whole or name.startswith("model.")}
    for name in sorted(names):
        tensor, saved = tensors.get(name), found.get(name)
        if tensor is None or saved is None:
            raise _broken(folder, f"{name} is {'too much' if saved else 'missing'}")
        if saved.properties.dtype != tensor.dtype or not _fill(saved.chunks, tensor.shape):
            raise _broken(folder, f"the pieces of {name} are no {tuple(tensor.shape)}")


def _fill(chunks, shape):
    """Whether pieces, which are divided along their first dimension, make a tensor."""
    pieces = [chunk for chunk in chunks if 0 not in chunk.sizes]  # some processes hold none of it
    if not shape:
        return [tuple(piece.sizes) for piece in pieces] == [()]
    rest, begin = (0,) * (len(shape) - 1), 0
    for piece in sorted(pieces, key=lambda piece: tuple(piece.offsets)):
        if tuple(piece.offsets) != (begin, *rest) or tuple(piece.sizes[1:]) != tuple(shape[1:]):
            return False
        begin += piece.sizes[0]
    return begin == shape[0]


def _headers(folder):
    """What the headers of parts tell of each tensor, by name."""
    from torch.distributed.checkpoint import HuggingFaceStorageReader

    try:
        found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except _DAMAGE as error:
        raise _broken(folder, error) from error
    if not found:
        raise _broken(folder, "there are none")
    return found


def _broken(folder, told):
    return GenieError(
        f"the parts of a checkpoint in {folder} are not whole, or not of this run ({told}). All "
        "processes must see the same folder; to train from the beginning, move it away, with the "
        "checkpoint and the logs beside it"
    )


def _call(function, folder, **arguments):
    """Call a function of DCP, which tells what has failed in a way of its own."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        with warnings.catch_warnings():  # that there is one process
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            function(**arguments)
    except CheckpointException as error:
        rank, (cause, _) = min(error.failures.items())
        raise GenieError(f"process {rank} failed with its part in {folder}: {cause}") from error
