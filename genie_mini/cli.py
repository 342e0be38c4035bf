"""The command `genie-mini`: train a Genie, play it, score it, probe its memory, export it, and
record the platformer.
"""

import argparse
import shlex
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import torch

from genie_mini.data.platformer import PlatformerVideos
from genie_mini.data.platformer_files import record_files
from genie_mini.data.video_files import VideoFolder
from genie_mini.device import DEVICES, PLAY_THREADS, PRECISIONS, choose_device, threads
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.evaluation.scores import evaluate, format_scores, save_scores
from genie_mini.export.write import export
from genie_mini.files import save_table
from genie_mini.genie import Genie
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.play.server import PlayServer
from genie_mini.studies.tables import EXPERIMENTS, format_rows, run_experiment
from genie_mini.training.config import LOOKBACK_TRAINING, TRAINING_PRESETS, TrainingConfig
from genie_mini.training.trainer import Interrupted, train
from genie_mini.world.simulation import SIZES

FEWEST_CLIPS = 64  # with fewer, too few labelled transitions are left to test the action map on


def at_least(lowest):
    """A converter for argparse: integers from `lowest` up."""

    def integer(text):
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be {lowest} or more, got {text}")
        return int(text)

    return integer


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="genie-mini",
        description="A small Genie: a world learnt from video alone, played with actions that it "
        "found by itself.",
        epilog="`genie-mini COMMAND --help` says what a command does, with an example.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_train, _add_play, _add_evaluate, _add_export, _add_memory, _add_record):
        add(commands)
    return parser


def _add_command(commands, name, function, summary, text, example):
    """Add a command whose text and example keep their lines."""
    added = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(function=function)
    return added


def _add_train(commands):
    training = _add_command(
        commands,
        "train",
        run_train,
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
    training.add_argument(
        "--preset",
        choices=["pocket", "mini", "coinrun"],
        default="pocket",
        help="sizes of the networks (default: %(default)s)",
    )
    training.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a recording or a folder of them: videos, or .npy files as `genie-mini record` writes "
        "them (default: the platformer, filmed anew for every step)",
    )
    training.add_argument(
        "--steps",
        type=at_least(1),
        metavar="N",
        help="steps that each network learns (default: the preset's own schedule)",
    )
    training.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="folder for the result and the state"
    )
    training.add_argument(
        "--seed",
        type=at_least(0),
        default=0,
        help="of weights, clips and masks (default: %(default)s)",
    )
    training.add_argument(
        "--compile", action="store_true", help="translate the networks first; needs a C++ compiler"
    )
    training.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of matrix products; auto is bf16 where the hardware has it (default: the preset's)",
    )
    _add_device(training)
    training.add_argument(
        "--lookback",
        choices=list(LOOKBACKS),
        help="take a trained Genie (--from), let its dynamics model choose its past in this "
        "way, and train only that on clips of 64 frames",
    )
    training.add_argument(
        "--from",
        dest="trained",
        default="mini",
        metavar="NAME|DIR",
        help="the Genie that --lookback goes on from (default: %(default)s)",
    )


def _add_play(commands):
    playing = _add_command(
        commands,
        "play",
        run_play,
        "play a Genie in the browser",
        "Open a page in the browser on which the number keys, or the arrow keys once the\n"
        "actions have names, play a world that the model draws frame by frame. The page is\n"
        "served by this machine to itself alone. Ctrl-C stops it.",
        "  genie-mini play\n  genie-mini play --weights runs/pocket --prompt photo.jpg",
    )
    _add_weights(playing)
    _add_device(playing)
    start = playing.add_mutually_exclusive_group()
    start.add_argument(
        "--prompt", type=Path, metavar="IMAGE", help="begin from a picture, cut to a square"
    )
    start.add_argument(
        "--level", type=at_least(0), metavar="SEED", help="begin from a platformer level"
    )
    playing.add_argument(
        "--port",
        type=at_least(0),
        default=0,
        help="of the page; 0 takes a free one (default: %(default)s)",
    )
    playing.add_argument("--no-browser", action="store_true", help="only print the page's address")


def _add_evaluate(commands):
    scoring = _add_command(
        commands,
        "evaluate",
        run_evaluate,
        "score a Genie",
        "Print and save all scores on levels that training never saw, each beside what\n"
        "chance would get, the best that is possible, and the goal; and name the latent\n"
        "actions. Written as scores.json into the folder of the weights, the names appear\n"
        "on the buttons of `genie-mini play`.",
        "  genie-mini evaluate --weights runs/pocket --out runs/pocket/scores.json",
    )
    _add_weights(scoring)
    _add_device(scoring)
    scoring.add_argument(
        "--clips",
        type=at_least(FEWEST_CLIPS),
        default=128,
        help=f"to score on, from {FEWEST_CLIPS} (default: %(default)s)",
    )
    scoring.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("scores.json"),
        help="file for the scores (default: %(default)s)",
    )


def _add_export(commands):
    exporting = _add_command(
        commands,
        "export",
        run_export,
        "write a Genie as ONNX",
        "Write what play needs as ONNX files: the dynamics model's step, the tokenizer's\n"
        "decoder and its encoder, in float32, float16 and int8, with world.json, which\n"
        "describes them. The float32 files are checked against PyTorch. Needs the packages\n"
        "of genie-mini[export].",
        "  genie-mini export --weights runs/pocket --out runs/pocket/onnx",
    )
    _add_weights(exporting)
    _add_device(exporting)
    exporting.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="folder for the files"
    )


def _add_memory(commands):
    probing = _add_command(
        commands,
        "memory",
        run_memory,
        "rerun an experiment on memory",
        "Run one of these on levels that training never saw, print its table, and save it with\n"
        "this command, its seed and the SHA-256 of the weights:\n\n"
        + "\n".join(f"  {name:10} {experiment.about}" for name, experiment in EXPERIMENTS.items()),
        "  genie-mini memory recall --weights runs/sparse --out runs/sparse/recall.json\n"
        "  genie-mini memory ablations --cases 64",
    )
    probing.add_argument(
        "experiment", choices=list(EXPERIMENTS), metavar="EXPERIMENT", help="one of those above"
    )
    _add_weights(probing)
    _add_device(probing)
    probing.add_argument(
        "--cases", type=at_least(2), help="levels or clips (default: the experiment's own)"
    )
    probing.add_argument(
        "--seed", type=at_least(0), default=0, help="of levels and sampling (default: %(default)s)"
    )
    probing.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("memory.json"),
        help="file for the table (default: %(default)s)",
    )


def _add_record(commands):
    filming = _add_command(
        commands,
        "record",
        run_record,
        "record the platformer",
        "Film the platformer. clips.npy holds bytes (clips, frames, size, size, 3), ten\n"
        "frames a second. What the videos do not tell (actions, positions) goes into\n"
        "truth/truth.npz, which `genie-mini train --data DIR` never reads.",
        "  genie-mini record --out clips --clips 2000 --size 32\n"
        "  genie-mini train --preset pocket --data clips --out runs/pocket",
    )
    filming.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="folder for the files"
    )
    filming.add_argument(
        "--clips",
        type=at_least(1),
        default=1000,
        help="each from a level of its own (default: %(default)s)",
    )
    filming.add_argument(
        "--frames", type=at_least(2), default=16, help="of each clip (default: %(default)s)"
    )
    filming.add_argument(
        "--size",
        type=int,
        choices=SIZES,
        default=64,
        help="height and width, pixels (default: %(default)s)",
    )
    filming.add_argument(
        "--seed", type=at_least(0), default=0, help="of levels and actions (default: %(default)s)"
    )
    filming.add_argument(
        "--gif", action="store_true", help="also write preview/clips.gif, a few clips side by side"
    )


def _add_device(parser):
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where to compute; auto is a GPU where there is one (default: %(default)s)",
    )


def _add_weights(parser):
    parser.add_argument(
        "--weights",
        default="mini",
        metavar="NAME|DIR",
        help="weights that ship, or a folder that training wrote (default: %(default)s)",
    )


def training_config(
    preset: str, steps: int | None, *, seed: int, compile: bool, precision: str | None = None
) -> TrainingConfig:
    """A preset's schedule, stretched to `steps` steps of each network if given.

    Raises:
        ValueError: the preset has no schedule.
    """
    if preset not in TRAINING_PRESETS:
        raise GenieError(
            f"the preset {preset} has no training schedule; these have one: "
            f"{', '.join(TRAINING_PRESETS)}"
        )
    config = TRAINING_PRESETS[preset]
    config = replace(config, seed=seed, compile=compile, precision=precision or config.precision)
    if steps is None:
        return config
    latent_action_pretraining_steps = round(
        steps * config.latent_action_pretraining_steps / config.latent_action_steps
    )
    return replace(
        config,
        tokenizer_steps=steps,
        latent_action_steps=steps,
        latent_action_pretraining_steps=latent_action_pretraining_steps,
        dynamics_steps=steps,
    )


def run_train(arguments):
    """`genie-mini train`"""
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
    if arguments.data is None:
        videos = PlatformerVideos(size, returning=arguments.lookback is not None)
    else:
        videos = VideoFolder(arguments.data, size)
    train(genie.to(device), videos, config, arguments.out)
    print(f"trained; play it with `genie-mini play --weights {arguments.out}`")


def run_play(arguments):
    """`genie-mini play`"""
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    names = read_action_names(arguments.weights)
    start = {"prompt": arguments.prompt, "level": arguments.level}
    with PlayServer(genie, names, **start, port=arguments.port) as server:
        print(f"play at {server.address} (Ctrl-C stops)", flush=True)
        if not arguments.no_browser:
            webbrowser.open(server.address)
        try:
            with threads(PLAY_THREADS):
                server.serve_forever()
        except KeyboardInterrupt:  # the way to stop, not a failure
            print()


def run_evaluate(arguments):
    """`genie-mini evaluate`"""
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)  # before the minutes of work
    scores, names = evaluate(genie, arguments.clips)
    print(format_scores(scores))
    save_scores(arguments.out, scores, names)
    print(f"saved to {arguments.out}")


def run_export(arguments):
    """`genie-mini export`"""
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    differences = export(genie, arguments.out, action_names=read_action_names(arguments.weights))
    for variant, difference in differences.items():
        print(f"{variant}: logits differ from PyTorch's by {difference:.2g} at most")


def run_memory(arguments):
    """`genie-mini memory`"""
    genie = Genie.from_pretrained(arguments.weights).to(choose_device(arguments.device))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)  # before the minutes of work
    names = read_action_names(arguments.weights)
    rows = run_experiment(genie, arguments.experiment, names, arguments.cases, arguments.seed)
    words = [
        "genie-mini",
        "memory",
        arguments.experiment,
        "--weights",
        arguments.weights,
        "--seed",
        str(arguments.seed),
    ]
    words += ["--cases", str(arguments.cases)] if arguments.cases else []
    print(format_rows(rows))
    save_table(arguments.out, rows, shlex.join(words), arguments.seed, arguments.weights)
    print(f"saved to {arguments.out}")


def run_record(arguments):
    """`genie-mini record`"""
    record_files(
        arguments.out,
        arguments.clips,
        arguments.frames,
        size=arguments.size,
        seed=arguments.seed,
        preview=arguments.gif,
    )


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


if __name__ == "__main__":
    sys.exit(main())
