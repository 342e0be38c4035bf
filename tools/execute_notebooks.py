"""Execute notebooks in place, and keep the outputs that belong in a commit: text and pictures.

    python tools/execute_notebooks.py                        # every chapter
    python tools/execute_notebooks.py book/NAME.ipynb ...    # some

As many run at once as there are cores, with a thread each. What stays is what the book's pages
show, and what `run.py test` compares with a fresh run.
"""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from set_up import AT_ONCE, ONE_THREAD

BOOK = Path(__file__).resolve().parents[1] / "book"
# Those of about two minutes begin first, so that none of them runs alone at the end.
LONGEST = {"assembled", "dynamics", "latent_actions", "measuring", "memory", "your_own_world"}


NEEDS = """\
from importlib.util import find_spec

if find_spec("genie_mini") is None:
    raise ModuleNotFoundError(
        "This chapter needs the package genie-mini: "
        "run `%pip install genie-mini` in a cell above this one."
    )"""


def with_needs(notebook: NotebookNode) -> NotebookNode:
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


def code_hash(notebook: NotebookNode) -> str:
    """What stands for the code of all cells, to see whether it is still that which was executed."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def keep_what_lasts(notebook: NotebookNode) -> None:
    """Remove from an executed notebook what differs from run to run, and note which code ran."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["executed_code"] = code_hash(notebook)
    # no Python version: it differs by machine
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def run(path: Path) -> tuple[NotebookNode, float]:
    """Execute a notebook in its folder; returns it with its outputs, and the seconds it took."""
    notebook = with_needs(nbformat.read(path, as_version=4))
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.monotonic()
    client.execute()
    return notebook, time.monotonic() - start


def run_all(paths: list[Path]) -> Iterator[tuple[Path, NotebookNode, float]]:
    """Execute notebooks, several at once, and say of each when it is done.

    Yields:
        (path, executed notebook, seconds), in the order in which they end.

    Raises:
        RuntimeError: a notebook failed; it is named, and none is begun any more.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    longest_first = sorted(paths, key=lambda path: path.stem not in LONGEST)
    running = {pool.submit(run, path): path for path in longest_first}
    try:
        for number, future in enumerate(as_completed(running), start=1):
            path = running[future]
            try:
                notebook, seconds = future.result()
            except Exception as error:  # a cell's own, a time-out, a kernel that died
                raise RuntimeError(f"{path} was not executed to its end:\n{error}") from error
            told = f"executed {path.name} in {seconds:.0f} s ({number} of {len(paths)})"
            print(told, flush=True)
            yield path, notebook, seconds
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", type=Path, help="default: every notebook of the book"
    )
    notebooks = parser.parse_args().notebooks or sorted(BOOK.glob("*.ipynb"))
    # for the pages; see chapters/show.py
    os.environ.update(ONE_THREAD, GENIE_PAGE="1")
    try:
        for path, notebook, _ in run_all(notebooks):
            keep_what_lasts(notebook)
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                nbformat.write(notebook, file)
    except RuntimeError as error:
        sys.exit(f"{error}\nIts file is unchanged.")


if __name__ == "__main__":
    main()
