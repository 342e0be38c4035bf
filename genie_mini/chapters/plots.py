"""The plots of the chapters: curves, bars, maps of numbers, pictures side by side, each in the
colours of Genie's parts.

Every function draws into `axis`, or into a new figure where none is given, and returns the figure.
Further settings go to `matplotlib.axes.Axes.set`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PARTS = json.loads((Path(__file__).parent / "style.json").read_text(encoding="utf-8"))["parts"]
COLORS = {part: schemes["light"]["line"] for part, schemes in PARTS.items()}
_IN_TURN = ("tokenizer", "action", "dynamics", "memory", "neutral")

matplotlib.rcParams.update(
    {
        "figure.figsize": (6.4, 3.2),
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=[COLORS[part] for part in _IN_TURN]),
        "axes.grid": True,
        "grid.alpha": 0.3,
        "image.cmap": "viridis",
        "legend.frameon": False,
    }
)


def _place(axis, size):
    """The figure and its axis to draw into, new ones if there is none."""
    return plt.subplots(figsize=size) if axis is None else (axis.figure, axis)


def curves(
    lines: Mapping[str, Sequence],
    parts: Iterable[str],
    x: Sequence | None = None,
    *,
    styles: Iterable[str] = (),
    edges: Iterable[float] = (),
    legend: dict | None = None,
    size: tuple[float, float] | None = None,
    axis: Axes | None = None,
    **settings,
) -> Figure:
    """Draw lines with a legend.

    Args:
        lines: the values of each line by its label; one label alone needs no legend if it is empty.
        parts: of Genie, whose colour each line has.
        x: where the values stand, the same for all lines; None: each line is a pair (x, values).
        styles: matplotlib's format of each line, such as "o-"; where there are fewer than lines,
            plain ones.
        edges: places marked by vertical lines.
        legend: what `Axes.legend` is told.
        size: of the new figure, inches.
    """
    figure, axis = _place(axis, size)
    styles = [*styles] + ["-"] * len(lines)
    for (label, values), part, style in zip(lines.items(), parts, styles, strict=False):
        where, values = values if x is None else (x, values)
        axis.plot(where, values, style, color=COLORS[part], label=label)
    for edge in edges:
        axis.axvline(edge, color="0.6", linewidth=1, linestyle=":")
    axis.set(**settings)
    if any(lines):
        axis.legend(**(legend or {}))
    return figure


def bars(
    groups: Mapping[str, Sequence[float]],
    names: Sequence,
    parts: Sequence[str],
    *,
    size: tuple[float, float] | None = None,
    axis: Axes | None = None,
    **settings,
) -> Figure:
    """Draw upright bars: one for each name, or groups of them side by side, with a legend.

    Args:
        groups: the heights of each group's bars by the group's label; one group alone needs no
            legend if its label is empty.
        names: what stands below the bars; numbers stand at their place.
        parts: of Genie, whose colour each group has.
        size: of the new figure, inches.
    """
    figure, axis = _place(axis, size)
    at, width = np.arange(len(names)), 0.8 / len(groups)
    for index, ((label, heights), part) in enumerate(zip(groups.items(), parts, strict=True)):
        shift = (index - (len(groups) - 1) / 2) * width
        axis.bar(at + shift, heights, width, color=COLORS[part], label=label)
    axis.set(**{"xticks": at, "xticklabels": names, **settings})
    if any(groups):
        axis.legend(loc="best")
    return figure


def level_bars(
    lengths: Mapping[str, float],
    parts: Sequence[str],
    *,
    size: tuple[float, float] | None = None,
    axis: Axes | None = None,
    **settings,
) -> Figure:
    """Draw level bars, one a name from the top, each in the colour of a part."""
    figure, axis = _place(axis, size)
    axis.barh(list(lengths), list(lengths.values()), color=[COLORS[part] for part in parts])
    axis.set(**settings)
    axis.yaxis.set_inverted(True)
    return figure


def heatmap(
    numbers: Sequence,
    label: str | None = None,
    *,
    limits: tuple[float | None, float | None] = (None, None),
    aspect: Literal["equal", "auto"] = "equal",
    size: tuple[float, float] | None = None,
    axis: Axes | None = None,
    **settings,
) -> Figure:
    """Draw a table (rows, columns) of numbers as colours.

    Args:
        numbers: the table; NaN stays empty.
        label: of the bar that says which colour is which number; None: no bar.
        limits: numbers of the darkest and the brightest colour.
        aspect: "equal", square cells; "auto", cells that fill the figure.
        size: of the new figure, inches.
    """
    figure, axis = _place(axis, size)
    shown = axis.imshow(numbers, vmin=limits[0], vmax=limits[1], aspect=aspect)
    axis.set(**settings)
    axis.grid(False)
    if label is not None:
        figure.colorbar(shown, ax=axis, label=label)
    return figure


def panels(
    pictures: Mapping[str, Sequence],
    *,
    size: tuple[float, float] | None = None,
    widths: Sequence[float] | None = None,
    limits: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Draw pictures or tables side by side, each below its title and without scales.

    Args:
        pictures: (height, width, 3) in [0, 1] or uint8, or (rows, columns), by title.
        size: of the figure, inches.
        widths: of the panels, in proportion.
        limits: of tables; see `heatmap`.
    """
    figure, axes = plt.subplots(1, len(pictures), figsize=size, width_ratios=widths)
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, vmin=limits[0], vmax=limits[1])
        axis.set(xticks=[], yticks=[], title=title)
        axis.grid(False)
    return figure
