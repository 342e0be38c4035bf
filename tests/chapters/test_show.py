"""What the chapters show is HTML that holds everything and leaves room for the alternative text."""

import base64
import io
import json
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from genie_mini.chapters.show import grid, picture, slides, strip, you_are_here


def shown(html):
    """The first picture that HTML shows, (height, width, 3) uint8."""
    data = re.search(r'src="data:image/webp;base64,([^"]+)"', html)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def frames(count):
    """Frames of 4x3 pixels, each of another grey."""
    return np.stack([np.full((4, 3, 3), number / count) for number in range(count)])


def test_a_frame_is_shown_as_it_is_and_larger():
    pixels = shown(picture(frames(2)[1], scale=5).data)
    assert pixels.shape == (20, 15, 3) and (pixels == 128).all()


def test_a_figure_is_closed_once_it_is_shown():
    figure, _ = plt.subplots()
    assert shown(picture(figure).data).shape[2] == 3
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_strip_and_a_grid_have_white_gaps(gap):
    row = strip(frames(3), gap)
    assert row.shape == (4, 9 + 2 * gap, 3) and (row[:, 3 : 3 + gap] == 1).all()
    table = grid([frames(3), frames(3)], gap)
    assert table.shape == (8 + gap, 9 + 2 * gap, 3)
    assert np.array_equal(table[:4], row) and np.array_equal(table[4 + gap :], row)
    assert (table[4 : 4 + gap] == 1).all()


def test_a_slider_holds_all_pictures_with_their_labels():
    labels = ["none", 'a "label" of </script>', 3]
    html = slides(dict(zip(labels, frames(3), strict=True)), name="Size", start=1, scale=1).data
    data = json.loads(re.search(r"<script[^>]*>(.*?)</script>", html)[1])
    assert data["labels"] == [str(label) for label in labels] and len(data["pictures"]) == 3
    assert (shown(html) == 85).all()  # the picture to begin with
    assert 'value="1"' in html and 'max="2"' in html and "Size" in html


def test_alternative_texts_are_left_to_the_build():
    for html in (picture(frames(1)[0]).data, slides({"one": frames(1)[0]}, name="n").data):
        assert html.count('alt=""') == html.count("<img")


def test_the_map_names_where_the_reader_is():
    assert 'aria-label="You are here: video and memory"' in you_are_here("video", "memory").data
