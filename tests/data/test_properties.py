"""Any array that is written comes back as it is to be shown, and any times give the frames that a
player shows at those moments.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from genie_mini.data.films import LONGEST_STILL, FilmFrame, at_rate
from genie_mini.data.pictures import read_picture
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError

quick = settings(derandomize=True, deadline=None, max_examples=50, database=None)
sides = st.integers(1, 12)


@pytest.fixture(scope="module")
def folder():
    """One for all examples."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@st.composite
def images(draw, kinds):
    """An array (height, width[, channels]) that Pillow takes for one of these kinds of picture."""
    channels, dtype = draw(st.sampled_from(kinds))
    shape = (draw(sides), draw(sides), *channels)
    return draw(arrays.arrays(dtype, shape, elements=st.integers(0, np.iinfo(dtype).max)))


def over_white(array):
    """(height, width, 3), exact, of what a page shows of an array's picture, 0 to 255."""
    exact = array * (255 / np.iinfo(array.dtype).max)
    if exact.ndim == 2:
        exact = exact[..., None]
    if exact.shape[2] in (2, 4):
        opacity = exact[..., -1:] / 255
        exact = exact[..., :-1] * opacity + 255 * (1 - opacity)
    return np.broadcast_to(exact, (*array.shape[:2], 3))


@quick
@given(
    image=images(
        [((), np.uint8), ((2,), np.uint8), ((3,), np.uint8), ((4,), np.uint8), ((), np.uint16)]
    )
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_any_picture_comes_back_as_a_page_shows_it(folder, kind, image):
    Image.fromarray(image).save(folder / "picture", kind)
    shown = read_picture(folder / "picture", image.shape[:2]).numpy() * 255
    opaque = image.ndim == 2 or image.shape[2] == 3
    assert np.abs(shown - over_white(image)).max() <= (0.501 if opaque else 1.001)


@quick
@given(
    grey=st.lists(st.integers(0, 255), min_size=2, max_size=8, unique=True),
    data=st.data(),
)
@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_any_animation_comes_back_at_ten_frames_a_second(folder, kind, grey, data):
    lasts = [data.draw(st.integers(2, 120)) for _ in grey]  # hundredths of a second, as in a GIF
    first, *rest = [Image.fromarray(np.full((2, 3), value, np.uint8)) for value in grey]
    file = folder / f"film.{kind.lower()}"
    durations = [10 * last for last in lasts]
    first.save(file, kind, save_all=True, append_images=rest, duration=durations)
    (recording,) = VideoFolder(file, (2, 3)).recordings
    starts = np.cumsum([0, *lasts])
    moments = np.arange(0, starts[-1], 10)
    expected = np.array(grey)[np.searchsorted(starts, moments, side="right") - 1]
    assert (recording == expected[:, None, None, None]).all() and recording.shape[1:] == (2, 3, 3)


@quick
@given(
    array=arrays.arrays(
        st.sampled_from([np.uint8, np.int8, np.bool_, np.uint16, np.float32]),
        arrays.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=4)
        | st.tuples(sides, sides, sides, st.just(3)),
    )
)
def test_any_array_comes_back_or_is_refused(folder, array):
    np.save(folder / "clips.npy", array)
    size = tuple(max(1, side) for side in array.shape[-3:-1]) if array.ndim > 2 else 4
    fits = array.dtype == np.uint8 and array.ndim in (4, 5) and array.shape[-1] == 3 and array.size
    try:
        recordings = VideoFolder(folder / "clips.npy", size).recordings
    except GenieError as error:
        assert not fits and "clips.npy" in str(error)
    else:
        assert fits
        assert (np.stack(recordings) == (array if array.ndim == 5 else array[None])).all()


@quick
@given(
    start=st.integers(-1000, 1000),
    gaps=st.lists(st.integers(1, 300) | st.integers(-20_000, 20_000), max_size=12),
    lasts=st.integers(0, 12_000),
)
def test_any_times_give_what_a_player_shows(start, gaps, lasts):
    """Times in hundredths of a second, so that no moment lies within the grace for rounding."""
    times = np.cumsum([start, *gaps])
    film = (
        FilmFrame(time / 100, lasts / 100, lambda value=value: np.full((1, 1, 3), value, np.uint8))
        for value, time in enumerate(times)
    )
    found = [recording[:, 0, 0, 0].tolist() for recording in at_rate(film, 10)]
    longest = round(100 * LONGEST_STILL)
    expected, run = [], []
    for value, time in [*enumerate(times), (None, None)]:
        if run and (time is None or not -10 < time - run[-1][1] <= longest):
            end = run[-1][1] + (lasts if lasts <= longest else 0)
            moment, shown = run[0][1], []
            while moment < end or moment <= max(time for _, time in run):
                shown.append([number for number, time in run if time <= moment][-1])
                moment += 10
            expected.append(shown)
            run = []
        run.append((value, time))
    assert found == expected
