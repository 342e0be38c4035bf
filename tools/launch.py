"""What depends on the repository's public address: launch buttons, and the cell with which a
chapter sets itself up on Colab.

    python tools/launch.py    # after `repository: url:` in _config.yml has changed

The address stands once, in `_config.yml`. Sphinx loads this file as an extension, which takes the
buttons away while there is no address. Run as a command it gives every notebook its Colab cell, or
takes it out.
"""

from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
TAGS = ["colab", "remove-cell"]  # the pages do not show it

CELL = """\
import sys

if "google.colab" in sys.modules:  # elsewhere this cell does nothing
    import os
    import subprocess

    here = os.path.expanduser("~/genie")
    if not os.path.isdir(here):  # after a restart of the runtime it is there
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", "{branch}", "{url}", here], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", here], check=True)
    sys.path.insert(0, here)
    os.chdir(os.path.join(here, "book"))"""


def repository() -> tuple[str, str]:
    """The address (empty if there is none) and the branch, from `_config.yml`."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return settings["url"].rstrip("/"), settings["branch"]


def with_colab_cell(notebook: NotebookNode, url: str, branch: str) -> NotebookNode:
    """The notebook with a Colab cell for this address below its title, or without one if there is
    no address.
    """
    before = [cell for cell in notebook.cells if "colab" in cell.metadata.get("tags", [])]
    cells = [cell for cell in notebook.cells if cell not in before]
    if url:
        cell = nbformat.v4.new_code_cell(
            CELL.format(url=url, branch=branch), id="colab", metadata={"tags": TAGS}
        )
        if [old.source for old in before] == [cell.source]:
            cell = before[0]  # with the outputs and the count of its last run
        cells.insert(1, cell)
    notebook.cells = cells
    return notebook


def drop_dead_buttons(app, config) -> None:
    """Without an address a launch button would lead nowhere."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def setup(app) -> dict:
    """Register with Sphinx."""
    app.connect("config-inited", drop_dead_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def main() -> None:
    url, branch = repository()
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        before = nbformat.read(path, as_version=4)
        notebook = with_colab_cell(nbformat.read(path, as_version=4), url, branch)
        if notebook != before:
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                nbformat.write(notebook, file)
            print(f"{path.relative_to(ROOT)}: now run tools/execute_notebooks.py on it")


if __name__ == "__main__":
    main()
