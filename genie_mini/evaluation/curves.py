"""Curves for a report: the losses of a run, and how a dream drifts from the truth."""

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from genie_mini.evaluation.any_world import Drift

_LOGS = {"tokenizer": "Tokenizer", "world": "Latent actions and dynamics"}
_NOT_CURVES = ("step", "seconds")
_POINTS = 200  # of a curve: each is the mean of the steps around it

# Of the page's light and dark dress.
_INKS = {"light": "#1f2937", "dark": "#e6e9ee"}
_LINES = {"light": ("#0b4f7d", "#a34a00", "#3f6b2f"), "dark": ("#7cc4f5", "#f4b942", "#7fd1ae")}

Curve = tuple[np.ndarray, np.ndarray]
"""Places along the bottom and heights."""


def read_logs(folder: Path) -> dict[str, dict[str, Curve]]:
    """The curves that training left in its folder, by phase and name; a phase without a log is left
    out, and so is a line that breaks off.
    """
    phases = {}
    for name, title in _LOGS.items():
        path = folder / f"{name}.csv"
        if path.exists():
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                curves = _curves(list(csv.DictReader(file)))
            if curves:
                phases[title] = curves
    return phases


def _curves(rows: list[dict]) -> dict[str, Curve]:
    """The columns that hold numbers, smoothed: a step's loss jumps with its clips."""
    curves = {}
    for column in (rows[0] if rows else {}).keys():
        points = [
            (step, height)
            for row in rows
            if (step := _number(row.get("step"))) is not None
            and (height := _number(row.get(column))) is not None
        ]
        if column and column not in _NOT_CURVES and points:
            parts = np.array_split(np.array(points), min(_POINTS, len(points)))
            means = np.array([part.mean(axis=0) for part in parts])
            curves[column] = (means[:, 0], means[:, 1])
    return curves


def _number(text):
    """The finite number that a cell holds, or None."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def draw_log(curves: dict[str, Curve], dress: str) -> str:
    """One small chart a column of a log; see `_draw`."""
    return _draw([({"": curve}, name, "step") for name, curve in curves.items()], dress)


def draw_drift(drift: Drift, dress: str) -> str:
    """PSNR along a roll-out; see `_draw`."""
    named = dict(
        zip(
            ("dreamt", "last frame repeated", "truth behind the tokenizer"),
            asdict(drift).values(),
            strict=True,
        )
    )
    lines = {name: (1 + np.arange(len(line)), np.array(line)) for name, line in named.items()}
    return _draw([(lines, "PSNR (dB)", "frame of the roll-out")], dress)


def _draw(charts: Sequence[tuple[dict[str, Curve], str, str]], dress: str) -> str:
    """Charts side by side, each of (curves by name, title, what lies along the bottom), as an SVG
    in a data URI, in the "light" or "dark" dress, on nothing.
    """
    ink, columns = _INKS[dress], min(3, len(charts))
    figure_rows = -(-len(charts) // columns)
    settings: Any = {
        "svg.hashsalt": "genie-mini",  # the same report, the same bytes
        "svg.fonttype": "none",
        "text.color": ink,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        width = 3.2 * columns if len(charts) > 1 else 6.4
        figure = Figure(figsize=(width, 2.4 * figure_rows if len(charts) > 1 else 3.2))
        for index, (curves, title, bottom) in enumerate(charts, start=1):
            axes = figure.add_subplot(figure_rows, columns, index)
            for (name, (places, heights)), colour in zip(
                curves.items(), _LINES[dress], strict=False
            ):
                axes.plot(places, heights, color=colour, label=name or None)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel(bottom, fontsize=9)
            if len(curves) > 1:
                axes.legend(frameon=False, fontsize=9)
        figure.tight_layout()
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
