"""`genie-mini train` does what was asked for, or says why not, before the work; and loses nothing
that lies in its folder.
"""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_genie

from genie_mini import cli
from genie_mini.cli import main
from genie_mini.data.cache import SPLITS, CachedVideos
from genie_mini.data.sources import cached_films
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_grid import draw_strip
from genie_mini.files import WEIGHTS, to_uint8
from genie_mini.genie import Genie
from genie_mini.models.patch_tokenizer import to_levels
from genie_mini.play.prompts import saved_prompts
from genie_mini.play.widget import player_options
from genie_mini.training import budget
from genie_mini.training.config import DEFAULT_MINUTES, LOOKBACK_TRAINING
from genie_mini.training.phases import build_phases
from genie_mini.world import record

pytestmark = pytest.mark.usefixtures("small_training")


def save_clips(path, num_frames=4, seed=0):
    frames = np.random.default_rng(seed).integers(256, size=(3, num_frames, 32, 32, 3))
    np.save(path, frames.astype(np.uint8))
    return path


@pytest.fixture
def clips(tmp_path):
    return save_clips(tmp_path / "clips.npy")


@pytest.fixture(scope="module")
def run_of_two_steps(tmp_path_factory, train_small):
    folder = tmp_path_factory.mktemp("trained")
    clips = save_clips(folder / "clips.npy")
    train_small("--data", str(clips), "--steps", "2", "--out", str(folder / "run"))
    return folder / "run"


@pytest.fixture
def trained(tmp_path, run_of_two_steps):
    """A folder of a finished run of two steps on `clips`."""
    return shutil.copytree(run_of_two_steps, tmp_path / "run")


@pytest.fixture
def short_lookback(monkeypatch):
    config = replace(LOOKBACK_TRAINING, num_frames=20, precision="fp32")
    monkeypatch.setattr(cli.train, "LOOKBACK_TRAINING", config)


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rows(folder, log="world.csv"):
    return (folder / log).read_text().splitlines()[1:]


# a folder in which a run lies


@pytest.mark.parametrize(
    "changed, told",
    [
        (["--seed", "1"], "training seed 0, now 1"),
        (["--steps", "1"], "tokenizer_steps 2, now 1"),
        (["--preset", "mini"], "began as preset pocket, now preset mini"),
        (["--precision", "bf16"], "training precision fp32, now bf16"),
        (["--batch-size", "2"], "training batch_size 1, now 2"),
        (["--tokenizer", "patches"], "networks tokenizer codebook learnt, now patches"),
        (["--data", "other.npy"], "data 3 films"),
        (["--lookback", "sparse", "--from", "weights"], "began as preset pocket, now weights of"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_another_wish_for_the_folder_of_a_run_is_refused(
    trained, clips, weights, wrong, changed, told
):
    before = content(trained)
    other = save_clips(clips.with_name("other.npy"), seed=1)
    files = {"other.npy": str(other), "weights": str(weights)}
    words = ["train", "--data", clips, "--steps", "2", "--out", trained]
    line = wrong(*words, *(files.get(word, word) for word in changed))
    assert told in line and str(trained / "checkpoint.safetensors") in line
    assert content(trained) == before


def test_clips_of_files_are_not_those_of_the_platformer(trained, wrong):
    line = wrong("train", "--steps", "2", "--out", trained)
    assert "data 3 films" in line and "now the platformer at 32 pixels" in line


def test_the_same_files_in_another_place_are_the_same_clips(trained, clips):
    moved = clips.rename(clips.with_name("moved.npy"))
    assert main(["train", "--data", str(moved), "--steps", "2", "--out", str(trained)]) == 0


@pytest.mark.usefixtures("short_lookback")
@pytest.mark.parametrize(
    "changed, told",
    [
        (["--lookback", "retrieval"], "lookback sparse, now retrieval"),
        (["--from", "other"], "began as weights of SHA-256"),
    ],
    ids=["lookback", "from"],
)
def test_another_lookback_or_origin_is_refused(tmp_path, weights, wrong, changed, told):
    words = ["train", "--lookback", "sparse", "--from", str(weights), "--steps", "1"]
    words += ["--out", str(tmp_path / "run")]
    assert main(words) == 0
    before = content(tmp_path / "run")
    tiny_genie(seed=5).save(tmp_path / "other")
    changed = [str(tmp_path / "other") if word == "other" else word for word in changed]
    assert told in wrong(*words, *changed)
    assert content(tmp_path / "run") == before
    assert main(words) == 0, "the same is no other wish"


def test_more_steps_go_on_where_the_run_ended(trained, clips, wrong):
    words = ["train", "--data", str(clips), "--out", str(trained), "--steps"]
    short = {log: rows(trained, log) for log in ("tokenizer.csv", "world.csv")}
    before = Genie.from_pretrained(trained).state_dict()
    assert main([*words, "5"]) == 0
    for log, lines in short.items():
        longer = rows(trained, log)
        assert longer[: len(lines)] == lines, "what was learnt is not learnt again"
        assert [int(line.split(",")[0]) for line in longer] == list(range(5 * len(lines) // 2))
    after = Genie.from_pretrained(trained).state_dict()
    for part in ("tokenizer", "latent_action_model", "dynamics"):
        assert any(
            not torch.equal(before[name], after[name]) for name in after if name.startswith(part)
        ), part
    longer = content(trained)
    assert "tokenizer_steps 5, now 2 (of each, more can be asked for" in wrong(*words, "2")
    assert main([*words, "5"]) == 0 and content(trained) == longer


# what tokens are


def save_film(path, speed, num_frames=300):
    """A film of a square that bounces at so many pixels a frame over a checked floor."""
    rows, columns = np.mgrid[:32, :32]
    floor = 40 * ((rows // 8 + columns // 8) % 2)
    film = []
    for t in range(num_frames):
        at = np.array([abs((speed * side * t) % 48 - 24) + 4 for side in (1, 2)])
        far = np.abs(np.stack([rows, columns]) - at[:, None, None]).max(axis=0)
        film.append(floor + (255 - floor) * np.clip(3 - far, 0, 1))
    np.save(path, np.repeat(np.array(film)[..., None], 3, axis=-1).round().astype(np.uint8))
    return str(path)


@pytest.mark.parametrize("speed, codebook", [(1, "patches"), (0.7183, "learnt")])
def test_tokens_are_patches_where_things_stand_on_whole_pixels(tmp_path, capsys, speed, codebook):
    film = save_film(tmp_path / "film.npy", speed)
    words = ["train", "--data", film, "--steps", "1", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "tokens are" in line]
    assert len(said) == 1 and ("learnt" in said[0]) == (codebook == "learnt") and " dB" in said[0]
    genie = Genie.from_pretrained(tmp_path / "run")
    assert genie.config.tokenizer.codebook == codebook
    if codebook == "patches":
        frames = torch.from_numpy(np.load(film)[None, :200]).float() / 255
        codes = genie.tokenizer.patches[genie.tokenizer.encode(frames)]
        assert (codes == to_levels(frames, 8)).all(dim=-1).float().mean() > 0.99


@pytest.fixture
def patch_run(tmp_path):
    """The words that began a run whose tokens are patches; it is finished."""
    film = save_film(tmp_path / "film.npy", 1)
    words = ["train", "--data", film, "--out", str(tmp_path / "run"), "--steps"]
    assert main([*words, "1"]) == 0
    return words


def test_a_run_keeps_its_patches_and_does_not_choose_again(patch_run, wrong, monkeypatch):
    out = Path(patch_run[4])
    before = Genie.from_pretrained(out)
    for name in ("view_patches", "count_patches", "choose_patches"):
        monkeypatch.setattr(cli.train, name, lambda *_: pytest.fail("it chose again"))
    assert main([*patch_run, "2"]) == 0
    after = Genie.from_pretrained(out)
    assert torch.equal(before.tokenizer.patches, after.tokenizer.patches)
    assert not torch.equal(before.dynamics.position, after.dynamics.position)
    assert main([*patch_run, "2", "--tokenizer", "patches"]) == 0, "it is what was chosen"
    told = wrong(*patch_run, "2", "--tokenizer", "learnt")
    assert "networks tokenizer codebook patches, now learnt" in told


def test_a_genie_of_patches_is_evaluated_and_played(patch_run, tmp_path):
    out = str(tmp_path / "run")
    scores = tmp_path / "scores.json"
    words = ["evaluate", "--weights", out, "--data", patch_run[2], "--clips", "64"]
    assert main([*words, "--out", str(scores)]) == 0
    assert "tokenizer PSNR" in scores.read_text()
    genie = Genie.from_pretrained(out)
    session = genie.play(saved_prompts(out, (32, 32))[0])
    assert session.step(3).shape == (32, 32, 3)


def test_what_is_asked_for_is_not_looked_at(tmp_path, clips, monkeypatch):
    monkeypatch.setattr(cli.train, "view_patches", lambda *_: pytest.fail("it was looked at"))
    for wish in ("learnt", "patches"):
        words = ["train", "--data", str(clips), "--steps", "1", "--tokenizer", wish]
        assert main([*words, "--out", str(tmp_path / wish)]) == 0
        assert Genie.from_pretrained(tmp_path / wish).config.tokenizer.codebook == wish


# several worlds


def test_several_worlds_train_one_genie_and_share_its_prompts(tmp_path, wrong):
    worlds = [tmp_path / "dark", tmp_path / "light"]
    for world, grey in zip(worlds, (40, 200), strict=True):
        world.mkdir()
        np.save(world / "film.npy", np.full((3, 4, 32, 32, 3), grey, np.uint8))
    words = ["train", "--steps", "1", "--out", str(tmp_path / "run")]
    assert main([*words, *(f"--data={world}" for world in worlds)]) == 0
    prompts = saved_prompts(tmp_path / "run", (32, 32))
    assert sorted(round(float(p.mean()) * 255) for p in prompts) == [40] * 3 + [200] * 3
    assert "was asked for something else: data" in wrong(*words, f"--data={worlds[0]}")


def test_tokens_are_learnt_where_one_of_the_worlds_needs_it(tmp_path, patch_run, capsys):
    new = save_film(tmp_path / "between.npy", 0.7183)
    capsys.readouterr()
    words = ["train", "--steps", "1", "--data", patch_run[2], "--data"]
    assert main([*words, patch_run[2], "--out", str(tmp_path / "same")]) == 0
    assert "tokens are the most frequent patches" in capsys.readouterr().err
    assert main([*words, new, "--out", str(tmp_path / "two")]) == 0
    assert "tokens are learnt" in capsys.readouterr().err


# minutes


@pytest.fixture
def quick_measurement(monkeypatch):
    monkeypatch.setattr(budget, "_SECONDS", 0.0)


@pytest.mark.usefixtures("short_lookback", "quick_measurement")
@pytest.mark.parametrize("lookback", [False, True], ids=["all networks", "lookback"])
def test_minutes_are_measured_once(tmp_path, weights, monkeypatch, capsys, lookback):
    out = tmp_path / "run"
    words = ["train", "--out", str(out), "--minutes", "0.01"]
    words += ["--lookback", "sparse", "--from", str(weights)] if lookback else []
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "0.01 minutes are" in said and ("of the tokenizer" in said) != lookback
    assert rows(out) and bool(rows(out, "tokenizer.csv")) != lookback
    before = content(out)
    monkeypatch.setattr(budget, "time_steps", lambda *_: pytest.fail("it was measured again"))
    assert main(words) == 0 and content(out) == before


@pytest.mark.usefixtures("quick_measurement")
def test_pocket_learns_for_its_minutes_where_nothing_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(DEFAULT_MINUTES, "pocket", 0.01)
    out = tmp_path / "run"
    assert main(["train", "--out", str(out)]) == 0
    assert "0.01 minutes are" in capsys.readouterr().err and rows(out)
    before = content(out)
    assert main(["train", "--minutes", "0.01", "--out", str(out)]) == 0 and content(out) == before
    assert main(["train", "--steps", "1", "--out", str(tmp_path / "steps")]) == 0
    assert "minutes are" not in capsys.readouterr().err


@pytest.mark.usefixtures("quick_measurement")
def test_fewer_minutes_are_refused_before_the_videos_are_read(tmp_path, clips, wrong, monkeypatch):
    words = ["train", "--data", str(clips), "--out", str(tmp_path / "run"), "--minutes"]
    assert main([*words, "0.02"]) == 0
    monkeypatch.setattr(cli.train, "films_of", lambda *_: pytest.fail("it was read"))
    assert "minutes 0.02, now 0.01 (more can be asked for, not less)" in wrong(*words, "0.01")


# clips of a step


@pytest.mark.parametrize("lookback", [False, True], ids=["all networks", "lookback"])
def test_a_step_has_as_many_clips_as_are_asked_for(tmp_path, weights, monkeypatch, lookback):
    asked = []
    monkeypatch.setattr(cli.train, "train", lambda *given, **_: asked.append(given[2]))
    words = ["train", "--out", str(tmp_path), "--batch-size", "6"]
    lookback_words = ["--lookback", "sparse", "--from", str(weights)]
    words += lookback_words if lookback else ["--tokenizer", "learnt"]
    assert main(words) == 0
    (config,) = asked
    world = build_phases(tiny_genie(), None, config)[1]
    assert world.clips(world.steps - 1) == (6, config.num_frames)


# previews


def test_the_preview_shows_what_actions_do_from_a_film_that_is_held_out(tmp_path, monkeypatch):
    films, out, shown = tmp_path / "films", tmp_path / "run", []
    films.mkdir()
    for number in range(12):
        save_clips(films / f"{number}.npy", 8, seed=number)

    def draw(genie, learnt, *, film):
        shown.append(film)
        return draw_strip(genie, learnt, film=film)

    monkeypatch.setattr(cli.train, "draw_strip", draw)
    assert main(["train", "--data", str(films), "--steps", "1", "--out", str(out)]) == 0
    with Image.open(out / "preview.png") as picture:
        assert picture.height == 8 * 66, "a row for each action"
    cache = cached_films(str(films), (32, 32), progress=False)
    for split in SPLITS:
        videos = CachedVideos(cache, split)
        whole = [videos.clips(np.array([s.start]), s.frames)[0] for s in videos.stretches]
        found = any(torch.equal(clip, shown[-1]) for clip in whole)
        assert found == (split == "held out")


def test_the_preview_of_the_platformer_is_of_a_level_that_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(cli.train, "draw_strip", draw_strip)
    assert main(["train", "--steps", "1", "--out", str(tmp_path / "run")]) == 0
    with Image.open(tmp_path / "run" / "preview.png") as picture:
        first = np.asarray(picture)[:64:2, -7 * 66 : -6 * 66 - 2 : 2]
    film = record(1, 8, size=32, held_out=True)[0][0]
    assert (first == to_uint8(torch.from_numpy(film[3]))).all()


# somebody's files


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "world.csv",
        "tokenizer.csv",
        "shared.json",
        "SHA256SUMS",
        "preview.png",
        "dynamics.safetensors",
        "checkpoint.safetensors",
    ],
)
def test_a_file_of_somebody_is_not_replaced(tmp_path, clips, wrong, name):
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_bytes(b"a year of work")
    line = wrong("train", "--data", clips, "--steps", "2", "--out", out)
    assert name in line
    assert content(out) == {name: b"a year of work"}


def test_a_genie_without_a_checkpoint_is_not_replaced(trained, clips, wrong):
    (trained / "checkpoint.safetensors").unlink()
    before = content(trained)
    line = wrong("train", "--data", clips, "--steps", "2", "--out", trained)
    assert "config.json" in line and "give another folder" in line
    assert content(trained) == before


def test_a_genie_is_scored_and_played_at_the_rate_of_its_films_and_goes_on_at_no_other(
    tmp_path, wrong, monkeypatch
):
    pictures = [Image.new("L", (32, 32), number) for number in range(200)]
    film = tmp_path / "film.gif"
    pictures[0].save(film, save_all=True, append_images=pictures[1:], duration=50)
    words = ["train", "--data", str(film), "--steps", "1", "--out", str(tmp_path / "run")]
    assert main([*words, "--fps", "20"]) == 0
    genie = Genie.from_pretrained(tmp_path / "run")
    options = player_options(genie, prompts=[torch.zeros(32, 32, 3)])
    assert genie.config.frames_per_second == options["world"]["framesPerSecond"] == 20
    assert "frames_per_second 20.0, now 10.0" in wrong(*words)
    seen = []

    def look(genie, *films, **_):
        seen.extend(films)
        raise GenieError("looked at")

    monkeypatch.setattr(cli.evaluate, "evaluate_videos", look)
    assert "looked at" in wrong("evaluate", "--weights", tmp_path / "run", *words[1:3])
    train, held_out, _ = seen
    assert train.stretches[0].frames + held_out.stretches[0].frames == 200
    assert train.frames_per_second == 20


# options that others leave nothing to do for


def test_options_that_would_be_ignored_are_refused(tmp_path, weights, wrong):
    out = tmp_path / "out"
    assert "give --lookback too" in wrong("train", "--from", weights, "--out", out)
    assert "leave one of them out" in wrong(
        "train", "--lookback", "sparse", "--preset", "mini", "--out", out
    )
    both = wrong("train", "--steps", "2", "--minutes", "2", "--out", out)
    assert "--minutes" in both and "--steps" in both and "leave one of them out" in both
    assert not out.exists()
    own = wrong("train", "--lookback", "sparse", "--tokenizer", "auto", "--out", out)
    assert "--tokenizer is for new networks" in own and "leave one of them out" in own
    slow = wrong("train", "--lookback", "sparse", "--data", tmp_path, "--fps", "5", "--out", out)
    assert "--fps is for new networks" in slow and "leave one of them out" in slow
    assert "--fps is for --data, which is not given" in wrong("train", "--fps", "5", "--out", out)
    game = wrong("train", "--data", "procgen:coinrun", "--fps", "5", "--out", out)
    assert "--fps is for films, and procgen:coinrun is a game" in game
    assert not out.exists()
    nothing = wrong("train", "--lookback", "sparse", "--from", "", "--out", out)
    assert "must be a path, got ''" in nothing, "an empty name is not the name that was left out"


# what takes minutes is looked at before


def test_clips_that_a_later_phase_finds_too_short_are_refused_at_once(tmp_path, wrong):
    short, out = save_clips(tmp_path / "short.npy", num_frames=3), tmp_path / "out"
    line = wrong("train", "--data", short, "--steps", "100", "--out", out)
    assert "clips of 4 frames are needed, but the longest recording has 3" in line
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    "out", ["clips.npy", "clips.npy/below", 300 * "x"], ids=["file", "below", "long"]
)
def test_a_place_that_takes_no_files_is_told_before_the_videos_are_read(
    tmp_path, clips, wrong, monkeypatch, out
):
    monkeypatch.setattr(cli.train, "films_of", lambda *_: pytest.fail("it was read"))
    assert str(tmp_path) in wrong("train", "--data", clips, "--out", tmp_path / out)


def test_another_wish_is_told_before_the_videos_are_read(trained, clips, wrong, monkeypatch):
    monkeypatch.setattr(cli.train, "films_of", lambda *_: pytest.fail("it was read"))
    assert "seed" in wrong("train", "--data", clips, "--out", trained, "--seed", "1")


# the command that is printed


@pytest.mark.parametrize("name", ["my run", "it's", "mini", "$HOME", "-x"])
def test_the_printed_command_plays_what_was_trained(tmp_path, clips, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", str(clips), "--steps", "1", f"--out={name}"]) == 0
    said = capsys.readouterr().out
    words = shlex.split(said[said.index("`") + 1 : said.rindex("`")])
    arguments = cli.build_parser().parse_args(words[1:])
    played, trained = Genie.from_pretrained(arguments.weights), tmp_path / name
    assert torch.equal(played.dynamics.position, Genie.from_pretrained(trained).dynamics.position)
    assert WEIGHTS not in trained.parents


# pictures to begin from


def test_pictures_of_its_own_films_travel_with_the_weights(trained, clips):
    pictures = saved_prompts(trained, (32, 32))
    filmed = np.load(clips).reshape(-1, 32, 32, 3)
    assert len(pictures) == 6
    assert all((filmed == to_uint8(picture)).all(axis=(1, 2, 3)).any() for picture in pictures)


def test_pictures_that_lie_there_already_stay(trained, clips):
    (trained / "prompts" / "02.png").unlink()
    before = content(trained / "prompts")
    assert main(["train", "--data", str(clips), "--steps", "3", "--out", str(trained)]) == 0
    assert content(trained / "prompts") == before


def test_a_genie_of_the_platformer_brings_no_pictures(tmp_path):
    assert main(["train", "--steps", "1", "--out", str(tmp_path / "run")]) == 0
    assert saved_prompts(tmp_path / "run", (32, 32)) == []
