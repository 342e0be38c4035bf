"""What every chapter offers its reader: objectives, a map, something to touch, a summary, and code
that is imported.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = sorted(path for path in BOOK.glob("*.ipynb") if path.stem != "index")
HEADINGS = [
    "## Exercises",
    "## Check yourself",
    "## Common misconceptions",
    "## Summary",
    "## Further reading",
]

pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def text(path):
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def test_it_opens_with_objectives_needs_and_run_time(path):
    opening = text(path).split("\n## ")[0]
    assert opening.startswith("# ")
    objectives = re.search(
        r"\*\*After this chapter you can\*\*\n\n((?:- .+\n(?:  .+\n)*)+)", opening + "\n"
    )
    assert objectives and 3 <= objectives[1].count("\n- ") + 1 <= 5
    assert "**You need**" in opening and "**It runs in**" in opening


def test_it_is_read_in_one_sitting_and_says_how_long_that_is(path):
    words = len(re.findall(r"[A-Za-z][A-Za-z'’-]*", text(path)))
    assert words <= 4000
    told = re.search(r"reading it takes about (\d+) minutes", text(path).split("\n## ")[0])
    assert told and abs(int(told[1]) - words / 200) <= 2, f"{words} words, 200 a minute"


def test_it_shows_where_the_reader_is_and_something_to_touch(path):
    code = "\n".join(cell.source for cell in cells(path, "code"))
    assert "you_are_here(" in code
    assert "slides(" in code or "<genie-" in code


def test_it_ends_as_every_chapter_does(path):
    found = [
        heading for heading in re.findall(r"^## .+$", text(path), flags=re.M) if heading in HEADINGS
    ]
    assert found == HEADINGS
    assert "{cite" in text(path).split("## Further reading")[1], "further reading cites"


def test_prose_outweighs_code(path):
    own = {"exercise", "solution", "remove-cell"}  # the reader's, and what no page shows
    prose = cells(path, "markdown")
    code = [cell for cell in cells(path, "code") if not own & set(cell.metadata.get("tags", []))]
    assert len(prose) >= len(code), "an idea comes before its code"
    lengths = [len(cell.source.splitlines()) for cell in code]
    longest = 16 if path.stem == "assembled" else 8  # there, a cell is a whole network
    assert sorted(lengths)[len(lengths) // 2] <= longest


def test_no_function_of_the_package_is_pasted(path):
    own = {
        ast.dump(node)
        for file in (BOOK.parent / "genie_mini").rglob("*.py")
        if "chapters" not in file.parts  # a checker's planted answers look like the solution
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    for cell in cells(path, "code"):
        source = re.sub(r"^[%!].*$", "", cell.source, flags=re.M)
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef) or ast.dump(node) not in own
