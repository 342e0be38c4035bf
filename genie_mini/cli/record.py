"""`genie-mini record`: record the platformer."""

import argparse

from genie_mini.cli.options import Commands, add_command, add_out_folder, add_seed, at_least
from genie_mini.data.platformer_files import record_files
from genie_mini.training.config import LOOKBACK_TRAINING, TrainingConfig
from genie_mini.world.simulation import SIZES


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "record",
        run,
        "record the platformer",
        "Film the platformer. clips.npy holds bytes (clips, frames, size, size, 3), ten\n"
        "frames a second. What the videos do not tell (actions, positions) goes into\n"
        "truth/truth.npz, which `genie-mini train --data DIR` never reads.",
        "  genie-mini record --out clips --clips 2000 --size 32\n"
        "  genie-mini train --preset pocket --data clips --out runs/pocket",
    )
    add_out_folder(parser)
    parser.add_argument(
        "--clips",
        type=at_least(1),
        default=1000,
        help="each from a level of its own (default: %(default)s)",
    )
    parser.add_argument(
        "--frames",
        type=at_least(2),
        default=TrainingConfig.num_frames,
        help=f"of each clip; `train --lookback` needs {LOOKBACK_TRAINING.num_frames} "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=int,
        choices=SIZES,
        default=64,
        help="height and width, pixels (default: %(default)s)",
    )
    add_seed(parser, "levels and actions")
    parser.add_argument(
        "--gif", action="store_true", help="also write preview/clips.gif, a few clips side by side"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    record_files(
        arguments.out,
        arguments.clips,
        arguments.frames,
        size=arguments.size,
        seed=arguments.seed,
        preview=arguments.gif,
    )
