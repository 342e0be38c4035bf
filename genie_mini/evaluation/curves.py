"""Curves for a report: the losses of a run, and how a dream drifts from the truth."""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from genie_mini.evaluation.any_world import Drift
from genie_mini.run_log import PHASES, read_log

_TITLES = dict(zip(PHASES, ("Tokenizer", "Latent actions and dynamics"), strict=True))
_NOT_CURVES = ("step", "seconds")
_POINTS = 200  # of a curve: each is the mean of the steps around it

# Of the page's light and dark dress.
_INKS = {"light": "#1f2937", "dark": "#e6e9ee"}
_LINES = {"light": ("#0b4f7d", "#a34a00", "#3f6b2f"), "dark": ("#7cc4f5", "#f4b942", "#7fd1ae")}

Curve = tuple[np.ndarray, np.ndarray]
"""Places along the bottom and heights."""


def read_logs(folder: Path) -> dict[str, dict[str, Curve]]:
    """The curves that training left in its folder, by phase and name, smoothed: a step's loss jumps
    with its clips. A phase without a log is left out.
    """
    phases = {}
    for phase, title in _TITLES.items():
        log = read_log(folder, phase)
        curves = {name: _smooth(log["step"], log[name]) for name in log if name not in _NOT_CURVES}
        curves = {name: curve for name, curve in curves.items() if len(curve[0])}
        if curves:
            phases[title] = curves
    return phases


def _smooth(places: np.ndarray, heights: np.ndarray) -> Curve:
    there = np.flatnonzero(np.isfinite(heights))
    parts = np.array_split(there, min(_POINTS, len(there))) if len(there) else []
    places, heights = (
        np.array([values[part].mean() for part in parts]) for values in (places, heights)
    )
    return places, heights


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
