"""Every picture that a chapter draws has its alternative text in the metadata of its cell, and the
build puts it into the page.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from sphinx.application import Sphinx

from genie_mini.chapters.show import picture

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
SITE = ROOT / "_build" / "html"
PICTURE = picture(np.zeros((2, 2, 3))).data


def alt_text(cell):
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def problems(notebook):
    """What is wrong with the pictures of a notebook and their texts, by cell."""
    found = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        shown = sum(
            output.get("data", {}).get("text/html", "").count("<img") for output in cell.outputs
        )
        if shown > 1:
            found.append(f"cell {number} shows {shown} pictures, for one text")
        if bool(shown) != bool(alt_text(cell)):
            found.append(f"cell {number}: {shown} pictures, text {alt_text(cell)!r}")
        elif shown and len(alt_text(cell)) < 30:
            found.append(f"cell {number}: a sentence is needed, not {alt_text(cell)!r}")
        if re.search(r"\balt=", cell.source):
            found.append(f"cell {number} has the text in its code")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_with_a_picture_has_a_text_in_its_metadata(path):
    assert not problems(nbformat.read(path, as_version=4))


def notebook(html, alt=None, source="picture(frame)"):
    """A page of one cell with this output."""
    output = nbformat.v4.new_output("execute_result", data={"text/html": html}, execution_count=1)
    cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output])
    if alt is not None:
        cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Page"), cell])


SENTENCE = 'A "square" on a sky, and <nothing> & more.'


@pytest.mark.parametrize(
    "html, alt, source",
    [
        (PICTURE, None, "picture(frame)"),
        (PICTURE, "a square", "picture(frame)"),
        (PICTURE * 2, SENTENCE, "picture(frame)"),
        ("<p>none</p>", SENTENCE, "print(1)"),
        (PICTURE, SENTENCE, 'film(frames, alt="a film")'),
    ],
)
def test_planted_mistakes_are_seen(html, alt, source):
    assert not problems(notebook(PICTURE, SENTENCE))
    assert problems(notebook(html, alt, source))


def build(folder, page):
    """Build a site of one page as the book does; gives its HTML and the warnings."""
    source = folder / "source"
    source.mkdir()
    nbformat.write(page, source / "index.ipynb")
    warnings = folder / "warnings.txt"
    options = {
        "extensions": ["myst_nb", "genie_pictures"],
        "nb_execution_mode": "off",
        "html_theme": "basic",
    }
    with warnings.open("w", encoding="utf-8") as file:
        folders = [str(folder / name) for name in ("out", "trees")]
        Sphinx(str(source), None, *folders, "html", options, status=None, warning=file).build()
    html = (folder / "out" / "index.html").read_text(encoding="utf-8")
    return html, warnings.read_text(encoding="utf-8")


@pytest.fixture
def extensions(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")


class Alts(HTMLParser):
    """The alternative text of every picture of a page (None: it has none)."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.found.append(dict(attributes).get("alt"))


def test_the_build_puts_the_text_into_the_page(tmp_path, extensions):
    page = notebook(PICTURE, SENTENCE)
    page.cells[1].metadata["mystnb"]["figure"] = {"caption": "A *square*."}
    html, warnings = build(tmp_path, page)
    assert Alts(html).found == [SENTENCE] and "alternative text" not in warnings
    assert re.search("<figcaption>.*A <em>square</em>.*</figcaption>", html, re.DOTALL)


@pytest.mark.parametrize("width, marked", [(750, False), (751, True)])
def test_the_build_marks_a_picture_that_is_wide(tmp_path, extensions, width, marked):
    page = notebook(picture(np.zeros((1, width, 3)), scale=1).data, SENTENCE)
    html, _ = build(tmp_path, page)
    assert ("genie-wide" in html) == marked and Alts(html).found == [SENTENCE]


def test_the_build_warns_of_a_picture_without_a_text(tmp_path, extensions):
    html, warnings = build(tmp_path, notebook(PICTURE))
    assert "a picture has no alternative text" in warnings and "index.ipynb" in warnings
    assert Alts(html).found == [""]


def test_every_picture_of_the_site_has_a_text():
    pages = sorted(SITE.glob("*.html"))
    assert pages, "run `python3 run.py book --no-serve` to build the site"
    alts = {page.stem: Alts(page.read_text(encoding="utf-8")).found for page in pages}
    assert not [
        page for page, found in alts.items() if not all(alt and alt.strip() for alt in found)
    ]
    for path in NOTEBOOKS:
        texts = map(alt_text, nbformat.read(path, as_version=4).cells)
        assert {text for text in texts if text} <= set(alts[path.stem])
