"""Writing a Genie as ONNX files, in float32, float16 and int8, and checking them against
PyTorch.
"""

import copy
import json
import logging
import tempfile
import warnings
from collections.abc import Collection, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from genie_mini.contract import check_parts, check_path
from genie_mini.errors import GenieError, how_to_install
from genie_mini.evaluation.action_names import check_action_names
from genie_mini.evaluation.metrics import PARITY
from genie_mini.export.graphs import build_graphs
from genie_mini.export.runtime import ExportedGenie, describe, logit_difference
from genie_mini.export.sessions import VARIANTS
from genie_mini.files import write_atomic
from genie_mini.genie import Genie

_OPSET = 20
# What the extra `export` of pyproject.toml asks for. Older exporters fail midway, in words that do
# not say what to do.
LOWEST = {"torch": (2, 13), "onnx": (1, 23), "onnxscript": (0, 7), "onnxruntime": (1, 32)}


@contextmanager
def _quiet():
    """Keep back what exporter and quantiser have to say: of torchvision, of their own old code, of
    a step that changes nothing here.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.disable(disabled)


def _as_onnx(module, inputs, outputs):
    """Trace a module into an ONNX model that says nothing of this machine."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ):
        part.ClearField("metadata_props")  # file names and line numbers
        part.ClearField("doc_string")
    return model


def _store_in_half(model):
    """Store the weights in float16 and widen them to float32 when the model is loaded: half the
    size, the same operations.
    """
    from onnx import TensorProto, helper, numpy_helper

    stored = type(model)()
    stored.CopyFrom(model)
    casts = []
    for weight in stored.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) > 64:
            name = weight.name
            weight.CopyFrom(
                numpy_helper.from_array(
                    numpy_helper.to_array(weight).astype(np.float16), f"{name}_half"
                )
            )
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    stored.graph.ClearField("node")
    stored.graph.node.extend(nodes)
    return stored


def _multiply_in_bytes(model):
    """Multiply matrices in int8, one scale a column (dynamic quantisation), and store the rest in
    float16.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "model.onnx"
        quantize_dynamic(model, target, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)
        return _store_in_half(onnx.load(target))


def export(
    genie: Genie,
    folder: str | Path,
    variants: Sequence[str] = VARIANTS,
    action_names: list[str] | None = None,
) -> dict[str, float]:
    """Write a Genie as ONNX: a file GRAPH.VARIANT.onnx for each graph and variant, and world.json,
    which a player reads.

    Args:
        genie: the trained networks, on any device; their logits there are what the export is
            checked against.
        folder: made if need be; each file is written whole or not at all.
        variants: some of `VARIANTS`.
        action_names: what each latent action means; None if unknown.

    Returns:
        For each variant the largest difference of its logits from PyTorch's, over a roll-out that
        is longer than the window.

    Raises:
        ValueError: a variant is unknown, the dynamics model keeps no past, a package for exporting
            is missing or too old, or float32 logits differ by more than `PARITY`.
    """
    check_path("folder", folder)
    _check_variants(variants)
    check_exportable(genie)
    check_action_names(action_names, genie.config.dynamics.num_actions)
    convert = {"fp32": lambda model: model, "fp16": _store_in_half, "int8": _multiply_in_bytes}
    genie, folder = genie.eval(), Path(folder)
    traced = genie if genie.device.type == "cpu" else copy.deepcopy(genie).cpu()
    folder.mkdir(parents=True, exist_ok=True)
    # Without it there is no export: one that is stopped between two files is not taken for whole.
    (folder / "world.json").unlink(missing_ok=True)
    models = {name: _as_onnx(*graph) for name, graph in build_graphs(traced).items()}
    for variant in variants:
        for name, model in models.items():
            write_atomic(
                folder / f"{name}.{variant}.onnx", convert[variant](model).SerializeToString()
            )
    write_atomic(
        folder / "world.json", json.dumps(describe(genie, action_names), indent=1).encode() + b"\n"
    )
    differences = {
        variant: logit_difference(genie, ExportedGenie(genie, folder, variant))
        for variant in variants
    }
    if differences.get("fp32", 0.0) > PARITY:
        raise GenieError(
            f"the exported logits differ from PyTorch's by {differences['fp32']:.2g}; at most "
            f"{PARITY:g} is accepted"
        )
    return differences


def check_exportable(genie: Genie) -> None:
    """Make sure that a Genie can be exported, and that what it takes is installed.

    Raises:
        GenieError: its dynamics model keeps no past, or a package is missing or too old.
    """
    check_parts(genie, "config", "tokenizer", "latent_action_model", "dynamics")
    if genie.config.dynamics.context < 2:
        raise GenieError("a Genie of context 1 cannot be exported: its graphs keep a past")
    for package, lowest in LOWEST.items():
        _check_package(package, lowest)


def _check_package(package, lowest):
    if find_spec(package) is None:
        raise GenieError(f"exporting needs the package {package}: {how_to_install('export')}")
    try:
        found = version(package)
    except PackageNotFoundError:  # it came by another name, as onnxruntime-gpu does
        return
    if tuple(map(int, found.split(".")[:2])) < lowest:
        least = ".".join(map(str, lowest))
        raise GenieError(
            f"exporting needs {package} {least} or newer, this is {found}: "
            f"{how_to_install('export')}"
        )


def _check_variants(variants):
    given = list(variants) if isinstance(variants, Collection) else [variants]
    unknown = [variant for variant in given if variant not in VARIANTS]
    if unknown or not given:
        raise GenieError(
            f"variants are some of {', '.join(VARIANTS)}, got "
            f"{', '.join(map(str, unknown)) or 'none'}"
        )
