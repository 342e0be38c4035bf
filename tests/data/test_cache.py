"""Films are decoded once; what is held out is never trained on; no clip runs across a cut; true
actions stay apart.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from genie_mini.data.cache import (
    NO_ACTION,
    CachedVideos,
    Film,
    cache_folder,
    fill_cache,
    true_actions,
)
from genie_mini.data.cuts import CutFinder
from genie_mini.errors import GenieError
from genie_mini.world import record


@dataclass
class Numbered:
    """Films of the given lengths whose every pixel tells film and frame; actions count upwards."""

    lengths: tuple[int, ...]
    actions: bool = True
    image_size: tuple[int, int] = (4, 4)
    frames_per_second: float = 10.0
    read: int = field(default=0, repr=False)

    @property
    def identity(self):
        return {"kind": "numbered", "lengths": list(self.lengths), "actions": self.actions}

    def films(self):
        for number, length in enumerate(self.lengths):
            self.read += 1
            frames = np.zeros((length, 4, 4, 3), dtype=np.uint8)
            frames[..., 0], frames[..., 1] = number, np.arange(length)[:, None, None]
            told = [*range(length - 1), NO_ACTION] if self.actions else [NO_ACTION] * length
            yield Film(f"film {number}", zip(frames, told, strict=True))


def films_of(clips):
    return set((clips[..., 0] * 255).round().int().unique().tolist())


def test_films_are_decoded_once(tmp_path):
    source = Numbered((8, 9))
    assert fill_cache(source, tmp_path) == fill_cache(source, tmp_path)
    assert source.read == 2
    other = Numbered((8, 10))
    assert fill_cache(other, tmp_path) != fill_cache(source, tmp_path) and other.read == 2


def test_clips_are_frames_in_a_row_of_one_film(tmp_path):
    videos = CachedVideos(fill_cache(Numbered((20, 30, 7)), tmp_path))
    clips = videos.batch(50, 6, [3])
    assert clips.shape == (50, 6, 4, 4, 3) and clips.dtype == torch.float32
    numbers = (clips[..., 0, 0, :] * 255).round().int()
    assert (numbers[:, :, 0] == numbers[:, :1, 0]).all()
    assert (numbers[:, 1:, 1] - numbers[:, :-1, 1] == 1).all()
    assert torch.equal(clips, videos.batch(50, 6, [3]))
    assert not torch.equal(clips, videos.batch(50, 6, [4]))


def test_no_film_is_trained_on_and_scored_on(tmp_path):
    folder = fill_cache(Numbered(tuple(range(10, 40))), tmp_path)
    train, held_out = (
        films_of(CachedVideos(folder, split).batch(500, 2, [0])) for split in ("train", "held out")
    )
    assert train and held_out and not train & held_out
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = sum(s["frames"] for s in manifest["stretches"] if s["split"] == "held out")
    assert 0.1 <= kept / sum(range(10, 40)) < 0.2


@pytest.mark.parametrize("lengths", [(200,), (200, 160, 40)])
def test_of_a_few_films_the_ends_of_long_ones_are_held_out(tmp_path, lengths):
    folder = fill_cache(Numbered(lengths), tmp_path)
    train, held_out = (CachedVideos(folder, split).stretches for split in ("train", "held out"))
    ends = [n // 10 for n in lengths if n >= 160]
    assert [s.frames for s in train] == [n - e for n, e in zip(lengths, [*ends, 0], strict=False)]
    assert [stretch.frames for stretch in held_out] == ends
    for first, last in zip(train, held_out, strict=False):
        assert first.film == last.film and first.start + first.frames == last.start


@pytest.mark.parametrize("lengths", [(100,), (8, 20, 3, 30), (50, 50)])
def test_parts_of_the_films_have_no_frame_in_common(tmp_path, lengths):
    videos = CachedVideos(fill_cache(Numbered(lengths), tmp_path))

    def frames(some):
        return [s.start + n for s in some.stretches for n in range(s.frames)]

    everything = frames(videos)
    first, then = videos.divided(0.75)
    assert frames(first) + frames(then) == everything == frames(videos)
    assert len(frames(first)) == round(0.75 * len(everything))
    assert {s.film for s in first.stretches + then.stretches} == {s.film for s in videos.stretches}
    assert films_of(then.batch(100, 2, [0])) <= {int(s.film[5:]) for s in then.stretches}


def test_true_actions_stand_apart_and_lead_from_frame_to_frame(tmp_path):
    folder = fill_cache(Numbered((20, 30)), tmp_path)
    videos = CachedVideos(folder)
    starts = videos.starts(10, 5, [1])
    actions = true_actions(folder, starts, 5)
    place = (videos.clips(starts, 5)[:, :-1, 0, 0, 1] * 255).round().int()
    assert actions.shape == (10, 4) and np.array_equal(actions, place)
    unknown = fill_cache(Numbered((20, 30), actions=False), tmp_path)
    assert true_actions(unknown, starts, 5) is None
    assert not (unknown / "truth").exists()


def test_nothing_is_left_of_a_cache_that_was_interrupted(tmp_path):
    class Breaks(Numbered):
        def films(self):
            yield from super().films()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_cache(Breaks((5, 5)), tmp_path)
    assert not list(tmp_path.iterdir())
    fill_cache(Numbered((5, 5)), tmp_path)


def test_unusable_caches_say_so(tmp_path):
    with pytest.raises(GenieError, match="no frames"):
        fill_cache(Numbered(()), tmp_path)
    with pytest.raises(GenieError, match="not a whole cache"):
        CachedVideos(tmp_path)
    folder = fill_cache(Numbered((9, 9)), tmp_path)
    with pytest.raises(GenieError, match="clips of 40 frames are needed.* has 9"):
        CachedVideos(folder).batch(1, 40, [0])
    (folder / "frames.bin").write_bytes(b"")
    with pytest.raises(GenieError, match="not a whole cache"):
        CachedVideos(folder)


def test_a_cut_is_found_and_no_clip_runs_across_it(tmp_path):
    frames = (record(6, 20, seed=4)[0] * 255).astype(np.uint8)
    frames[1::2] = 255 - frames[1::2]

    class Joined(Numbered):
        def films(self):
            joined = frames.reshape(-1, 64, 64, 3)
            yield Film("joined", ((frame, NO_ACTION) for frame in joined))

    source = Joined((1,), image_size=(64, 64))
    folder = fill_cache(source, tmp_path)
    starts = {
        s.start for split in ("train", "held out") for s in CachedVideos(folder, split).stretches
    }
    assert {20, 40, 60, 80, 100} <= starts


@pytest.mark.parametrize("seed", range(4))
def test_play_without_a_cut_is_not_cut(seed):
    finder = CutFinder()
    for frame in (record(1, 200, seed=seed)[0][0] * 255).astype(np.uint8):
        finder.see(frame)
    assert finder.cuts() == []


def test_a_picture_that_scrolls_for_a_moment_is_not_cut():
    rng = np.random.default_rng(0)
    coarse = rng.integers(256, size=(16, 48, 3), dtype=np.uint8)
    level = coarse.repeat(8, axis=0).repeat(8, axis=1)
    places = [0] * 10 + [8 * step for step in range(5)] + [32] * 15  # as when somebody falls
    moments = [level[place : place + 64, 2 * place : 2 * place + 64] for place in places]
    moments += [level[:64, 300:364]] * 10  # somewhere else
    finder = CutFinder()
    for frame in moments:
        finder.see(frame)
    assert finder.cuts() == [30]


def test_a_cache_is_found_by_what_its_films_show(tmp_path):
    folder = cache_folder(Numbered((4, 5)), tmp_path)
    assert folder == cache_folder(Numbered((4, 5)), tmp_path)
    assert folder != cache_folder(Numbered((5, 4)), tmp_path)
