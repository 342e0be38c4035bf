"""Every exercise has a stub that fails, a solution that passes, and planted wrong answers that its
checker refuses.

The notebooks run under nbval, which compares what the checkers print; here the committed prints are
looked at.
"""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
CHECKS = BOOK.parent / "genie_mini" / "chapters" / "checks"
CHAPTERS = sorted(path.stem for path in CHECKS.glob("*.py") if path.stem != "__init__")


def checks(chapter):
    module = importlib.import_module(f"genie_mini.chapters.checks.{chapter}")
    return {name: value for name, value in vars(module).items() if name.startswith("check_")}


ALL = [(chapter, name) for chapter in CHAPTERS for name in checks(chapter)]


def uses(chapter, tag):
    """For each checker the printed outputs of the cells with this tag that call it."""
    found = {}
    for cell in nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells:
        if cell.cell_type == "code" and tag in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            for name in re.findall(r"\b(check_\w+)\(", cell.source):
                found.setdefault(name, []).append(printed)
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_four_exercises_or_more(chapter):
    assert len(checks(chapter)) >= 4


@pytest.mark.parametrize("chapter, name", ALL)
def test_planted_wrong_answers_are_refused(chapter, name, capsys):
    check = checks(chapter)[name]
    assert check.wrong, "plant at least one wrong answer"
    for answer in (None, *check.wrong):
        assert not check(answer)
        assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("chapter, name", ALL)
def test_the_stub_fails_and_the_solution_passes(chapter, name):
    (stub,) = uses(chapter, "exercise")[name]
    (solution,) = uses(chapter, "solution")[name]
    assert stub.startswith("Not yet: ") and solution.splitlines()[0] == "Right."


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_solutions_are_folded(chapter):
    for cell in nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells:
        tags = cell.metadata.get("tags", [])
        assert ("solution" in tags) == ("hide-cell" in tags)
