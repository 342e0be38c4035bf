"""Which films are read, and what becomes of damaged and of too large ones."""

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image
from writing import (
    ANIMATIONS,
    GREYS,
    QUARTERS,
    enlarged,
    grey_frames,
    read,
    seen,
    write_animation,
    write_lossless,
    write_video,
)

from genie_mini.data import films, pictures
from genie_mini.errors import GenieError

KINDS = {
    "mpeg4": ["mp4", "m4v", "mov", "3gp", "avi", "nut", "MP4"],
    "libx264": ["mkv", "mts", "m2ts", "f4v", "h264", "avi"],
    "libvpx-vp9": ["webm", "ivf"],
    "wmv2": ["wmv", "asf"],
    "flv1": ["flv"],
    "rv20": ["rm"],
    "libx265": ["hevc"],
}


@pytest.mark.parametrize(
    "codec, ending", [(codec, ending) for codec in KINDS for ending in KINDS[codec]]
)
def test_the_endings_of_videos(tmp_path, codec, ending):
    def prepare(stream):
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}

    file = tmp_path / f"film.{ending}"
    write_video(file, grey_frames(), codec=codec, prepare=prepare)
    assert seen(file) == [list(range(20))]


@pytest.mark.parametrize("ending", ["mpg", "mpeg", "vob", "ts", "m2v", "mxf"])
def test_the_endings_of_television(tmp_path, ending):
    file = tmp_path / f"film.{ending}"
    muxer = {"format": "mpeg2video"} if ending == "m2v" else {}
    write_video(file, grey_frames(), 25, codec="mpeg2video", **muxer)
    assert seen(file) == [[0, 2, 5, 7, 10, 12, 15, 17]]


def test_raw_videos(tmp_path):
    write_video(tmp_path / "film.y4m", grey_frames(), codec="wrapped_avframe")
    assert seen(tmp_path / "film.y4m") == [list(range(20))]
    write_video(tmp_path / "film.mjpeg", grey_frames(), 25, codec="mjpeg", pixel_format="yuvj420p")
    assert seen(tmp_path / "film.mjpeg") == [[0, 2, 5, 7, 10, 12, 15, 17]]


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.ts\n",
        "words on a screen, which ffmpeg would show as a film\n" * 20,
    ],
)
def test_a_file_leads_to_no_other(tmp_path, content):
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "other.ts", grey_frames(), 25, codec="mpeg2video")
    (tmp_path / "clips" / "list.mp4").write_text(content)
    with pytest.raises(GenieError, match=r"list\.mp4 cannot be read"):
        read(tmp_path / "clips" / "list.mp4")


def write_sound(path, cover=None):
    """A second of silence, with a picture on the cover."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            picture.height, picture.width = cover.shape[:2]
            picture.pix_fmt, picture.disposition = "yuvj420p", Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
        if cover is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
            container.mux(picture.encode())


@pytest.mark.parametrize("cover", [None, enlarged(QUARTERS)])
def test_a_song_is_no_film(tmp_path, cover):
    write_sound(tmp_path / "song.mp4", cover)
    with pytest.raises(GenieError, match=r"song\.mp4 has no moving pictures"):
        read(tmp_path / "song.mp4")


def test_titles_in_another_encoding(tmp_path):
    file = tmp_path / "film.mp4"
    with av.open(str(file), "w") as container:
        container.metadata["title"] = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"
        stream = container.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 16
        for frame in grey_frames(GREYS[:4]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    content = file.read_bytes()
    assert content.count(b"Caf\xc3\xa9") == 1
    file.write_bytes(content.replace(b"Caf\xc3\xa9", b"Caf\xe9 "))
    assert seen(file) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "pipe:0.mp4", "-.mp4", "%03d.mp4", "a?b#c.mp4", "\udcff\u00e9.mp4"]
)
def test_a_name_is_only_a_name(tmp_path, monkeypatch, name):
    write_video(tmp_path / "film.mp4", grey_frames())
    try:
        (tmp_path / "film.mp4").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    monkeypatch.chdir(tmp_path)
    assert seen(name) == [list(range(20))]


# damage, and too much


def test_of_a_cut_film_the_beginning_is_read(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(20, 64, 64, 3), dtype=np.uint8)
    write_lossless(tmp_path / "film.mkv", noise)
    (whole,) = read(tmp_path / "film.mkv", 64)
    content = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(content[: len(content) // 2])
    (half,) = read(tmp_path / "film.mkv", 64)
    assert 8 <= len(half) <= 10 and (half[:8] == whole[:8]).all()


def test_damaged_packets_are_left_out_and_named(tmp_path, caplog):
    write_video(tmp_path / "film.mov", grey_frames(), codec="png", pixel_format="rgb24")
    content = bytearray((tmp_path / "film.mov").read_bytes())
    starts = [at for at in range(len(content)) if content.startswith(b"\x89PNG", at)]
    for start in starts[5:8]:
        content[start : start + 4] = b"none"
    (tmp_path / "film.mov").write_bytes(content)
    assert seen(tmp_path / "film.mov") == [[*range(5), 4, 4, 4, *range(8, 20)]]
    assert "film.mov is damaged: 3 packets are left out" in caplog.text


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_of_a_cut_animation_nothing_is_made_up(tmp_path, kind, caplog):
    file = tmp_path / f"film.{kind}"
    noise = np.random.default_rng(0).integers(256, size=(8, 32, 32), dtype=np.uint8)
    first, *rest = [Image.fromarray(frame) for frame in noise]
    kind = {"apng": "PNG"}.get(kind, kind.upper())
    first.save(file, kind, save_all=True, append_images=rest, duration=100)
    (whole,) = read(file, 32)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    try:
        (half,) = read(file, 32)
    except GenieError as error:
        assert file.name in str(error)
    else:
        assert 2 <= len(half) <= 4 and (half == whole[: len(half)]).all()
        assert file.name in caplog.text


@pytest.mark.parametrize("ending", ["mkv", "gif"])
def test_the_pixels_of_a_film_are_counted_before_they_are_decoded(tmp_path, monkeypatch, ending):
    file = tmp_path / f"film.{ending}"
    if ending == "gif":
        write_animation(file, [100, 100])
    else:
        write_lossless(file, grey_frames(GREYS[:2]))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 255)
    with pytest.raises(GenieError, match=rf"film\.{ending} has 16x16 pixels; 255 is the most"):
        read(file)


def test_a_film_does_not_grow_beyond_the_most_pixels(tmp_path, monkeypatch, caplog):
    file = tmp_path / "film.ts"
    write_video(file, grey_frames(height=32, width=32), 25, codec="mpeg2video")
    small = file.read_bytes()
    write_video(file, grey_frames(height=256, width=256), 25, codec="mpeg2video")
    file.write_bytes(small + file.read_bytes())
    assert [len(recording) for recording in read(file)] == [8, 8]
    monkeypatch.setattr(films, "MOST_PIXELS", 64 * 64)
    assert [len(recording) for recording in read(file)] == [8]
    assert "film.ts is damaged" in caplog.text
