"""Every diagram is drawn from its present source, is used by a page, and can be read aloud."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "figures"
sys.path.insert(0, str(FIGURES))
import draw  # noqa: E402

PARTS = json.loads(draw.STYLE.read_text(encoding="utf-8"))["parts"]
DIRECTIVE = re.compile(
    r"^(`{3,}|:{3,}|~{3,})\{(?:figure|image)\}\s*(\S+)(.*?)^\1", flags=re.DOTALL | re.MULTILINE
)
INLINE = re.compile(r"!\[(.*?)\]\((\S+?)\)")
TAG = re.compile(r"<img\b[^>]*>")


def prose(page):
    """The Markdown of a page: all of it, or the Markdown cells of a notebook."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    return "\n\n".join(
        "".join(cell["source"])
        for cell in json.loads(text)["cells"]
        if cell["cell_type"] == "markdown"
    )


def images(text):
    """Every image in Markdown, as (target, alternative text)."""
    found = []
    for _, target, rest in DIRECTIVE.findall(text):
        alt = re.search(r"^:alt:[ \t]*(.*)$", rest, flags=re.MULTILINE)
        found.append((target, alt[1] if alt else ""))
    found += [(target, alt) for alt, target in INLINE.findall(text)]
    for tag in TAG.findall(text):
        alt, target = (re.search(rf'\b{name}="([^"]*)"', tag) for name in ("alt", "src"))
        found.append((target[1] if target else tag, alt[1] if alt else ""))
    return found


PAGES = sorted(
    path
    for suffix in ("*.md", "*.ipynb")
    for path in (ROOT / "book").rglob(suffix)
    if "." not in path.parts[-2]
)
DOTS = sorted(FIGURES.glob("*.dot"))


def test_there_is_something_to_check():
    assert DOTS and PAGES


@pytest.mark.parametrize("dot", DOTS, ids=lambda path: path.stem)
def test_svg_is_drawn_from_the_present_source(dot):
    svg = dot.with_suffix(".svg")
    assert svg.exists(), f"{dot.name} has no picture: run python figures/draw.py"
    assert draw.drawn_hash(svg) == draw.source_hash(dot), (
        f"{svg.name} is stale: run python figures/draw.py"
    )


@pytest.mark.parametrize("dot", DOTS, ids=lambda path: path.stem)
def test_source_leaves_the_colours_to_the_style(dot):
    source = dot.read_text(encoding="utf-8")
    own = re.findall(r"\b(?:color|fillcolor|fontcolor|bgcolor)\s*=", source)
    assert not own, f'{dot.name} sets {own}: give it class="..." and the colour in style.json'
    classes = {name for names in re.findall(r'\bclass="([^"]*)"', source) for name in names.split()}
    assert classes <= {*PARTS, "open"}, (
        f"{dot.name}: style.json knows no {classes - {*PARTS, 'open'}}"
    )


def test_every_svg_has_a_source():
    assert {svg.stem for svg in FIGURES.glob("*.svg")} <= {dot.stem for dot in DOTS}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_image_has_alternative_text(page):
    without = [target for target, alt in images(prose(page)) if len(alt.strip()) < 10]
    assert not without, f"{page.name}: an image needs a sentence of alternative text: {without}"


@pytest.mark.parametrize("dot", DOTS, ids=lambda path: path.stem)
def test_every_figure_is_used_by_a_page(dot):
    targets = {Path(target).name for page in PAGES for target, _ in images(prose(page))}
    assert dot.with_suffix(".svg").name in targets, f"no page of the book shows {dot.stem}"


def test_the_check_sees_missing_alternative_text():
    assert images("```{figure} a.svg\n:name: a\ncaption\n```\n![](b.png) <img src='c'>") == [
        ("a.svg", ""),
        ("b.png", ""),
        ("<img src='c'>", ""),
    ]
