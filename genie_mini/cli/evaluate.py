"""`genie-mini evaluate`: score a Genie."""

import argparse

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_out_file,
    add_weights,
    at_least,
)
from genie_mini.device import choose_device
from genie_mini.evaluation.scores import evaluate, format_scores, save_scores
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_file

FEWEST_CLIPS = 64  # with fewer, too few labelled transitions are left to test the action map on


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        "score a Genie",
        "Print and save all scores on levels that training never saw, each beside what\n"
        "chance would get, the best that is possible, and the goal; and name the latent\n"
        "actions. Written as scores.json into the folder of the weights, the names appear\n"
        "on the buttons of `genie-mini play`.",
        "  genie-mini evaluate --weights runs/pocket --out runs/pocket/scores.json",
    )
    add_weights(parser)
    add_device(parser)
    parser.add_argument(
        "--clips",
        type=at_least(FEWEST_CLIPS),
        default=128,
        help=f"to score on, from {FEWEST_CLIPS} (default: %(default)s)",
    )
    add_out_file(parser, "the scores", "scores.json")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    prepare_file(arguments.out, {"scores", "latent_to_real"})
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    scores, names = evaluate(genie, arguments.clips)
    try:
        save_scores(arguments.out, scores, names)
    finally:  # they have taken minutes: told even where they cannot be kept
        print(format_scores(scores))
    print(f"saved to {arguments.out}")
