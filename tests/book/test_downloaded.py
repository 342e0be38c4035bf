"""A chapter downloaded alone, by its page's button, runs with the package and nothing else of this
repository; without the package it says what to install.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from execute_notebooks import NEEDS, with_needs  # noqa: E402

NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
# Runs the first cells of every notebook, each in a namespace of its own, and then its imports.
ALONE = """
import json, sys
from pathlib import Path

import matplotlib
matplotlib.use("agg")
for cells, imports in json.loads(Path("cells.json").read_text(encoding="utf-8")):
    namespace = {}
    for source in cells + imports:
        exec(source, namespace)
import genie_mini
print(Path(genie_mini.__file__).parent)
print(any(Path(folder, "world.ipynb").exists() for folder in sys.path))
"""


def code(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def imports(source):
    """The import statements of a cell."""
    tree = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.M))
    kinds = ast.Import | ast.ImportFrom
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cell_that_says_what_to_install_is_the_first(path):
    notebook = nbformat.read(path, as_version=4)
    assert with_needs(nbformat.read(path, as_version=4)) == notebook
    first = next(cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != "colab")
    assert first.source == NEEDS and "remove-cell" in first.metadata.tags


def test_a_new_chapter_gets_the_cell_below_its_title_and_colabs_cell():
    title, colab = nbformat.v4.new_markdown_cell("# New"), nbformat.v4.new_code_cell("pass")
    colab.metadata["tags"] = ["colab", "remove-cell"]
    rest = nbformat.v4.new_code_cell("import torch")
    for before in ([title], [title, colab]):
        new = with_needs(nbformat.v4.new_notebook(cells=[*before, rest]))
        assert [cell.source for cell in new.cells[len(before) :]] == [NEEDS, "import torch"]
        assert with_needs(new) == new and len(new.cells) == len(before) + 2


def test_without_the_package_the_first_cell_says_what_to_install(tmp_path):
    # -S: without the site-packages, in which the package is
    command = [sys.executable, "-S", "-E", "-c", NEEDS]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode
    assert result.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: This chapter needs the package genie-mini: run "
        "`%pip install genie-mini` in a cell above this one."
    )


def test_chapters_alone_find_everything_in_the_package(tmp_path):
    chapters = []
    for path in NOTEBOOKS:
        sources = code(path)
        opening = next((at for at, source in enumerate(sources) if "you_are_here(" in source), 0)
        chapters.append(
            (sources[: opening + 1], [line for source in sources for line in imports(source)])
        )
    (tmp_path / "cells.json").write_text(json.dumps(chapters), encoding="utf-8")
    (tmp_path / "alone.py").write_text(ALONE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "alone.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [str(ROOT / "genie_mini"), "False"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_file_is_looked_up_beside_the_chapter(path):
    for source in code(path):
        for node in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.M))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Path", "open"):
                assert not isinstance(node.args[0], ast.Constant), ast.unparse(node)
