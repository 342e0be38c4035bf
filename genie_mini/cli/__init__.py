"""The command `genie-mini`: train a Genie, play it, score it, probe its memory, export it, and
record the platformer.

A module here holds the arguments of one command; what the command does is a public function of
another room.
"""

import argparse
import importlib.metadata
import io
import os
import sys

import torch

from genie_mini.cli import evaluate, export, memory, play, record, train
from genie_mini.cli.options import fetch_weights
from genie_mini.errors import GenieError
from genie_mini.training.distributed import ToldElsewhere, is_first
from genie_mini.training.trainer import Interrupted


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="genie-mini",
        description="A small Genie: a world learnt from video alone, played with actions that it "
        "found by itself.",
        epilog="`genie-mini COMMAND --help` says what a command does, with an example.",
    )
    version = importlib.metadata.version("genie-mini")
    parser.add_argument("--version", action="version", version=f"genie-mini {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (train, play, evaluate, export, memory, record):
        module.add(commands)
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the command with these words (the process's own without) and return its exit code.

    0: done. 2: what was asked for cannot be done, said in one line. 130: stopped by Ctrl-C. 141:
    whoever read the output has gone, as `head` does; results that go into files lie there.
    """
    _open_streams()
    try:
        arguments = build_parser().parse_args(words)
        fetch_weights(arguments)
        arguments.function(arguments)
    except (GenieError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        if isinstance(error, BrokenPipeError):
            return _close_output(141)
        if not isinstance(error, ToldElsewhere):
            print(f"{_who()}: {_in_words(error)}", file=sys.stderr)
        return _close_output(2)
    except (Interrupted, KeyboardInterrupt) as stop:
        if is_first():  # all processes stop together
            print(f"genie-mini: {str(stop) or 'stopped'}", file=sys.stderr)
        return _close_output(130)
    except SystemExit:  # argparse has said what it has to
        _close_output(0)
        raise
    return _close_output(0)


def _who():
    """Who tells what went wrong: of several processes, which."""
    return "genie-mini" if is_first() else f"genie-mini, process {os.environ['RANK']}"


def _open_streams():
    """Make sure that there is something to print to: a parent may have closed it, or have given it
    an encoding that lacks a letter of a file's name.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _in_words(error):
    """What went wrong, without Python's own numbers."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"the memory does not suffice: {error}".splitlines()[0]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _close_output(code):
    """Write out what was printed, now, while a failure can be told; return the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return code or 141
        print(f"genie-mini: the output could not be written: {error.strerror}", file=sys.stderr)
        return 2
    return code
