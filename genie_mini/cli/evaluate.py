"""`genie-mini evaluate`: score a Genie."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_films,
    add_weights,
    at_least,
    check_films,
    films_of,
    stays_as_it_is,
)
from genie_mini.data.cache import SPLITS, CachedVideos, true_actions
from genie_mini.data.gymnasium_envs import action_meanings
from genie_mini.device import choose_device
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import (
    NAMES,
    check_name,
    read_action_names,
    save_names_by_labels,
)
from genie_mini.evaluation.report_page import draw_pictures, write_report
from genie_mini.evaluation.scores import evaluate, format_scores, save_scores
from genie_mini.evaluation.world_report import evaluate_videos, format_report
from genie_mini.files import weights_folder, weights_hashes
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_file, prepare_folder

FEWEST_CLIPS = 64  # with fewer, too few labelled transitions are left to test the action map on
_SCORES = Path("scores.json")
_REPORT = Path("report.json")


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
        "on the buttons of `genie-mini play`.\n\n"
        "With --data, score it on films of any world: on the tenth of them that is held\n"
        "out, with 95% intervals, and where true actions are known beside a supervised\n"
        "network. Beside the JSON a page is written, with what each action does, roll-outs\n"
        "beside the truth, and the curves of the training.",
        "  genie-mini evaluate --weights runs/pocket --out runs/pocket/scores.json\n"
        "  genie-mini evaluate --weights runs/mine --data my_videos\n"
        "  genie-mini evaluate --weights runs/pong --data gymnasium:ALE/Pong-v5 --names",
    )
    add_weights(parser)
    add_device(parser)
    parser.add_argument(
        "--clips",
        type=at_least(FEWEST_CLIPS),
        default=128,
        help=f"to score on, from {FEWEST_CLIPS} (default: %(default)s)",
    )
    add_films(
        parser,
        "score on the films of a recording, of a folder of them, or of an environment of "
        "Gymnasium or a game of Procgen, which is recorded as in training (default: on the "
        "platformer)",
    )
    parser.add_argument(
        "--names",
        action="store_true",
        help="name the latent actions by 200 true ones of --data, an environment, and keep the "
        f"names beside the weights ({NAMES}) for the buttons of play and export; those given by "
        "hand in `genie-mini play` go before",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"file for the scores (default: {_SCORES}; with --data {_REPORT} beside the weights, "
        "if they are your own)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check_films(arguments)
    if arguments.data is not None:
        _run_on_films(arguments)
        return
    if arguments.names:
        raise GenieError(
            "--names is for --data, which is not given; without it the names of the platformer "
            "are in the scores"
        )
    out = arguments.out or _SCORES
    prepare_file(out, {"scores", "latent_to_real"})
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    scores, names = evaluate(genie, arguments.clips)
    try:
        save_scores(out, scores, names)
    finally:  # they have taken minutes: told even where they cannot be kept
        print(format_scores(scores))
    print(f"saved to {out}")


def _run_on_films(arguments):
    folder = weights_folder(arguments.weights)
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    beside = Path() if stays_as_it_is(folder) else folder
    out = arguments.out or beside / _REPORT
    if arguments.names:
        _check_names_can_be_kept(folder)
    if out.suffix != ".json":
        raise GenieError(f"--out is the name of a .json file, beside which a page goes; got {out}")
    prepare_file(out, {"scores", "drift"})
    page = out.with_suffix(".html")
    if page.exists() and not out.exists():
        raise GenieError(f"{page} is there, and no report: give another name as --out")
    [films] = films_of(arguments, [arguments.data], genie.config)
    train, held_out = (CachedVideos(films, split) for split in SPLITS)
    meanings = _meanings(arguments, films, held_out.source) if arguments.names else None
    report = evaluate_videos(
        genie,
        train,
        held_out,
        partial(true_actions, films),
        num_clips=arguments.clips,
        weights=weights_hashes(folder),
    )
    try:
        pictures = draw_pictures(genie, held_out)
        title = f"{folder.resolve().name} on {Path(arguments.data).name}"
        write_report(out, report, pictures, title, folder)
    finally:  # they have taken minutes: told even where they cannot be kept
        print(format_report(report))
    print(f"saved to {out}; the page is {page}")
    if meanings is not None:
        _save_names(folder, report.latent_to_real, meanings)


def _check_names_can_be_kept(folder):
    if stays_as_it_is(folder):
        raise GenieError(
            f"--names are kept beside the weights, and {folder} ships with the package or is the "
            "copy of a Genie on the hub, which stays as it is"
        )
    prepare_folder(folder)
    read_action_names(folder)  # no older file stands in the way


def _meanings(arguments, films, source):
    """What true actions are called, by their numbers."""
    if true_actions(films, np.zeros(1, dtype=np.int64), 2) is None:
        raise GenieError(
            f"--names needs true actions, and nobody knows those of {arguments.data}: give an "
            "environment of Gymnasium, or put the actions into a folder truth beside the films, or "
            "name the buttons in `genie-mini play`"
        )
    return dict(enumerate(map(check_name, action_meanings(source) or [])))


def _save_names(folder, latent_to_real, meanings):
    if latent_to_real is None:
        raise GenieError("--names found no true action in the clips that were drawn")
    names = [meanings.get(real, f"true action {real}") for real in latent_to_real]
    shown = save_names_by_labels(folder, names, len(names))
    buttons = ", ".join(f"{button} {name}" for button, name in enumerate(shown, start=1))
    print(f"the buttons are called {buttons} ({folder / NAMES})")
