"""What the commands share: the way a command is added, and the options that several have."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from genie_mini.data.gymnasium_envs import POLICIES, USUAL_POLICY
from genie_mini.data.pictures import FITS
from genie_mini.data.sources import cached_films, is_game, usual_fit
from genie_mini.device import DEVICES, PRECISIONS
from genie_mini.errors import GenieError
from genie_mini.files import ships, weights_folder
from genie_mini.hub import fetch, is_copy, is_hub_id
from genie_mini.outputs import prepare_folder, user_cache
from genie_mini.presets import GenieConfig
from genie_mini.training.config import LAST_SEED, MOST

Commands = argparse._SubParsersAction  # argparse has no public word for it


def add_command(
    commands: Commands,
    name: str,
    function: Callable[[argparse.Namespace], None],
    summary: str,
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a command whose text and example keep their lines.

    Args:
        commands: receives it.
        name: the word that calls it.
        function: runs it, given the arguments.
        summary: a line for the list of all commands.
        text: what its help says above the options.
        example: what its help says below them.
    """
    added = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(function=function)
    return added


def at_least(lowest: int, highest: int = MOST) -> Callable[[str], int]:
    """A converter for argparse: integers from `lowest` up to `highest`."""

    def integer(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be {lowest} or more, got {text}")
        if int(text) > highest:
            raise argparse.ArgumentTypeError(f"must be {highest} or less, got {text}")
        return int(text)

    return integer


def between(lowest: float, highest: float) -> Callable[[str], float]:
    """A converter for argparse: numbers from `lowest` to `highest`."""

    def number(text: str) -> float:
        value = float(text)
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"must be from {lowest:g} to {highest:g}, got {text}")
        return value

    return number


def add_weights(parser: argparse.ArgumentParser) -> None:
    """--weights: a trained Genie."""
    parser.add_argument(
        "--weights",
        default="mini",
        metavar="NAME|DIR",
        help="weights that ship, a folder that training wrote, or the id of a Genie on the hub, "
        "owner/name (default: %(default)s)",
    )


def fetch_weights(arguments: argparse.Namespace) -> None:
    """Put the folder of its local copy in the place of each Genie on the hub that is named, so that
    all that a command does reads one version of it.

    Raises:
        GenieError: the hub does not give it.
    """
    for option in ("weights", "trained"):
        name = getattr(arguments, option, None)
        if is_hub_id(name) and not weights_folder(name).exists():
            setattr(arguments, option, str(fetch(name)))


def stays_as_it_is(folder: Path) -> bool:
    """Whether a folder of weights is no place for one's own files: it ships with the package, or is
    the copy of a Genie on the hub.
    """
    return ships(folder) or is_copy(folder)


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device: where to compute."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where to compute; auto is a GPU where there is one (default: %(default)s)",
    )


def add_fit(parser: argparse.ArgumentParser) -> None:
    """--fit: of pictures of another shape."""
    parser.add_argument(
        "--fit",
        choices=FITS,
        help="how pictures of another shape get that of the frames: their middle is cut out, black "
        "bars are added, or they are stretched (default: crop; stretch for a game)",
    )


def add_films(parser: argparse.ArgumentParser, what: str, *, several: bool = False) -> None:
    """--data, `what` is done with it, and how its films are made and kept.

    Args:
        parser: receives the options.
        what: help on --data.
        several: whether it may be given more than once; it is a list then.
    """
    action = "append" if several else "store"
    parser.add_argument(
        "--data", metavar="PATH|gymnasium:ENV_ID|procgen:GAME", help=what, action=action
    )
    add_fit(parser)
    parser.add_argument(
        "--policy",
        choices=list(POLICIES),
        help="who plays the game that --data names: a new action at every step, or each kept for "
        f"four on average (default: {USUAL_POLICY})",
    )
    _add_cache(parser)


def _add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache: where the films of --data are kept."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for the decoded films of --data (default: the environment variable "
        "GENIE_MINI_CACHE, or else .cache/genie-mini in the home folder)",
    )


def check_films(arguments: argparse.Namespace) -> None:
    """Refuse --cache, --fit and --policy where they would do nothing.

    Raises:
        GenieError: one is given without --data.
    """
    for option in ("cache", "fit", "policy"):
        check_used(arguments, option, "data")


def films_of(arguments: argparse.Namespace, data: Sequence[str], config: GenieConfig) -> list[Path]:
    """The folders of the cache with the films that --data names, decoded if they were not before.

    Args:
        arguments: of the command.
        data: each --data.
        config: of the Genie that is to see them: size and rate of the frames.

    Raises:
        GenieError: they cannot be had, or --policy is given and nobody plays.
    """
    if arguments.policy is not None and not any(map(is_game, data)):
        raise GenieError(
            f"--policy is for games (gymnasium:ENV_ID, procgen:GAME), and {', '.join(data)} is none"
        )
    cache = arguments.cache or user_cache()
    prepare_folder(cache)
    policy = arguments.policy or USUAL_POLICY
    return [
        cached_films(
            text,
            config.tokenizer.image_size,
            cache,
            fit=chosen_fit(arguments, text),
            policy=policy,
            frames_per_second=config.frames_per_second,
        )
        for text in data
    ]


def chosen_fit(arguments: argparse.Namespace, named: str | Path) -> str:
    """The --fit of what is named, the usual one where none was asked for."""
    return arguments.fit or usual_fit(str(named))


def check_used(arguments: argparse.Namespace, option: str, source: str) -> None:
    """Refuse an option that would do nothing.

    Raises:
        GenieError: it is given without the option whose pictures it is for.
    """
    if getattr(arguments, option) is not None and getattr(arguments, source) is None:
        raise GenieError(f"--{option} is for --{source}, which is not given")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """--precision: of matrix products."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of matrix products; auto is bf16 where the hardware has it (default: the preset's)",
    )


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """--seed: of all chance in the command, which `what` names."""
    parser.add_argument(
        "--seed", type=at_least(0, LAST_SEED), default=0, help=f"of {what} (default: %(default)s)"
    )


def add_out_folder(parser: argparse.ArgumentParser, what: str = "the files") -> None:
    """--out: a folder, which must be named."""
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help=f"folder for {what}")


def add_out_file(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    """--out: a file, `default` in this folder if none is named."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path(default),
        help=f"file for {what} (default: %(default)s)",
    )
