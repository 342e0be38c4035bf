"""A text names films; they are decoded once, as long as the files stay the same."""

import logging
import os

import numpy as np
import pytest
from writing import GREYS, grey_frames, write_video

from genie_mini.data import video_files
from genie_mini.data.cache import CachedVideos
from genie_mini.data.gymnasium_envs import GymnasiumSource
from genie_mini.data.pictures import Canvas
from genie_mini.data.sources import VideoFiles, cached_films, source_from
from genie_mini.data.video_files import VideoFolder
from genie_mini.errors import GenieError


def frames(count, value=0, size=16):
    pixels = np.full((count, size, size, 3), value, dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    return pixels


@pytest.fixture
def folder(tmp_path):
    films = tmp_path / "films"
    (films / "more").mkdir(parents=True)
    np.save(films / "b.npy", frames(12, 50))
    np.save(films / "more" / "a.npy", np.stack([frames(9, 100), frames(9, 150)]))
    return films


def films_of(source):
    return {film.name: np.stack([frame for frame, _ in film.moments]) for film in source.films()}


def test_a_folders_films_are_those_that_training_reads(folder):
    films = films_of(VideoFiles(folder, Canvas(16)))
    assert list(films) == ["b.npy", "more/a.npy (1)", "more/a.npy (2)"]
    for film, recording in zip(films.values(), VideoFolder(folder, 16).recordings, strict=True):
        assert np.array_equal(film, recording)


def test_a_file_alone_is_a_source_too(folder):
    assert list(films_of(source_from(str(folder / "b.npy"), (16, 16)))) == ["b.npy"]


def test_films_are_brought_to_the_rate_that_is_asked_for_and_arrays_are_as_they_are(folder):
    write_video(folder / "film.mp4", grey_frames(), 20)

    def source(**options):
        return source_from(str(folder), (16, 16), **options)

    for rate, expected in ((5, GREYS[::4]), (20.0, GREYS), (40, np.repeat(GREYS, 2))):
        films = films_of(source(frames_per_second=rate))
        assert np.abs(films["film.mp4"][:, 8, 8, 0] - np.array(expected, float)).max() < 6
        assert len(films["b.npy"]) == len(films_of(source())["b.npy"])
    assert (
        source(frames_per_second=10).identity
        == source().identity
        != (source(frames_per_second=5).identity)
    )
    assert source(frames_per_second=5).frames_per_second == 5


def test_films_are_decoded_again_when_a_file_has_changed(folder, tmp_path, monkeypatch):
    read, asked = video_files.read_recordings, []

    def counted(file, canvas, frames_per_second):
        asked.append(file.name)
        return read(file, canvas, frames_per_second)

    monkeypatch.setattr(video_files, "read_recordings", counted)

    def cached():
        return cached_films(str(folder), (16, 16), tmp_path / "cache", progress=False)

    first = cached()
    assert cached() == first and sorted(asked) == ["a.npy", "b.npy"]
    assert (
        sum(
            s.frames
            for split in ("train", "held out")
            for s in CachedVideos(first, split).stretches
        )
        == 30
    )
    time = (folder / "b.npy").stat().st_mtime_ns
    np.save(folder / "b.npy", frames(12, 60))
    os.utime(folder / "b.npy", ns=(time, time + 1))
    assert cached() != first, "another time"
    np.save(folder / "c.npy", frames(5))
    third = cached()
    (folder / "c.npy").rename(folder / "d.npy")
    assert len({first, third, cached()}) == 3, "another name"


def test_size_and_fit_of_the_frames_are_part_of_it(folder, tmp_path):
    ways = [((16, 16), "crop"), ((8, 24), "crop"), ((8, 24), "pad")]
    square, wide, padded = (
        CachedVideos(cached_films(str(folder), size, tmp_path, fit=fit, progress=False))
        for size, fit in ways
    )
    assert square.image_size == (16, 16) and wide.image_size == padded.image_size == (8, 24)
    edges = [videos.batch(1, 2, [0])[..., 0, :] for videos in (wide, padded)]
    assert edges[0].min() > 0 and not edges[1].any(), "bars at the sides"


def test_files_that_cannot_be_read_are_skipped_and_named(folder, caplog):
    (folder / "broken.npy").write_bytes(b"no array")
    (folder / "notes.txt").write_text("hello")
    (folder / "gone.npy").symlink_to(folder / "nowhere.npy")
    with caplog.at_level(logging.WARNING):
        assert len(films_of(VideoFiles(folder, Canvas(16)))) == 3
    assert "3 files are skipped" in caplog.text
    assert all(name in caplog.text for name in ("broken.npy", "notes.txt", "gone.npy"))


def test_where_nothing_can_be_read_it_says_so(tmp_path):
    with pytest.raises(GenieError, match="no does not exist"):
        source_from(str(tmp_path / "no"), (16, 16))
    with pytest.raises(GenieError, match="holds no recordings, files that end in"):
        source_from(str(tmp_path), (16, 16))
    (tmp_path / "broken.npy").write_bytes(b"no array")
    cache = tmp_path / "cache"
    with pytest.raises(GenieError, match="holds no recordings that can be read: broken.npy"):
        cached_films(str(tmp_path), (16, 16), cache, progress=False)
    with pytest.raises(GenieError, match="broken.npy cannot be read"):
        cached_films(str(tmp_path / "broken.npy"), (16, 16), cache, progress=False)
    assert list(cache.iterdir()) == []


def test_an_environment_is_named_with_a_word_before_it(monkeypatch):
    source = source_from("gymnasium:genie_mini/Platformer-v0", (32, 32))
    assert isinstance(source, GymnasiumSource) and source.identity["frames"] == 20_000
    with pytest.raises(GenieError, match="no environment Nothing-v0"):
        source_from("gymnasium:Nothing-v0", (32, 32))


def test_who_plays_a_game_is_part_of_what_its_films_are():
    game = "gymnasium:genie_mini/Platformer-v0"
    sources = [source_from(game, (16, 16)), source_from(game, (16, 16), policy="random")]
    assert [source.identity["policy"] for source in sources] == ["repeated", "random"]


def test_of_a_game_nothing_is_cut_off(folder):
    game = "gymnasium:genie_mini/Platformer-v0"
    fits = {text: source_from(text, (16, 16)).identity["fit"] for text in (game, str(folder))}
    assert fits == {game: "stretch", str(folder): "crop"}
    for text in fits:
        assert source_from(text, (16, 16), "pad").identity["fit"] == "pad"
