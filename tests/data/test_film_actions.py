"""True actions that lie beside films: they come to the frames that they belong to, and nothing else
is taken for them.
"""

import numpy as np
import pytest

from genie_mini.data.cache import CachedVideos, true_actions
from genie_mini.data.pictures import Canvas
from genie_mini.data.sources import VideoFiles, cached_films, source_from
from genie_mini.errors import GenieError

UNKNOWN = -1


@pytest.fixture
def films(tmp_path):
    """Two films of 12 frames, one of 40; the first channel of a frame is its number."""
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    numbered = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    numbered = np.broadcast_to(numbered, (40, 16, 16, 3))
    np.save(folder / "more" / "two.npy", np.stack([numbered[:12], numbered[:12]]))
    np.save(folder / "one.npy", numbered)
    return folder


def save_actions(films, name, actions):
    path = films / "truth" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, actions)
    return path


def told(source):
    return {film.name: [action for _, action in film.moments] for film in source.films()}


def test_each_film_finds_its_own(films):
    save_actions(films, "more/two.npy.npy", np.arange(24).reshape(2, 12))
    assert told(VideoFiles(films, Canvas(16))) == {
        "more/two.npy (1)": list(range(12)),
        "more/two.npy (2)": list(range(12, 24)),
        "one.npy": [UNKNOWN] * 40,
    }
    save_actions(films, "one.npy.npy", np.full(40, 3, dtype=np.uint8))
    assert told(source_from(str(films / "one.npy"), (16, 16))) == {"one.npy": [3] * 40}


def test_an_action_leads_from_its_frame_to_the_next(films, tmp_path):
    save_actions(films, "one.npy.npy", np.arange(40))
    cache = cached_films(str(films), (16, 16), tmp_path / "cache", progress=False)
    videos = CachedVideos(cache)
    starts = np.array([s.start for s in videos.stretches if s.film == "one.npy"])
    frames = (videos.clips(starts, 5)[:, :-1, 0, 0, 0] * 255).round().int().numpy()
    assert len(starts) and np.array_equal(true_actions(cache, starts, 5), frames)


def test_actions_that_come_later_or_change_are_seen(films, tmp_path):
    def actions():
        cache = cached_films(str(films), (16, 16), tmp_path / "cache", progress=False)
        return true_actions(cache, np.array([0]), 3)

    assert actions() is None
    save_actions(films, "one.npy.npy", np.full(40, 2))
    assert (actions() >= UNKNOWN).all()
    save_actions(films, "more/two.npy.npy", np.full(24, 5))
    assert (actions() == 5).all(), "the first film of the cache"


@pytest.mark.parametrize(
    "actions, problem",
    [
        (np.arange(39), "39 actions, but its film has 40 frames"),
        (np.zeros((2, 40), dtype=int), "80 actions, but its film has 40 frames"),
        (np.zeros(40), "must hold integers"),
        (np.zeros(40, dtype=bool), "must hold integers"),
        (np.full(40, "left"), "must hold integers"),
        (np.full(40, -2), "from -2 to -2"),
        (np.full(40, 2**62), "numbers from 0 to 1023"),
        (np.array(["left"] * 40, dtype=object), "cannot be read"),
    ],
)
def test_anything_else_is_refused(films, actions, problem):
    path = save_actions(films, "one.npy.npy", actions)
    with pytest.raises(GenieError, match=problem) as error:
        told(VideoFiles(films, Canvas(16)))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not an array", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(films, content):
    save_actions(films, "one.npy.npy", np.arange(40)).write_bytes(content)
    with pytest.raises(GenieError, match="cannot be read"):
        told(VideoFiles(films, Canvas(16)))
