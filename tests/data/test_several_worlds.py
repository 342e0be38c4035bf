"""Of several worlds each has the same share of the clips, whole, and none is left out."""

import numpy as np
import pytest
import torch

from genie_mini.data.cache import CachedVideos, Film, fill_cache
from genie_mini.data.several_worlds import SeveralWorlds
from genie_mini.errors import GenieError


class Grey:
    """A film of so many frames, all of one level of grey, growing lighter in green."""

    frames_per_second = 10.0

    def __init__(self, grey, frames, side=4):
        self.grey, self.frames, self.image_size = grey, frames, (side, side)
        self.identity = {"kind": "grey", "grey": grey, "frames": frames, "side": side}

    def films(self):
        pictures = np.full((self.frames, *self.image_size, 3), self.grey, np.uint8)
        pictures[..., 1] = np.arange(self.frames)[:, None, None]
        yield Film("film", zip(pictures, [-1] * self.frames, strict=True))


@pytest.fixture
def worlds(tmp_path):
    lengths = {10: 20, 20: 150, 30: 40}
    folders = [fill_cache(Grey(*world), tmp_path, progress=False) for world in lengths.items()]
    return SeveralWorlds([CachedVideos(folder) for folder in folders])


def greys(clips):
    return (clips[:, 0, 0, 0, 0] * 255).round().int().tolist()


def test_worlds_have_the_same_share_however_long_their_films_are(worlds):
    for key in range(20):
        counts = [greys(worlds.batch(7, 3, [key])).count(grey) for grey in (10, 20, 30)]
        assert sorted(counts) == [2, 2, 3]
    one = [greys(worlds.batch(1, 3, [key]))[0] for key in range(300)]
    assert all(70 < one.count(grey) < 130 for grey in (10, 20, 30))


def test_worlds_take_turns_so_that_every_part_of_a_batch_has_them(worlds):
    order = greys(worlds.batch(9, 3, [5]))
    assert order[:3] == order[3:6] == order[6:] and set(order) == {10, 20, 30}


def test_a_clip_is_of_one_world_and_the_same_key_gives_it_again(worlds):
    clips = worlds.batch(12, 5, [1, 2])
    levels = (clips[..., 0, 0, :] * 255).round().int()
    assert clips.shape == (12, 5, 4, 4, 3) and clips.dtype == torch.float32
    assert (levels[:, :, 0] == levels[:, :1, 0]).all()
    assert (levels[:, 1:, 1] - levels[:, :-1, 1] == 1).all()
    assert torch.equal(clips, worlds.batch(12, 5, [1, 2]))
    assert not torch.equal(clips, worlds.batch(12, 5, [1, 3]))


def test_every_world_is_divided(worlds):
    first, then = worlds.divided(0.75)
    for whole, one, other in zip(worlds.worlds, first.worlds, then.worlds, strict=True):
        frames = [sum(s.frames for s in part.stretches) for part in (whole, one, other)]
        assert frames[1] + frames[2] == frames[0] and frames[1] == round(0.75 * frames[0])


def test_clips_are_as_long_as_every_world_has_them(worlds):
    assert worlds.longest == 20
    with pytest.raises(GenieError, match="clips of 30 frames are needed"):
        worlds.batch(3, 30, [0])
    assert worlds.description.count("SHA-256") == 3


def test_one_world_or_several_sizes_are_refused(worlds, tmp_path):
    other = CachedVideos(fill_cache(Grey(5, 20, side=8), tmp_path, progress=False))
    for wrong in ([], worlds.worlds[:1], [*worlds.worlds, other]):
        with pytest.raises(GenieError, match="two or more whose frames have one size"):
            SeveralWorlds(wrong)
