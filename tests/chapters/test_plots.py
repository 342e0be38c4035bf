"""The chapters' plots draw what they are given, in the colours of Genie's parts."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from genie_mini.chapters.plots import COLORS, bars, curves, heatmap, level_bars, panels


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_curves_share_their_x_or_have_their_own():
    figure = curves({"one": [1, 2], "two": [3, 4]}, ["action", "memory"], [5, 6], ylim=(0, 9))
    (axis,) = figure.axes
    one, two = axis.get_lines()
    assert one.get_xydata().tolist() == [[5, 1], [6, 2]] and two.get_color() == COLORS["memory"]
    assert legend(axis) == ["one", "two"] and axis.get_ylim() == (0, 9)
    own = curves({"dots": ([1], [2])}, ["dynamics"], styles=["o"], edges=[7]).axes[0]
    dots, edge = own.get_lines()
    assert dots.get_marker() == "o" and dots.get_xydata().tolist() == [[1, 2]]
    assert edge.get_xdata() == [7, 7]


def test_one_curve_without_a_label_has_no_legend():
    assert curves({"": [1, 2]}, ["action"], [0, 1]).axes[0].get_legend() is None


def test_groups_of_bars_stand_side_by_side():
    groups, parts = {"on": [1, 2], "off": [3, 4]}, ["tokenizer", "neutral"]
    (axis,) = bars(groups, ["left", "right"], parts).axes
    heights = [bar.get_height() for bar in axis.patches]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axis.patches]
    assert heights == [1, 2, 3, 4] and np.allclose(middles, [-0.2, 0.8, 0.2, 1.2])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["left", "right"]
    assert legend(axis) == ["on", "off"]
    assert to_hex(axis.patches[0].get_facecolor()) == COLORS["tokenizer"]


def test_level_bars_stand_from_the_top_in_their_order():
    (axis,) = level_bars({"first": 3, "second": 1}, ["memory", "action"], xlabel="bits").axes
    assert [bar.get_width() for bar in axis.patches] == [3, 1]
    assert axis.yaxis.get_inverted() and axis.get_xlabel() == "bits"


def test_a_heatmap_has_its_numbers_and_a_bar_only_with_a_label():
    table = np.arange(6).reshape(2, 3)
    figure = heatmap(table, "share", limits=(0, 9), xlabel="code")
    axis, bar = figure.axes
    assert np.array_equal(axis.images[0].get_array(), table) and axis.get_xlabel() == "code"
    assert axis.images[0].get_clim() == (0, 9) and bar.get_ylabel() == "share"
    assert len(heatmap(table).axes) == 1


def test_plots_go_into_the_axis_that_is_given():
    figure, (left, right) = plt.subplots(1, 2)
    assert curves({"": [1]}, ["action"], [0], axis=left) is figure
    assert heatmap([[1]], axis=right) is figure
    assert left.get_lines() and right.images and len(figure.axes) == 2


def test_panels_stand_side_by_side_below_their_titles():
    figure = panels({"before": np.zeros((2, 2, 3)), "after": np.ones((2, 2))}, limits=(0, 2))
    assert [axis.get_title() for axis in figure.axes] == ["before", "after"]
    assert not any(axis.get_xticks().size for axis in figure.axes)
