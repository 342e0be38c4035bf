"""A report says where its figures come from, is written whole, and is a page that everybody can
read.
"""

import json
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from world_of_levels import cache_of

from genie_mini.data.cache import CachedVideos, true_actions
from genie_mini.errors import GenieError
from genie_mini.evaluation import true_actions as true_actions_module
from genie_mini.evaluation.curves import read_logs
from genie_mini.evaluation.report_page import draw_pictures, report_page, write_report
from genie_mini.evaluation.world_report import evaluate_videos, format_report

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
LOG = (
    "step,seconds,loss,reconstruction,quantizer\n"
    "0,0.1,1.5,0.3,\n1,0.2,1.25,0.25,\n2,0.3,nan,0.2,\n3,0.4,1.0"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    names = tuple(f"<b>film</b> & {number}" for number in range(60))
    return cache_of(tmp_path_factory.mktemp("cache"), lengths=(40,) * 60, names=names)


@pytest.fixture(scope="module")
def found(folder, make_genie):
    """A report of an untrained Genie and its pictures."""
    genie = make_genie(context=16)
    train, held_out = (CachedVideos(folder, split) for split in ("train", "held out"))
    learn = true_actions_module.train_inverse_dynamics
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(true_actions_module, "train_inverse_dynamics", partial(learn, steps=5))
        patch.setattr(true_actions_module, "_TRAIN_CLIPS", 64)
        patch.setattr(true_actions_module, "_VALIDATION", 64)
        report = evaluate_videos(
            genie,
            train,
            held_out,
            partial(true_actions, folder),
            num_clips=24,
            weights={"config.json": "0" * 64},
            progress=False,
        )
    return report, draw_pictures(genie, held_out)


def test_an_untrained_genie_is_scored_to_the_end_and_shows_no_skill(found):
    report, _ = found
    scores = {score.name: score for score in report.scores}
    assert len(scores) == len(report.scores), "no two scores share a name"
    assert scores["next frame above repeating the last"].value < 0
    assert scores["cycle consistency"].value < 0.5 and len(report.cycle) == 8
    assert scores["true actions named right, by 200 labels"].value < 0.5
    for score in report.scores:
        assert score.interval is None or score.interval[0] <= score.interval[1]
    without = {score.name for score in report.scores if score.interval is None}
    assert {name for name in without if "roll-out" not in name} == {"codes in use"}
    assert len(report.latent_to_real) == 8
    table = format_report(report)
    assert all(name in table for name in scores)


def test_the_report_names_its_films_and_weights_and_comes_back_from_json(found, folder, tmp_path):
    report, pictures = found
    figures = tmp_path / "report.json"
    page = write_report(figures, report, pictures, "Report", tmp_path)
    content = json.loads(figures.read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert content["data_sha256"] == manifest["sha256"]
    assert content["source"] == manifest["source"] and content["weights"] == report.weights
    assert [score["name"] for score in content["scores"]] == [s.name for s in report.scores]
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.html"}
    assert page.stat().st_size < 2_000_000


def test_a_report_that_cannot_be_written_leaves_the_old_one(found, tmp_path):
    report, pictures = found
    old = tmp_path / "report.json"
    old.write_text("old")
    broken = replace(report, cycle=[float("nan")] * 8)
    with pytest.raises(ValueError):
        write_report(old, broken, pictures, "Report", tmp_path)
    assert old.read_text() == "old" and list(tmp_path.iterdir()) == [old]


def test_films_of_another_size_are_refused(folder, make_genie):
    train, held_out = (CachedVideos(folder, split) for split in ("train", "held out"))
    with pytest.raises(GenieError, match="draws frames of 32x32 pixels, and the films have 16x16"):
        evaluate_videos(make_genie(size=32), train, held_out, progress=False)


class Pictures(HTMLParser):
    """Reads the pictures and the addresses of a page."""

    def __init__(self, page):
        super().__init__()
        self.alts, self.addresses = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.alts.append(attributes.get("alt"))
        self.addresses += [
            attributes[key] for key in ("src", "srcset", "href") if key in attributes
        ]


def test_the_page_holds_everything_and_asks_nobody(found, tmp_path):
    report, pictures = found
    (tmp_path / "tokenizer.csv").write_text(LOG)
    page = report_page(report, pictures, "A title", tmp_path)
    read = Pictures(page)
    assert read.addresses and all(address.startswith("data:") for address in read.addresses)
    assert not re.search(r"https?://|<script|url\(", page)
    prompts, actions = pictures.played.shape[:2]
    charts = 2  # drift, and the tokenizer's log
    assert len(read.alts) == prompts * (1 + actions) + pictures.truth[..., 0, 0, 0].numel() * 2 + (
        charts
    )
    assert all(read.alts) and len(set(read.alts)) == len(read.alts)
    assert all(score.name in page for score in report.scores)
    assert page == report_page(report, pictures, "A title", tmp_path), "the same bytes again"


def test_what_comes_from_files_is_escaped(found, tmp_path):
    report, pictures = found
    evil = "<script>alert(1)</script>"
    source = {"kind": evil, "files": [[evil, 1, 2]], "environment": evil}
    (tmp_path / "world.csv").write_text(f"step,{evil}\n0,1.0\n")
    page = report_page(replace(report, source=source), pictures, evil, tmp_path)
    assert "<script" not in page and page.count("&lt;script&gt;alert(1)") >= 4


def test_logs_are_read_as_far_as_they_go(tmp_path):
    assert read_logs(tmp_path) == {}
    (tmp_path / "tokenizer.csv").write_text(LOG)
    (tmp_path / "world.csv").write_bytes(b"\xff\x00 no log")
    logs = read_logs(tmp_path)
    assert list(logs) == ["Tokenizer"] and list(logs["Tokenizer"]) == ["loss", "reconstruction"]
    places, heights = logs["Tokenizer"]["loss"]
    assert places.tolist() == [0, 1, 3] and heights.tolist() == [1.5, 1.25, 1.0]


def test_a_long_log_becomes_a_smooth_curve(tmp_path):
    rows = "".join(f"{step},{step % 2}\n" for step in range(4000))
    (tmp_path / "world.csv").write_text("step,loss\n" + rows)
    (curves,) = read_logs(tmp_path).values()
    places, heights = curves["loss"]
    assert len(places) == 200 and heights == pytest.approx(0.5)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_report(found, tmp_path, browser, theme):
    report, pictures = found
    (tmp_path / "tokenizer.csv").write_text(LOG)
    (tmp_path / "report.html").write_text(report_page(report, pictures, "Report", tmp_path))
    page = browser.new_page(color_scheme=theme, viewport={"width": 700, "height": 800})
    try:
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert page.evaluate("[...document.images].every(picture => picture.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # The page's own policy lets no script in; a debugger's is none of the page's.
        violations = page.evaluate(
            f"(() => {{ {AXE.read_text(encoding='utf-8')} }})(),"
            "axe.run().then(found => found.violations)"
        )
        assert not violations, json.dumps(violations, indent=1)[:3000]
    finally:
        page.close()
