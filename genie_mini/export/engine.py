"""What plays a Genie in Python: PyTorch, or on a CPU onnxruntime, which draws the same frames
faster.

onnxruntime plays an export, and nobody wants to wait for one whenever a game begins. So it is made
once: the graphs of a Genie are kept in this person's cache, in a folder named after all that
decides them. It may be deleted at any time.
"""

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from genie_mini.contract import check_choice, check_parts, check_path
from genie_mini.errors import GenieError
from genie_mini.export.graphs import GRAPHS
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.write import check_exportable, export
from genie_mini.files import SUMS, sha256, write_atomic
from genie_mini.genie import Genie
from genie_mini.outputs import fill_once, user_cache

ENGINES = ("auto", "torch", "onnxruntime")
_VARIANT = "fp32"  # of an export's variants the one that draws PyTorch's frames
_PACKAGE = Path(__file__).parents[1]
_CODE = ("models", "export")  # the rooms whose code decides what a graph computes


def choose_engine(
    genie: Genie, name: str = "auto", cache: str | Path | None = None
) -> Genie | ExportedGenie:
    """A Genie as this engine plays it: itself, or its export. A seed gives the same frames, as far
    as two ways of adding up the same numbers round alike.

    Where the Genie is exported first, which takes a while, a line on stderr says so.

    Args:
        genie: on the CPU if onnxruntime is to play it.
        name: one of `ENGINES`; "auto" is onnxruntime where it can be had, and else torch.
        cache: folder of all graphs that are kept; by default `graphs` in `outputs.user_cache`.

    Raises:
        GenieError: the name is none of `ENGINES`, or it is "onnxruntime", and the extra `export` is
            not installed, the Genie cannot be exported, or it is on another device.
    """
    check_parts(genie, "config", "tokenizer", "dynamics", "state_dict")
    if check_choice("an engine", name, ENGINES) == "torch":
        return genie
    root = user_cache() / "graphs" if cache is None else Path(check_path("cache", cache))
    try:
        _check_playable(genie)
    except GenieError as error:
        if name == "onnxruntime":
            raise GenieError(f"onnxruntime cannot play this Genie: {error}") from error
        return genie
    try:
        return _play_graphs(genie, root)
    # Not to be able to play would be worse than to play slowly; the exporter's exceptions have no
    # base but this, and a cache may lie where nothing can be written.
    except Exception as error:
        if name == "onnxruntime":
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        _tell(f"PyTorch plays, since onnxruntime does not: {first}")
        return genie


def _check_playable(genie):
    check_exportable(genie)
    if genie.device.type != "cpu":
        raise GenieError(
            f"it is on the device {genie.device.type}, not on the CPU (choose the device cpu, "
            "or the engine torch)"
        )


def _play_graphs(genie, root):
    folder = root / _identity(genie)
    fill_once(folder, lambda: _is_whole(folder), lambda partial: _write(genie, partial, folder))
    return ExportedGenie(genie, folder, _VARIANT)


def _identity(genie):
    """A word for all that decides what the graphs of a Genie compute: its weights and their sizes,
    what turns them into graphs, and what the graphs were checked with.
    """
    import onnxruntime

    config = genie.config
    versions = torch.__version__, onnxruntime.__version__
    about = [*versions, asdict(config.tokenizer), asdict(config.dynamics)]
    digest = hashlib.sha256(json.dumps(about).encode())
    # The code itself and not its version: whoever reads it changes it, and plays what came of that.
    for file in sorted(file for room in _CODE for file in (_PACKAGE / room).glob("*.py")):
        digest.update(file.read_bytes())
    for part in (genie.tokenizer, genie.dynamics):
        for name, tensor in part.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _write(genie, folder, target):
    _tell(
        f"making graphs of this Genie, which onnxruntime plays faster than PyTorch, in {target}; "
        "this takes a while, and is done once (the engine torch needs none)"
    )
    export(genie, folder, [_VARIANT])
    write_atomic(folder / SUMS, _sums(folder).encode())


def _is_whole(folder):
    try:
        return (folder / SUMS).read_text(encoding="utf-8") == _sums(folder)
    except (OSError, ValueError):
        return False


def _sums(folder):
    files = [folder / f"{name}.{_VARIANT}.onnx" for name in GRAPHS]
    return "".join(f"{sha256(file)}  {file.name}\n" for file in files)


def _tell(line):
    print(line, file=sys.stderr, flush=True)
