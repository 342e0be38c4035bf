"""Files: written whole or not at all, weights as safetensors, hashes, where a folder of weights is,
and pictures as they stand in a page.
"""

import base64
import hashlib
import io
import json
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from genie_mini.errors import GenieError

WEIGHTS = Path(__file__).parent / "weights"
PARTS = ("tokenizer", "latent_action_model", "dynamics")  # the files of weights in a Genie's folder
SUMS = "SHA256SUMS"  # of the files that were saved together, as `sha256sum --check` reads it


def shipped_weights() -> list[str]:
    """The names of the weights that ship."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def weights_folder(name_or_folder: str | Path) -> Path:
    """The folder of weights that ship under this name, or else the folder itself, whether there is
    one or not.

    A name is a bare word such as mini; ./mini, mini/ and every `Path` are folders.
    """
    is_name = isinstance(name_or_folder, str) and name_or_folder in shipped_weights()
    return WEIGHTS / name_or_folder if is_name else Path(name_or_folder)


def ships(folder: Path) -> bool:
    """Whether a folder of weights belongs to the package, and so stays as it is."""
    return folder.resolve().is_relative_to(WEIGHTS.parent.resolve())


def as_weights(folder: Path) -> str:
    """How to name a folder on the command line so that it is taken for this folder: not for weights
    that ship, and not for an option.
    """
    name = str(folder)
    return f".{os.sep}{name}" if name in shipped_weights() or name.startswith("-") else name


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
    write_together([(path, content)])


def write_together(contents: Iterable[tuple[Path, bytes]]) -> None:
    """Write files of which none takes the place of an old one before all are on the disk: if there
    is no room for them, nothing has changed.
    """
    partials: dict[Path, Path] = {}
    try:
        for path, content in contents:
            partials[path] = path.with_name(path.name + ".partial")
            with partials[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # or a power cut may leave the new name on no content
        for path, partial in partials.items():
            os.replace(partial, path)
    except BaseException:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
        raise


def save_together(
    folder: Path, config: bytes, modules: dict[str, nn.Module], dtype: torch.dtype
) -> None:
    """Write a Genie's config.json and the weights of its parts, with the hashes of all of them.

    By the hashes `check_saved_together` knows a folder in which parts of two Genies lie, as when
    the power goes between two files.
    """
    contents = {folder / "config.json": config}
    for part, module in modules.items():
        contents[folder / f"{part}.safetensors"] = _as_safetensors(module, dtype)
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
        for path, content in contents.items()
    )
    # The hashes first: then a folder that had none, too, is known for mixed.
    write_together([(folder / SUMS, sums.encode()), *contents.items()])


def _as_safetensors(module, dtype):
    """A network as the bytes of a safetensors file; floating-point tensors in this dtype."""
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in module.state_dict().items()
    }
    return safetensors.torch.save(tensors)


def check_saved_together(folder: Path) -> None:
    """Make sure that the files of a trained Genie were saved with each other, where their hashes
    were kept.

    Raises:
        GenieError: one of them is of another time.
    """
    sums = folder / SUMS
    if not sums.is_file():  # as beside the weights that ship, whose hashes stand in their card
        return
    text = sums.read_text(encoding="utf-8", errors="replace")
    expected = {name: sum for sum, name in re.findall(r"^([0-9a-f]{64}) [ *](.+)$", text, re.M)}
    for file in (folder / "config.json", *part_files(folder).values()):
        if file.name in expected and sha256(file) != expected[file.name]:
            raise GenieError(
                f"{file} was not saved with the other files of {folder}, as {sums.name} there says:"
                " saving was stopped, or a file replaced. Save the Genie again; after a training, "
                "the same command does"
            )


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file, or raise a GenieError that says what is wrong with
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
    check_tensors(module, tensors, path)
    module.load_state_dict(tensors)


def check_tensors(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Make sure that tensors are the weights of a network of this shape, and all of them numbers.

    Raises:
        GenieError: they are not; it names the file at `path`.
    """

    def kinds(tensors):
        return {
            name: (tuple(tensor.shape), "float" if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in tensors.items()
        }

    expected, found = kinds(module.state_dict()), kinds(tensors)
    if expected != found:
        name = min(name for name, _ in set(expected.items()) ^ set(found.items()))
        told = [
            "absent" if kind is None else kind[0] if kind[1] == "float" else f"{kind[0]} {kind[1]}"
            for kind in (found.get(name), expected.get(name))
        ]
        raise GenieError(
            f"{path} belongs to another network: {name} is {told[0]} in the file "
            f"and {told[1]} in the configuration"
        )
    check_finite(tensors, path)


def check_finite(tensors: dict[str, Tensor], path: Path) -> None:
    """Make sure that all tensors hold numbers; a GenieError names the first that does not."""
    for name, tensor in tensors.items():
        if not tensor.float().isfinite().all():
            raise GenieError(f"{path}: {name} holds NaN or infinity, with which nothing is drawn")


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
    words = shlex.split(command)
    name = words[words.index("--weights") + 1] if "--weights" in words else "mini"
    # shipped weights have an absolute path, which stays as it is
    return root / weights_folder(name)


def to_uint8(frames: Tensor) -> np.ndarray:
    """Turn floats in [0, 1] into uint8 of the same shape."""
    return (frames.detach() * 255).round().to(torch.uint8).cpu().numpy()


def as_png(pixels: np.ndarray) -> bytes:
    """(height, width, 3) uint8 as the content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return file.getvalue()


def data_uri(pixels: np.ndarray) -> str:
    """(height, width, 3) uint8 as a PNG in a data URI."""
    return "data:image/png;base64," + base64.b64encode(as_png(pixels)).decode()
