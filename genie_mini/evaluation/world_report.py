"""All scores of a Genie on films of any world, as one record that is kept as JSON."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
from tqdm.auto import tqdm

from genie_mini.errors import GenieError
from genie_mini.evaluation.any_world import (
    Drift,
    Footage,
    cycle_consistency,
    draw_clips,
    drift_scores,
    long_clips,
    prediction_scores,
    tokenizer_scores,
)
from genie_mini.evaluation.intervals import MeasuredScore
from genie_mini.evaluation.metrics import in_batches
from genie_mini.evaluation.true_actions import TrueActions, true_action_scores
from genie_mini.genie import CLIP_FRAMES, Genie

_FORMAT = 1  # of the JSON
_ROLLOUTS = 32


@dataclass(frozen=True)
class WorldReport:
    """What `evaluate_videos` found.

    Attributes:
        source: what the films come from, as the cache's manifest has it.
        data_sha256: of all frames of the cache.
        num_clips: that were scored.
        num_films: that they come from.
        num_groups: films or passages of films that count as independent of each other; the
            intervals are over these.
        scores: the figures.
        drift: a roll-out beside the truth, frame by frame.
        cycle: share of each latent action that is inferred again when it is played.
        latent_to_real: a true action for each latent one; None if nobody knows the true ones.
        weights: SHA-256 of the files of the weights, by name; empty for a Genie in memory.
    """

    source: dict
    data_sha256: str
    num_clips: int
    num_films: int
    num_groups: int
    scores: list[MeasuredScore]
    drift: Drift
    cycle: list[float]
    latent_to_real: list[int] | None
    weights: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """The content of its file."""
        content = {"format": _FORMAT, **asdict(self)}
        return json.dumps(content, indent=1, allow_nan=False).encode() + b"\n"


def evaluate_videos(
    genie: Genie,
    train: Footage,
    held_out: Footage,
    actions: TrueActions | None = None,
    *,
    num_clips: int = 128,
    weights: dict[str, str] | None = None,
    progress: bool = True,
) -> WorldReport:
    """Compute all scores of a Genie on films of its world. Takes some minutes, most of them for the
    supervised network where true actions are known.

    Args:
        genie: what is scored.
        train: the films that it may have been trained on; their true actions, where known, name the
            latent ones and teach the supervised network. No figure is read from them.
        held_out: films that it has not seen, of the same cache; every figure is read from these.
        actions: the true actions of both.
        num_clips: of 16 frames.
        weights: SHA-256 of the files that the Genie comes from, for the report.
        progress: show how far it is.

    Raises:
        GenieError: the films are of another size than the Genie draws, or too short.
    """
    genie.eval()
    _check_size(genie, held_out)
    clips = draw_clips(held_out, num_clips, CLIP_FRAMES, key=0)
    latent = in_batches(genie.latent_action_model.infer, clips.frames)
    with tqdm(total=4, desc="scores", disable=not progress) as bar:
        scores = tokenizer_scores(genie, clips)
        bar.update()
        scores += prediction_scores(genie, clips, latent)
        bar.update()
        cycle_score, cycle = cycle_consistency(genie, clips)
        bar.update()
        drifts, drift = drift_scores(genie, long_clips(held_out, min(_ROLLOUTS, num_clips)))
        bar.update()
    scores += [cycle_score, *drifts]
    names = None
    if actions is not None:
        told, names = true_action_scores(genie, train, actions, clips, latent, progress=progress)
        scores += told
    return WorldReport(
        source=held_out.source,
        data_sha256=held_out.sha256,
        num_clips=len(clips.starts),
        num_films=len(np.unique(held_out.films(clips.starts))),
        num_groups=len(np.unique(clips.groups)),
        scores=scores,
        drift=drift,
        cycle=cycle,
        latent_to_real=None if names is None else [int(name) for name in names],
        weights=weights or {},
    )


def _check_size(genie, films):
    size = tuple(genie.config.tokenizer.image_size)
    if tuple(films.image_size) != size:
        raise GenieError(
            f"this Genie draws frames of {size[0]}x{size[1]} pixels, and the films have "
            f"{films.image_size[0]}x{films.image_size[1]}"
        )


def format_report(report: WorldReport) -> str:
    """A table for the terminal."""
    lines = [f"{'score':60} {'value':>9} {'95% interval':>19} {'chance':>9} {'best':>9}"]
    for score in report.scores:
        name = f"{score.name} ({score.unit})"
        cells = [format_figure(figure) for figure in (score.chance, score.best)]
        lines.append(
            f"{name:60} {format_figure(score.value):>9} {format_interval(score):>19} "
            f"{cells[0]:>9} {cells[1]:>9}"
        )
    return "\n".join(lines)


def format_figure(figure: float | None) -> str:
    """A figure to read: three digits, or nothing."""
    return "" if figure is None else f"{figure:.3g}"


def format_interval(score: MeasuredScore) -> str:
    """The ends of a score's interval to read, or nothing."""
    return " to ".join(map(format_figure, score.interval or ()))
