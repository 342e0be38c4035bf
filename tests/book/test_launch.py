"""One setting, the repository's address, decides on launch buttons and Colab cells; without it
there are none.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import launch  # noqa: E402

EXAMPLE = "https://github.com/OWNER/NAME"
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebooks_agree_with_the_setting(path):
    notebook = nbformat.read(path, as_version=4)
    again = launch.with_colab_cell(nbformat.read(path, as_version=4), *launch.repository())
    assert again == notebook, "run tools/launch.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cell_comes_below_the_title_and_goes_with_the_address(path):
    before = nbformat.read(path, as_version=4)
    url, branch = launch.repository()
    cells = launch.with_colab_cell(nbformat.read(path, as_version=4), EXAMPLE, "main").cells
    assert cells[0].source.startswith("# ")
    assert EXAMPLE in cells[1].source and "remove-cell" in cells[1].metadata.tags
    both = launch.with_colab_cell(launch.with_colab_cell(before, EXAMPLE, "main"), EXAMPLE, "main")
    assert sum("colab" in cell.metadata.get("tags", []) for cell in both.cells) == 1
    assert launch.with_colab_cell(both, "", branch).cells == [
        cell for cell in cells if cell.id != "colab"
    ]


def test_elsewhere_the_cell_does_nothing(tmp_path):
    cell = launch.CELL.format(url=EXAMPLE, branch="main")
    result = subprocess.run(
        [sys.executable, "-c", cell], cwd=tmp_path, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


# A stand-in for Colab, where `git clone` makes a folder and pip does nothing. The cell runs, and
# once more after a restart of the runtime.
COLAB = """
import os, pathlib, subprocess, sys, types

def run(command, check):
    print(*(word for word in command if word in ("clone", "install")))
    if "clone" in command:
        pathlib.Path(command[-1], "book").mkdir(parents=True)

subprocess.run, sys.modules["google.colab"] = run, types.ModuleType("google.colab")
start = os.getcwd()
for _ in range(2):
    os.chdir(start)
    exec(CELL)
    print(pathlib.Path.cwd().relative_to(pathlib.Path.home()).as_posix())
"""


def test_on_colab_the_cell_fetches_the_repository_once(tmp_path):
    cell = launch.CELL.format(url=EXAMPLE, branch="main")
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", f"CELL = {cell!r}\n{COLAB}"],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["clone", *["install", "genie/book"] * 2], result.stderr


@pytest.mark.parametrize("url, shown", [("", False), (EXAMPLE, True)])
def test_without_an_address_there_are_no_buttons(url, shown):
    assert CONFIG["launch_buttons"]["colab_url"] and CONFIG["launch_buttons"]["binderhub_url"]
    config = SimpleNamespace(
        html_theme_options={"launch_buttons": CONFIG["launch_buttons"], "repository_url": url}
    )
    launch.drop_dead_buttons(None, config)
    assert ("launch_buttons" in config.html_theme_options) == shown
