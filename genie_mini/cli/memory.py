"""`genie-mini memory`: rerun an experiment on memory."""

import argparse
import shlex

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_out_file,
    add_seed,
    add_weights,
    at_least,
)
from genie_mini.device import choose_device
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import read_measured_names
from genie_mini.files import save_table
from genie_mini.genie import Genie
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.outputs import prepare_file
from genie_mini.studies.tables import EXPERIMENTS, format_rows, run_experiment


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "memory",
        run,
        "rerun an experiment on memory",
        "Run one of these on levels that training never saw, print its table, and save it with\n"
        "this command, its seed and the SHA-256 of the weights:\n\n"
        + "\n".join(f"  {name:13} {experiment.about}" for name, experiment in EXPERIMENTS.items()),
        "  genie-mini memory recall --weights runs/sparse --out runs/sparse/recall.json\n"
        "  genie-mini memory ablations --cases 64",
    )
    parser.add_argument(
        "experiment", choices=list(EXPERIMENTS), metavar="EXPERIMENT", help="one of those above"
    )
    add_weights(parser)
    add_device(parser)
    parser.add_argument(
        "--cases", type=at_least(2), help="levels or clips (default: the experiment's own)"
    )
    parser.add_argument(
        "--lookback",
        choices=list(LOOKBACKS),
        help="which earlier frames it looks back at (default: as it was trained)",
    )
    add_seed(parser, "levels and sampling")
    add_out_file(parser, "the table", "memory.json")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    name, weights, seed = arguments.experiment, arguments.weights, arguments.seed
    for option in ("cases", "seed"):
        if getattr(arguments, option) and option not in EXPERIMENTS[name].takes:
            raise GenieError(f"{name} takes no --{option}: leave it out")
    prepare_file(arguments.out, {"command", "rows"})
    device = choose_device(arguments.device)
    genie = Genie.from_pretrained(weights)
    if arguments.lookback is not None:
        genie = genie.with_lookback(arguments.lookback)
    genie = genie.to(device)
    rows = run_experiment(genie, name, read_measured_names(weights), arguments.cases, seed)
    words = ["genie-mini", "memory", name, "--weights", weights, "--seed", str(seed)]
    words += ["--cases", str(arguments.cases)] if arguments.cases else []
    words += ["--lookback", arguments.lookback] if arguments.lookback else []
    # Sums on another device differ in their last digits.
    words += ["--device", device.type] if device.type != "cpu" else []
    try:
        save_table(arguments.out, rows, shlex.join(words), seed, weights)
    finally:  # they have taken minutes: told even where they cannot be kept
        print(format_rows(rows))
    print(f"saved to {arguments.out}")
