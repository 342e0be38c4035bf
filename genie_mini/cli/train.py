"""`genie-mini train`: train a Genie on videos."""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_out_folder,
    add_precision,
    add_seed,
    at_least,
)
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.data.video_files import VideoFolder
from genie_mini.data.videos import Videos
from genie_mini.device import choose_device
from genie_mini.genie import Genie
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.training.config import LOOKBACK_TRAINING, TRAINING_PRESETS, training_config
from genie_mini.training.trainer import train


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "train",
        run,
        "train a Genie on videos",
        "Train all three networks in two phases: the tokenizer; then the latent action\n"
        "model and the dynamics model. Ctrl-C saves the state and stops; the same command\n"
        "goes on from there. The folder receives the trained Genie (config.json and three\n"
        ".safetensors files) and the losses of each step (tokenizer.csv, world.csv).",
        "  genie-mini train --preset pocket --out runs/pocket\n"
        "  genie-mini train --data my_videos --steps 2000 --out runs/mine\n"
        "  genie-mini train --lookback sparse --from mini --out runs/sparse\n"
        "  genie-mini play --weights runs/pocket",
    )
    _add_what(parser)
    add_out_folder(parser, "the result and the state")
    add_seed(parser, "weights, clips and masks")
    parser.add_argument(
        "--compile", action="store_true", help="translate the networks first; needs a C++ compiler"
    )
    add_precision(parser)
    add_device(parser)
    _add_lookback(parser)


def _add_what(parser):
    parser.add_argument(
        "--preset",
        choices=list(TRAINING_PRESETS),
        default="pocket",
        help="sizes of the networks (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a recording or a folder of them: videos, or .npy files as `genie-mini record` writes "
        "them (default: the platformer, filmed anew for every step)",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        metavar="N",
        help="steps that each network learns (default: the preset's own schedule)",
    )


def _add_lookback(parser):
    parser.add_argument(
        "--lookback",
        choices=list(LOOKBACKS),
        help="take a trained Genie (--from), let its dynamics model choose its past in this "
        "way, and train only that on clips of 64 frames",
    )
    parser.add_argument(
        "--from",
        dest="trained",
        default="mini",
        metavar="NAME|DIR",
        help="the Genie that --lookback goes on from (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = {"seed": arguments.seed, "compile": arguments.compile}
    if arguments.precision:
        options["precision"] = arguments.precision
    device = choose_device(arguments.device)
    torch.manual_seed(arguments.seed)
    if arguments.lookback is None:
        config = training_config(arguments.preset, arguments.steps, **options)
        genie = Genie.from_preset(arguments.preset)
    else:
        genie = Genie.from_pretrained(arguments.trained).with_lookback(arguments.lookback)
        steps = arguments.steps or LOOKBACK_TRAINING.dynamics_steps
        config = replace(LOOKBACK_TRAINING, dynamics_steps=steps, **options)
    size = genie.config.tokenizer.image_size[0]
    videos: Videos
    if arguments.data is None:
        videos = PlatformerVideos(size, returning=arguments.lookback is not None)
    else:
        videos = VideoFolder(arguments.data, size)
    train(genie.to(device), videos, config, arguments.out)
    print(f"trained; play it with `genie-mini play --weights {arguments.out}`")
