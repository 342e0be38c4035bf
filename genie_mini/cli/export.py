"""`genie-mini export`: write a Genie as ONNX, or as a page to share."""

import argparse
from pathlib import Path

from genie_mini.cli.options import Commands, add_command, add_device, add_weights
from genie_mini.device import choose_device
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.export.write import VARIANTS, export
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_file, sole_writer
from genie_mini.play.share import TITLE, read_model_card, share, shared_prompts

_OPTIONS_OF_A_PAGE = ("title", "prompt", "onnxruntime", "variant")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        run,
        "write a Genie as ONNX, or as one page to share",
        "With --out, write what play needs as ONNX files: the dynamics model's step, the\n"
        "tokenizer's decoder and its encoder, in float32, float16 and int8, with world.json,\n"
        "which describes them. With --page, write one HTML file that plays the world by double\n"
        "click, without a network and without Python. The float32 graphs are checked against\n"
        "PyTorch. Needs the packages of genie-mini[export]; a page also needs onnxruntime-web.",
        "  genie-mini export --weights runs/pocket --out runs/pocket/onnx\n"
        "  genie-mini export --page world.html\n"
        "  genie-mini export --weights runs/pocket --page pocket.html --prompt photo.jpg",
    )
    add_weights(parser)
    add_device(parser)
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", type=Path, metavar="DIR", help="folder for the files")
    goal.add_argument("--page", type=Path, metavar="FILE", help="HTML file for the page")
    page = parser.add_argument_group("options of a page")
    page.add_argument("--title", help=f"what stands above the world (default: {TITLE})")
    page.add_argument(
        "--prompt",
        type=Path,
        metavar="IMAGE",
        action="append",
        help="a picture to begin from, cut to a square; give it again for more. They come before "
        "the pictures that travel with the weights, or else levels of the platformer",
    )
    page.add_argument(
        "--onnxruntime",
        type=Path,
        metavar="DIR",
        help="folder of the npm package onnxruntime-web (default: that of a work tree)",
    )
    page.add_argument(
        "--variant",
        choices=VARIANTS,
        help="how the weights are stored; int8 is the smallest, and the default",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = {name: getattr(arguments, name) for name in _OPTIONS_OF_A_PAGE}
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.page is not None:
        differences = _write_page(arguments, options)
        print(f"{arguments.page}: {arguments.page.stat().st_size / 1e6:.1f} MB")
    elif options:
        raise GenieError(f"--{next(iter(options))} is an option of a page, with --page")
    else:
        differences = _write_files(arguments)
    for variant, difference in differences.items():
        print(f"{variant}: logits differ from PyTorch's by {difference:.2g} at most")


def _write_files(arguments):
    prepare_file(arguments.out / "world.json", {"imageSize", "numCodes"})
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    names = read_action_names(arguments.weights)
    with sole_writer(arguments.out):
        return export(genie, arguments.out, action_names=names)


def _write_page(arguments, options):
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    size = genie.config.tokenizer.image_size
    return share(
        genie,
        arguments.page,
        shared_prompts(arguments.weights, size, options.pop("prompt", [])),
        action_names=read_action_names(arguments.weights),
        model_card=read_model_card(arguments.weights),
        **options,
    )
