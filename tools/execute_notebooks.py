"""Execute notebooks in place, and keep only the outputs that belong in a commit: text.

    python tools/execute_notebooks.py                        # every chapter
    python tools/execute_notebooks.py book/NAME.ipynb ...    # some

Pictures come from the book's build, so they are taken out here (with widget state and stderr); the
text that stays is what `run.py test` compares with a fresh run.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

BOOK = Path(__file__).resolve().parents[1] / "book"
# the same in tests/nbval.cfg
EMBEDDED_PICTURE = re.compile(r"data:[a-z]+/[\w.+-]+;base64,[A-Za-z0-9+/=\n]+")
IMAGES = ("image/png", "image/jpeg", "image/gif")


NEEDS = """\
from importlib.util import find_spec

if find_spec("genie_mini") is None:
    raise ModuleNotFoundError(
        "This chapter needs the package genie-mini: "
        "run `%pip install genie-mini` in a cell above this one."
    )"""


def with_needs(notebook):
    """The notebook with a cell before all other code that says what to install: a page offers its
    notebook for download alone. Colab's cell, which installs it, stays before.
    """
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    if not any("needs" in names for names in tags):
        place = next((at for at, names in enumerate(tags) if "colab" in names), 0) + 1
        metadata = {"tags": ["needs", "remove-cell"]}  # the pages do not show it
        cell = nbformat.v4.new_code_cell(NEEDS, id="needs", metadata=metadata)
        notebook.cells.insert(place, cell)
    return notebook


def keep_text(notebook):
    """Remove from an executed notebook what is not text or differs from run to run."""
    notebook.metadata.pop("widgets", None)
    # no Python version: it differs by machine
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            data = output.get("data", {})
            for mime in IMAGES:
                data.pop(mime, None)
            if "text/html" in data:
                data["text/html"] = EMBEDDED_PICTURE.sub("data:,removed", data["text/html"])


def execute(path):
    notebook = with_needs(nbformat.read(path, as_version=4))
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    keep_text(notebook)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        nbformat.write(notebook, file)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", type=Path, help="default: every notebook of the book"
    )
    os.environ["GENIE_PAGE"] = "1"  # as in the build; see chapters/show.py
    for path in parser.parse_args().notebooks or sorted(BOOK.rglob("*.ipynb")):
        try:
            execute(path)
        except CellExecutionError as error:
            sys.exit(f"{path}: a cell failed, the file is unchanged\n{error}")
        print(f"executed {path}")


if __name__ == "__main__":
    main()
