"""`genie-mini export`: write a Genie as ONNX."""

import argparse

from genie_mini.cli.options import Commands, add_command, add_device, add_out_folder, add_weights
from genie_mini.device import choose_device
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.export.write import export
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_file, sole_writer


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        run,
        "write a Genie as ONNX",
        "Write what play needs as ONNX files: the dynamics model's step, the tokenizer's\n"
        "decoder and its encoder, in float32, float16 and int8, with world.json, which\n"
        "describes them. The float32 files are checked against PyTorch. Needs the packages\n"
        "of genie-mini[export].",
        "  genie-mini export --weights runs/pocket --out runs/pocket/onnx",
    )
    add_weights(parser)
    add_device(parser)
    add_out_folder(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    prepare_file(arguments.out / "world.json", {"imageSize", "numCodes"})
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    names = read_action_names(arguments.weights)
    with sole_writer(arguments.out):
        differences = export(genie, arguments.out, action_names=names)
    for variant, difference in differences.items():
        print(f"{variant}: logits differ from PyTorch's by {difference:.2g} at most")
