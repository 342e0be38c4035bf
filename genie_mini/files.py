"""Files: written whole or not at all, weights as safetensors, hashes, and where a folder of weights
is.
"""

import hashlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from genie_mini.errors import GenieError

WEIGHTS = Path(__file__).parent / "weights"
PARTS = ("tokenizer", "latent_action_model", "dynamics")  # the files of weights in a Genie's folder


def weights_folder(name_or_folder: str | Path) -> Path:
    """The folder of weights that ship under this name, or else the folder itself, whether there is
    one or not.
    """
    shipped = WEIGHTS / name_or_folder
    return shipped if shipped.is_dir() else Path(name_or_folder)


def part_files(folder: Path) -> dict[str, Path]:
    """The file of each part's weights: the folder's own, or that of shipped weights with which it
    shares the part, as its shared.json says.

    Raises:
        GenieError: shared.json names weights that are not here, or a file that has changed since.
    """
    files = {part: folder / f"{part}.safetensors" for part in PARTS}
    shared = folder / "shared.json"
    if not shared.exists():
        return files
    try:
        content = json.loads(shared.read_text(encoding="utf-8"))
        folder, expected = WEIGHTS / content["with"], dict(content["parts"])
        files |= {part: folder / files[part].name for part in expected}
        found = {part: sha256(files[part]) for part in expected}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GenieError(f"{shared} does not say which weights are shared: {error}") from error
    for part in found:
        if found[part] != expected[part]:
            raise GenieError(f"{shared} shares {part} with other weights than {files[part]}")
    return files


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def save_weights(module: nn.Module, path: Path, dtype: torch.dtype) -> None:
    """Write a network as safetensors; floating-point tensors in this dtype."""
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in module.state_dict().items()
    }
    write_atomic(path, safetensors.torch.save(tensors))


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file, or raise a ValueError that says what is wrong with
    the file.
    """
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise GenieError(
            f"{path} is missing: a trained Genie has config.json and {', '.join(PARTS)}.safetensors"
        ) from None
    except (safetensors.SafetensorError, OSError) as error:
        raise GenieError(f"{path} is not a whole safetensors file: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        name = min(set(expected.items()) ^ set(found.items()))[0]
        raise GenieError(
            f"{path} belongs to another network: {name} is {found.get(name, 'absent')} in the file "
            f"and {expected.get(name, 'absent')} in the configuration"
        )
    module.load_state_dict(tensors)


def save_table(path: Path, rows: list[dict], command: str, seed: int, weights: str | Path) -> None:
    """Write rows as JSON, with the command and seed that made them and the SHA-256 of each file of
    the weights.
    """
    content = {
        "command": command,
        "seed": seed,
        "weights": weights_hashes(weights_folder(weights)),
        "rows": rows,
    }
    write_atomic(path, json.dumps(content, indent=1).encode() + b"\n")


def weights_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a trained Genie by name, as `save_table` keeps them."""
    files = [folder / "config.json", *part_files(folder).values()]
    return {file.name: sha256(file) for file in sorted(files, key=lambda file: file.name)}


def table_weights(command: str, root: Path) -> Path:
    """The folder of the weights that the command of a saved table names (`mini` where it names
    none), run from `root`.
    """
    words = command.split()
    name = words[words.index("--weights") + 1] if "--weights" in words else "mini"
    # shipped weights have an absolute path, which stays as it is
    return root / weights_folder(name)
