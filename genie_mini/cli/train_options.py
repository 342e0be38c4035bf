"""The options of `genie-mini train`, by what they are about."""

import argparse

from genie_mini.cli.options import add_films, at_least, between
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.models.tokenizer import CODEBOOKS
from genie_mini.presets import FRAME_RATES
from genie_mini.training.config import (
    DEFAULT_MINUTES,
    LEAST_MINUTES,
    MOST_MINUTES,
    TRAINING_PRESETS,
)
from genie_mini.world.simulation import FRAMES_PER_SECOND

TOKENIZERS = ("auto", *CODEBOOKS)
# Options that are settings of the training, by the same names.
DIVISION = ("gradient_accumulation", "activation_checkpointing", "shards")


def add_what(parser: argparse.ArgumentParser) -> None:
    """What is trained, on what, and how long."""
    parser.add_argument(
        "--preset",
        choices=list(TRAINING_PRESETS),
        help="sizes of the networks (default: pocket)",
    )
    add_films(
        parser,
        "a recording or a folder of them, with its sub-folders: videos, numbered pictures, or "
        "arrays of frames (.npy as `genie-mini record` writes them, .npz, HDF5); or an environment "
        "of Gymnasium, or a game of Procgen, which is recorded. A tenth is held out for `evaluate "
        "--data`. Given more than once, it names several worlds, which get the same share of the "
        "clips (default: the platformer, filmed anew for every step)",
        several=True,
    )
    parser.add_argument(
        "--fps",
        type=between(*FRAME_RATES),
        metavar="N",
        help="frames a second to which the videos of --data are brought, and at which the Genie is "
        f"played (default: {FRAMES_PER_SECOND}); arrays, numbered pictures and games are taken "
        "frame by frame",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        metavar="N",
        help="steps that each network learns (default: the preset's own schedule, for pocket "
        f"{DEFAULT_MINUTES['pocket']:g} minutes)",
    )
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        help="clips of a step; a GPU has room for many more than the presets take (default: the "
        "preset's)",
    )
    parser.add_argument(
        "--minutes",
        type=between(LEAST_MINUTES, MOST_MINUTES),
        metavar="M",
        help="how long to train, in place of --steps: a few steps are timed on this machine, and "
        "each network gets its share of the time",
    )


def add_division(parser: argparse.ArgumentParser) -> None:
    """How the work is divided: among processes, and in less memory."""
    parser.add_argument(
        "--gradient-accumulation",
        type=at_least(1),
        default=1,
        metavar="N",
        help="compute the clips of a step in so many parts, whose gradients add up: the same "
        "result in less memory, and more slowly (default: %(default)s)",
    )
    parser.add_argument(
        "--activation-checkpointing",
        action="store_true",
        help="keep only what goes into each block, and compute the rest again for the gradients: "
        "the same result in less memory, and more slowly",
    )
    parser.add_argument(
        "--shards",
        type=at_least(1),
        default=1,
        metavar="N",
        help="of the processes that torchrun has started, divide the networks among N; more than "
        "N train copies of them on clips of their own (default: %(default)s, each has all)",
    )


def add_lookback(parser: argparse.ArgumentParser) -> None:
    """--lookback: another past for a trained Genie."""
    parser.add_argument(
        "--lookback",
        choices=list(LOOKBACKS),
        help="take a trained Genie (--from), let its dynamics model choose its past in this "
        "way, and train only that on clips of 64 frames",
    )
    parser.add_argument(
        "--from",
        dest="trained",
        metavar="NAME|DIR",
        help="the Genie that --lookback goes on from (default: mini)",
    )


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    """--tokenizer: what tokens are."""
    parser.add_argument(
        "--tokenizer",
        choices=TOKENIZERS,
        help="what tokens are: learnt, as in the paper, or the most frequent patches of the films; "
        "auto looks whether patches will do (default: auto for pocket and mini, else learnt)",
    )
