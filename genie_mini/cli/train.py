"""`genie-mini train`: train a Genie on videos."""

import argparse
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from genie_mini.cli.options import (
    Commands,
    add_command,
    add_device,
    add_out_folder,
    add_precision,
    add_seed,
    check_films,
    check_used,
    films_of,
)
from genie_mini.cli.train_options import (
    DIVISION,
    add_division,
    add_lookback,
    add_tokenizer,
    add_what,
)
from genie_mini.data.cache import SPLITS, CachedVideos
from genie_mini.data.platformer import PlatformerVideos
from genie_mini.data.several_worlds import SeveralWorlds
from genie_mini.data.sources import is_game
from genie_mini.data.videos import Videos
from genie_mini.device import choose_device
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_grid import FILM_FRAMES, draw_strip
from genie_mini.files import as_weights, weights_folder, weights_hashes
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_folder
from genie_mini.play.prompts import save_prompts
from genie_mini.training.config import (
    DEFAULT_MINUTES,
    LOOKBACK_TRAINING,
    training_config,
)
from genie_mini.training.distributed import all_ranks, is_first, on_first
from genie_mini.training.folder import CHECKPOINT, claim, patches_of_run
from genie_mini.training.patch_choice import (
    choose_patches,
    count_patches,
    view_patches,
    with_patches,
)
from genie_mini.training.request import Request
from genie_mini.training.trainer import train
from genie_mini.world.recording import record

_PROMPTS = 6  # pictures that travel with the weights
# The sizes whose tokens may be patches where nothing is said: the others are the paper's own.
_CHOOSING = ("pocket", "mini")
_COUNTED = 0.75  # share of the films whose patches are counted, to look at the others through them


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "train",
        run,
        "train a Genie on videos",
        "Train all three networks in two phases: the tokenizer; then the latent action\n"
        "model and the dynamics model. Ctrl-C saves the state and stops; the same command\n"
        "goes on from there, and with more --steps or --minutes it learns on. The folder\n"
        "receives the trained Genie (config.json and three .safetensors files), the losses\n"
        "of each step (tokenizer.csv, world.csv), with --data six pictures to begin from\n"
        "(prompts/), and every few minutes preview.png: what each action does by then.\n"
        "Several processes train one Genie together if torchrun starts them:\n"
        "torchrun --nproc-per-node 4 -m genie_mini.cli train ...",
        "  genie-mini train --preset pocket --out runs/pocket\n"
        "  genie-mini train --data my_videos --minutes 60 --out runs/mine\n"
        "  genie-mini train --lookback sparse --from mini --out runs/sparse\n"
        "  genie-mini play --weights runs/pocket",
    )
    add_what(parser)
    add_out_folder(parser, "the result and the state")
    add_seed(parser, "weights, clips and masks")
    parser.add_argument(
        "--compile", action="store_true", help="translate the networks first; needs a C++ compiler"
    )
    add_precision(parser)
    add_device(parser)
    add_division(parser)
    add_lookback(parser)
    add_tokenizer(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    _check_pairs(arguments)
    if arguments.lookback is None:
        arguments.preset = arguments.preset or "pocket"
        if arguments.steps is None and arguments.minutes is None:
            arguments.minutes = DEFAULT_MINUTES.get(arguments.preset)
    check_films(arguments)
    device = choose_device(arguments.device)
    with all_ranks(device):
        _train(arguments, device)


def _train(arguments, device):
    """Train, in every process that `torchrun` has started; the first one writes and tells."""
    on_first(lambda: prepare_folder(arguments.out))
    torch.manual_seed(arguments.seed)
    genie, config, origin = _what_to_train(arguments)
    # The videos may take minutes to read; a folder that is another run's is told before.
    wish = Request.of(genie, config, None, origin, arguments.minutes)
    on_first(lambda: claim(arguments.out, wish))
    size, prompts = genie.config.tokenizer.image_size, None
    videos: Videos
    if arguments.data is None:
        videos = PlatformerVideos(size[0], returning=arguments.lookback is not None)
        film = torch.from_numpy(record(1, FILM_FRAMES, size=size[0], held_out=True)[0][0])
    else:
        folders = films_of(arguments, arguments.data, genie.config)
        videos, held_out = (_of_folders(folders, split) for split in SPLITS)
        film = _film_of(held_out if held_out.longest > 1 else videos)
        # Of films that training does not see, if any are held out.
        prompts = (held_out if held_out.longest else videos).batch(_PROMPTS, 1, [0])[:, 0]
    new = on_first(lambda: not (arguments.out / CHECKPOINT).exists())
    patches = on_first(lambda: _find_patches(arguments, genie, config, videos)) if new else None
    if patches is not None:
        genie, config = choose_patches(genie, config, patches)
    train(
        genie.to(device),
        videos,
        config,
        arguments.out,
        minutes=arguments.minutes,
        origin=origin,
        draw_preview=partial(draw_strip, film=film),
    )
    if is_first():
        if prompts is not None:
            save_prompts(arguments.out, prompts)
        command = shlex.join(["genie-mini", "play", "--weights", as_weights(arguments.out)])
        print(f"trained; play it with `{command}`")


def _find_patches(arguments, genie, config, videos):
    """The patches that are the tokens of a new run, as asked for, or as its films are; None where
    tokens are learnt. Says what it saw.

    Args:
        arguments: of the command.
        genie, config: of the preset.
        videos: that it is trained on.
    """
    patch_size, seed = genie.config.tokenizer.patch_size, arguments.seed
    wish = arguments.tokenizer
    if wish is None:
        wish = "auto" if arguments.preset in _CHOOSING else "learnt"
    if wish == "learnt":
        return None
    if wish == "patches":
        return count_patches(videos, patch_size, seed)
    counted = others = videos  # the platformer is filmed anew for each clip
    if isinstance(videos, CachedVideos | SeveralWorlds):
        counted, others = videos.divided(_COUNTED)
        if videos.longest < config.num_frames or min(counted.longest, others.longest) < 2:
            return None  # too little to train on, as will be told, or to look at
    patches = count_patches(counted, patch_size, seed)
    worlds = others.worlds if isinstance(others, SeveralWorlds) else [others]
    views = [view_patches(patches, world, patch_size, seed) for world in worlds]
    # What one world needs, all get: a picture is made of tokens of one kind.
    fit = all(view.fits for view in views)
    chosen = "the most frequent patches" if fit else "learnt"
    seen = "; ".join(map(str, views))
    print(f"tokens are {chosen}: with a codebook of patches, {seen}", file=sys.stderr)
    if not fit:
        return None
    return patches if counted is videos else count_patches(videos, patch_size, seed)


def _of_folders(folders: list[Path], split: str) -> CachedVideos | SeveralWorlds:
    """The films of one world or of several."""
    worlds = [CachedVideos(folder, split) for folder in folders]
    return worlds[0] if len(worlds) == 1 else SeveralWorlds(worlds)


def _film_of(films: CachedVideos | SeveralWorlds) -> Tensor:
    """Some frames in a row for the preview."""
    return films.batch(1, min(FILM_FRAMES, films.longest), [0])[0]


def _check_pairs(arguments):
    """Refuse an option that another leaves nothing to do for."""
    check_used(arguments, "fps", "data")
    if arguments.fps is not None and all(map(is_game, arguments.data)):
        raise GenieError(f"--fps is for films, and {', '.join(arguments.data)} is a game")
    if arguments.steps is not None and arguments.minutes is not None:
        raise GenieError(
            "--minutes decides how many steps there are, and --steps says so: leave one of them out"
        )
    if arguments.lookback is None and arguments.trained is not None:
        raise GenieError(
            "--from names the Genie that --lookback goes on from: give --lookback too, or leave "
            "--from out"
        )
    if arguments.lookback is not None and arguments.fps is not None:
        raise GenieError(
            "--fps is for new networks, --lookback goes on from a Genie that has its own (--from): "
            "leave one of them out"
        )
    if arguments.lookback is not None and arguments.tokenizer is not None:
        raise GenieError(
            "--tokenizer is for new networks, --lookback goes on from a Genie that has its own "
            "(--from): leave one of them out"
        )
    if arguments.lookback is not None and arguments.preset is not None:
        raise GenieError(
            "--preset gives sizes to new networks, --lookback goes on from a Genie that has its "
            "own (--from): leave one of them out"
        )


def _what_to_train(arguments):
    """The Genie, its schedule, and what it begins as."""
    options = {"seed": arguments.seed, "compile": arguments.compile}
    options |= {name: getattr(arguments, name) for name in DIVISION}
    if arguments.precision:
        options["precision"] = arguments.precision
    if arguments.batch_size is not None:
        options |= {"batch_size": arguments.batch_size, "dynamics_batch_size": None}
    if arguments.lookback is None:
        config = training_config(arguments.preset, arguments.steps, **options)
        genie = Genie.from_preset(arguments.preset)
        if arguments.fps is not None:
            genie.config = replace(genie.config, frames_per_second=arguments.fps)
        num_patches = on_first(lambda: patches_of_run(arguments.out))
        if num_patches is None and arguments.tokenizer == "patches":  # still to be counted
            num_patches = genie.config.tokenizer.quantizer.num_codes
        if num_patches is not None and arguments.tokenizer != "learnt":
            genie, config = with_patches(genie, config, num_patches)
        return genie, config, f"preset {arguments.preset}"
    trained = "mini" if arguments.trained is None else arguments.trained
    genie = Genie.from_pretrained(trained).with_lookback(arguments.lookback)
    steps = arguments.steps or LOOKBACK_TRAINING.dynamics_steps
    config = replace(LOOKBACK_TRAINING, dynamics_steps=steps, **options)
    hashes = weights_hashes(weights_folder(trained))
    return genie, config, f"weights of SHA-256 {', '.join(value[:8] for value in hashes.values())}"
