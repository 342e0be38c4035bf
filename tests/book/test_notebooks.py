"""A committed notebook holds the outputs of one run from top to bottom, which the pages show and
strict nbval compares.
"""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from notebook_pictures import MOST_APART
from sphinx.config import Config
from sphinx.directives.code import LiteralInclude, LiteralIncludeReader

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from execute_notebooks import code_hash  # noqa: E402

BOOK = ROOT / "book"
NOTEBOOKS = sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
FORBIDDEN_TAGS = {"raises-exception", "skip-execution", "nbval-skip", "nbval-raises-exception"}
MOST_BYTES = 2**20  # of a notebook with its pictures
EXCERPT = re.compile(r"```\{literalinclude\} (\S+)\n(.*?)```", re.DOTALL)


def problems(notebook):
    """List what makes a notebook unfit to be committed."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    found = []
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append(f"was not run once from top to bottom: execution counts {counts}")
    if code and not any(cell.outputs for cell in code):
        found.append("has no outputs, so nbval would compare nothing")
    for number, cell in enumerate(code, start=1):
        tags = FORBIDDEN_TAGS & set(cell.metadata.get("tags", []))
        if tags:
            found.append(f"cell {number} has the tag {tags}")
        numbers = cell.metadata.get("numbers")
        if numbers is not None and not (numbers.get("units", 0) > 1 and numbers.get("reason")):
            found.append(
                f"cell {number} asks for another tolerance of numbers without units or a reason"
            )
        pictures = cell.metadata.get("pictures")
        if pictures is not None and not (
            pictures.get("apart", 0) > MOST_APART and pictures.get("reason")
        ):
            found.append(f"cell {number} asks for other pictures without how far or a reason")
        for output in cell.outputs:
            if output.get("name") == "stderr" or output.output_type == "error":
                found.append(f"cell {number} holds stderr or an error")
    if notebook.metadata.get("executed_code") != code_hash(notebook):
        found.append("holds other code than that which was run")
    if "widgets" in notebook.metadata:
        found.append("holds the state of widgets")
    return found


def test_the_book_has_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_committed_outputs(path):
    found = problems(nbformat.read(path, as_version=4))
    assert not found, f"{path.name}: run tools/execute_notebooks.py on it\n" + "\n".join(found)
    assert path.stat().st_size < MOST_BYTES, "its pictures are too large"


def _notebook(**changes):
    output = nbformat.v4.new_output("stream", name="stdout", text="1\n")
    cell = nbformat.v4.new_code_cell("print(1)", execution_count=1, outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["executed_code"] = code_hash(notebook)
    cell.update(changes)
    return notebook


@pytest.mark.parametrize(
    "changes",
    [
        {"execution_count": None},
        {"execution_count": 7},
        {"outputs": []},
        {"metadata": nbformat.from_dict({"tags": ["raises-exception"]})},
        {"metadata": nbformat.from_dict({"numbers": {"units": 3}})},
        {"metadata": nbformat.from_dict({"pictures": {"apart": 60}})},
        {"outputs": [nbformat.v4.new_output("stream", name="stderr", text="careful")]},
        {"source": "print(2)"},
    ],
)
def test_the_check_sees_a_planted_mistake(changes):
    assert not problems(_notebook())
    assert problems(_notebook(**changes))


def excerpt(path, lines):
    """The code that a page shows for one of its `literalinclude`, as the build reads it."""
    given = dict(re.findall(r"^:([\w-]+): *(.*)$", lines, re.MULTILINE))
    options = {name: LiteralInclude.option_spec[name](text or None) for name, text in given.items()}
    return LiteralIncludeReader(str(path), options, Config()).read()[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_code_a_page_shows_is_in_the_package(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for name, lines in EXCERPT.findall(cell.source):
            assert excerpt(path.parent / name, lines).strip(), (name, lines)


def test_a_renamed_line_is_missed(tmp_path):
    (tmp_path / "code.py").write_text("def add(a, b):\n    return a + b\n")
    path = tmp_path / "code.py"
    assert excerpt(path, ":pyobject: add\n:start-at: return\n:dedent:\n") == "return a + b\n"
    for lines in (":pyobject: plus\n", ":pyobject: add\n:end-at: yield\n"):
        with pytest.raises(ValueError, match="not found"):
            excerpt(path, lines)
