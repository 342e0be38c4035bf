"""Training in two phases, as in the paper (Section 2.1): the tokenizer; then latent actions and
dynamics together.

Everything random in a step (which clips, which tokens are hidden) follows from the seed and the
step's number alone. So a run that was stopped goes on exactly as if it had not been, and the same
seed gives the same losses on a CPU.
"""

import os
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genie_mini.contract import check_number
from genie_mini.data.ahead import deal
from genie_mini.data.videos import Source, Videos
from genie_mini.device import choose_precision, clip_workers
from genie_mini.errors import GenieError
from genie_mini.files import PARTS
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_folder, sole_writer
from genie_mini.run_log import keep_rows, write_row
from genie_mini.training.budget import decide_steps
from genie_mini.training.checkpoint import read_checkpoint, restore, write_checkpoint
from genie_mini.training.config import LEAST_MINUTES, MOST_MINUTES, TrainingConfig
from genie_mini.training.distributed import (
    any_rank,
    check_shares,
    is_first,
    on_first,
    undivided,
)
from genie_mini.training.folder import CHECKPOINT, claim
from genie_mini.training.interrupt import postponed_interrupt
from genie_mini.training.phases import Phase, build_phases
from genie_mini.training.preparation import prepare
from genie_mini.training.previews import DrawPreview, Previews
from genie_mini.training.progress import RunBar, expected_seconds
from genie_mini.training.request import Request
from genie_mini.training.step import make_optimizer, repeatable, take_step


class Interrupted(Exception):
    """Training was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Run:
    """What every step of a run needs: see `train`."""

    genie: Genie
    videos: Videos
    config: TrainingConfig
    folder: Path
    request: Request
    phases: list[Phase]
    bar: RunBar
    previews: Previews

    @property
    def checkpoint(self) -> Path:
        """The file of its state."""
        return self.folder / CHECKPOINT

    def draw_preview(self, index: int, step: int) -> None:
        """Show what has been learnt when a step of the phase of number `index` is to come."""
        learnt = {
            id(part.module)
            for number, phase in enumerate(self.phases[: index + 1])
            for part in phase.parts
            if part.starts[0] < (part.starts[-1] if number < index else min(step, part.starts[-1]))
        }
        names = [name for name in PARTS if id(getattr(self.genie, name)) in learnt]
        genie = undivided(self.genie)
        if genie is not None:
            self.previews.draw(genie, frozenset(names))


def train(
    genie: Genie,
    videos: Videos,
    config: TrainingConfig,
    folder: Path,
    *,
    minutes: float | None = None,
    origin: str = "",
    draw_preview: DrawPreview | None = None,
    progress: bool = True,
) -> None:
    """Train all parts, from the last checkpoint in `folder` if there is one, and save the result
    there.

    A checkpoint holds what its run was asked for. Asked for the same, the run goes on; asked for
    more steps, or more minutes, it goes on and then learns what came on top, each network again in
    its phase.

    Where several processes of one `torch.distributed` group call it (`distributed.all_ranks`), they
    train together, each on its share of every batch. The first one writes the files, but for parts.

    Args:
        genie: the networks, changed in place, on the device that is to train them; where several
            processes train, each is left with its share of the weights.
        videos: where clips come from.
        config: lengths and rates.
        folder: receives checkpoint.safetensors (with parts beside it where networks are divided),
            tokenizer.csv and world.csv (the losses), the trained Genie, and preview.png.
        minutes: how long to train, in place of the lengths of the config, from 0.01 to a million.
            Once, when the run begins, they become steps (`budget.decide_steps`); those are learnt,
            however long they take.
        origin: what the networks began as, such as "preset pocket"; empty if it does not matter.
        draw_preview: draws preview.png, every few minutes and at the end; None for no preview.
        progress: show a bar with the losses and the time left.

    Raises:
        Interrupted: Ctrl-C was pressed; the same call goes on where it stopped.
        GenieError: the folder is another run's, or holds files of somebody's, or cannot be written
            into; another training is writing into it; the videos have no clips that are long
            enough; a loss is no number any more; the minutes are out of range; clips or networks
            cannot be divided among the processes.
    """
    if minutes is not None:
        minutes = check_number("minutes", minutes, LEAST_MINUTES, MOST_MINUTES)
    on_first(lambda: prepare_folder(folder))
    with ExitStack() as stack:
        on_first(lambda: stack.enter_context(sole_writer(folder)))
        request = Request.of(genie, config, videos, origin, minutes)
        request = _decided(request, genie, videos, config, folder, progress)
        legs = request.legs(genie, config)
        phases = [phase for leg in legs for phase in build_phases(genie, videos, leg)]
        on_first(lambda: check_shares(phases, config))
        on_first(lambda: _check_clips(videos, phases))
        tensors, current, step = _begin(genie, folder / CHECKPOINT, request, phases)
        previews = Previews(draw_preview if is_first() else None, folder, config.preview_seconds)
        seconds = expected_seconds(request, legs, phases)
        with RunBar(seconds, current, step, progress and is_first()) as bar:
            run = Run(genie, videos, config, folder, request, phases, bar, previews)
            _run_phases(run, current, step, tensors)
        _finish(run)


def _decided(wish: Request, genie, videos, config, folder, progress) -> Request:
    """Claim the folder for what is wished, prepare the networks, and turn minutes into steps."""
    request = on_first(lambda: claim(folder, wish))
    on_first(lambda: check_shares(build_phases(genie, videos, config), config))
    prepare(genie, config)
    if request.undecided:
        request = decide_steps(request, genie, videos, config, progress=progress)
    return request


def _finish(run: Run) -> None:
    """Draw the last preview, and save the result."""
    run.draw_preview(len(run.phases), 0)
    run.genie.eval()
    whole = undivided(run.genie)
    on_first(lambda: whole.save(run.folder) if whole else None)


def _check_clips(videos: Videos, phases: list[Phase]) -> None:
    """Make sure before the first step that there are clips for the last one."""
    needed = max(
        (phase.clips(step)[1] for phase in phases if phase.steps for step in (0, phase.steps - 1)),
        default=0,
    )
    if isinstance(videos, Source) and videos.longest is not None and videos.longest < needed:
        raise GenieError(
            f"clips of {needed} frames are needed, but the longest recording has {videos.longest}"
        )


def _begin(genie, path, request, phases):
    """The tensors of the checkpoint, which is made if there is none, and its phase and step."""
    if on_first(lambda: not path.exists()):
        write_checkpoint(path, genie, None, 0, 0, request)
    tensors: dict[str, Tensor] = {}  # of the first process alone

    def read():
        content, where = read_checkpoint(path)
        tensors.update(content)
        return where

    where = on_first(read)
    current, step = where["phase"], where["step"]
    if not 0 <= current <= len(phases) or not (
        0 <= step <= (phases[current].steps if current < len(phases) else 0)
    ):
        raise GenieError(f"{path} is of no moment of this run: {where}; move it away")
    return tensors, current, step


def _run_phases(run: Run, current: int, step: int, tensors: dict[str, Tensor]) -> None:
    """Run what is left of the phases; those of one name continue one log.

    Args:
        run: what the steps need.
        current, step: where the checkpoint is.
        tensors: of the checkpoint.
    """
    genie, path = run.genie, run.checkpoint
    if current == len(run.phases):  # finished before
        restore(genie, None, tensors, path)
    logged: Counter[str] = Counter()
    for index, phase in enumerate(run.phases):
        if index >= current:
            optimizer = make_optimizer(phase, run.config)
            genie.train()  # the second phase leaves frozen networks as they are at play
            if index == current:
                restore(genie, optimizer, tensors, path)
                tensors.clear()  # they are as large as the networks, three times
            first = step if index == current else 0
            run_phase(run, phase, index, first, optimizer, logged[phase.name])
            # The next phase starts with a fresh optimizer.
            write_checkpoint(path, genie, None, index + 1, 0, run.request)
        logged[phase.name] += phase.steps


def run_phase(
    run: Run,
    phase: Phase,
    index: int,
    first: int,
    optimizer: torch.optim.Optimizer,
    logged: int = 0,
) -> None:
    """Run the steps of one phase from `first` on, logging each and saving the state from time to
    time.

    Args:
        run: what the steps need.
        phase: the phase, the one of number `index`.
        first: the first step to run, from 0.
        optimizer: in the state of this step.
        logged: lines of the log that earlier legs have written.
    """
    genie, videos, config = run.genie, run.videos, run.config
    log = run.folder / f"{phase.name}.csv"
    on_first(lambda: keep_rows(log, logged + first))
    precision = choose_precision(config.precision, genie.device)
    saved, began = time.monotonic(), time.monotonic()
    bar = run.bar.steps(phase.name, index, first)
    wishes = phase.wishes([config.seed, index], first)
    with (
        repeatable(genie.device),
        postponed_interrupt() as asked,
        closing(deal(videos, wishes, clip_workers(genie.device))) as batches,
        open(log if is_first() else os.devnull, "a", newline="") as file,
    ):
        for step in bar:
            frames = None if phase.reuse.knows(step) else next(batches).to(genie.device)
            torch.manual_seed(hash((config.seed, index, step)) % 2**63)
            metrics = take_step(phase, step, frames, optimizer, precision, config)
            write_row(file, logged + step, metrics, time.monotonic() - began)
            run.bar.show(metrics)
            if any_rank(run.previews.due, genie.device):
                run.draw_preview(index, step + 1)
            stop = any_rank(asked.is_set(), genie.device)
            due = time.monotonic() - saved > config.checkpoint_seconds
            if stop or any_rank(due, genie.device):
                file.flush()
                write_checkpoint(run.checkpoint, genie, optimizer, index, step + 1, run.request)
                saved = time.monotonic()
            if stop:
                raise Interrupted(
                    f"stopped after step {step + 1} of {phase.name}; run the same command again "
                    "to go on"
                )
