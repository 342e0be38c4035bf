"""`genie-mini play`: play a Genie in the browser."""

import argparse
import webbrowser
from pathlib import Path

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_fit,
    add_weights,
    at_least,
    check_used,
    chosen_fit,
    stays_as_it_is,
)
from genie_mini.data.pictures import read_picture
from genie_mini.device import PLAY_THREADS, choose_device, threads
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.export.engine import ENGINES, choose_engine
from genie_mini.files import weights_folder
from genie_mini.genie import Genie
from genie_mini.play.prompts import saved_prompts
from genie_mini.play.server import PlayServer
from genie_mini.training.config import LAST_SEED


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "play",
        run,
        "play a Genie in the browser",
        "Open a page in the browser on which the number keys, or the arrow keys once the\n"
        "actions have names, play a world that the model draws frame by frame. The page is\n"
        "served by this machine to itself alone. Ctrl-C stops it.\n\n"
        "The buttons of a Genie of your own can be named on the page. The names are kept\n"
        "beside its weights (action_names.json), where export finds them too.",
        "  genie-mini play\n  genie-mini play --weights runs/pocket --prompt photo.jpg",
    )
    add_weights(parser)
    add_device(parser)
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what draws the frames, which are the same; auto is onnxruntime, the faster one, on a "
        "CPU with the packages of genie-mini[export]. It makes graphs of weights before it plays "
        "them for the first time, which takes a while (default: %(default)s)",
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--prompt", type=Path, metavar="IMAGE", help="begin from a picture")
    start.add_argument(
        "--level", type=at_least(0, LAST_SEED), metavar="SEED", help="begin from a platformer level"
    )
    add_fit(parser)
    parser.add_argument(
        "--port",
        type=at_least(0),
        default=0,
        help="of the page; 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    names = read_action_names(arguments.weights)
    start = {"prompt": arguments.prompt, "level": arguments.level}
    check_used(arguments, "fit", "prompt")
    if arguments.prompt is not None:
        size = genie.config.tokenizer.image_size
        fit = chosen_fit(arguments, arguments.prompt)
        start["prompt"] = read_picture(arguments.prompt, size, fit)
    own = saved_prompts(arguments.weights, genie.config.tokenizer.image_size)
    folder = weights_folder(arguments.weights)
    naming = None if stays_as_it_is(folder) else folder
    with PlayServer(
        genie, names, **start, port=arguments.port, own=own, names_folder=naming
    ) as server:
        server.play_with(choose_engine(genie, arguments.engine))
        print(f"play at {server.address} (Ctrl-C stops)", flush=True)
        if not arguments.no_browser:
            webbrowser.open(server.address)
        try:
            with threads(PLAY_THREADS):
                server.serve_forever()
        except KeyboardInterrupt:  # the way to stop, not a failure
            print()
