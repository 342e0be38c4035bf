"""The command `genie-mini`: train a Genie, play it, score it, probe its memory, export it, and
record the platformer.

A module here holds the arguments of one command; what the command does is a public function of
another room.
"""

import argparse
import sys

from genie_mini.cli import evaluate, export, memory, play, record, train
from genie_mini.training.trainer import Interrupted


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="genie-mini",
        description="A small Genie: a world learnt from video alone, played with actions that it "
        "found by itself.",
        epilog="`genie-mini COMMAND --help` says what a command does, with an example.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (train, play, evaluate, export, memory, record):
        module.add(commands)
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the command with these words (the process's own without) and return its exit code.

    0: done. 2: what was asked for cannot be done, said in one line. 130: stopped by Ctrl-C.
    """
    arguments = build_parser().parse_args(words)
    try:
        arguments.function(arguments)
    except (ValueError, OSError) as error:
        print(f"genie-mini: {error}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        print(f"genie-mini: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130
    return 0
