"""Several notebooks run at once, the longest begin first, and one that fails is named."""

import sys
import threading
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import execute_notebooks  # noqa: E402


def test_the_longest_begin_first_and_all_are_told(monkeypatch, capsys):
    begun = []

    def run(path):
        begun.append(path.stem)
        return f"executed {path}", 1.0

    monkeypatch.setattr(execute_notebooks, "AT_ONCE", 1)
    monkeypatch.setattr(execute_notebooks, "run", run)
    paths = [Path(f"{name}.ipynb") for name in ("index", "memory", "world", "dynamics")]
    done = {path: notebook for path, notebook, _ in execute_notebooks.run_all(paths)}
    assert begun == ["memory", "dynamics", "index", "world"]
    assert done == {path: f"executed {path}" for path in paths}
    assert "executed world.ipynb in 1 s (4 of 4)" in capsys.readouterr().out


def test_two_run_at_once(monkeypatch):
    together = threading.Barrier(2)

    def run(path):
        together.wait(timeout=60)  # broken if one ran after the other
        return path, 0.0

    monkeypatch.setattr(execute_notebooks, "AT_ONCE", 2)
    monkeypatch.setattr(execute_notebooks, "run", run)
    assert len(list(execute_notebooks.run_all([Path("a.ipynb"), Path("b.ipynb")]))) == 2


def test_a_cell_that_fails_names_its_notebook_and_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "broken.ipynb"
    cells = [nbformat.v4.new_code_cell("print(1)"), nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    before = path.read_bytes()
    monkeypatch.setattr(sys, "argv", ["execute_notebooks.py", str(path)])
    for name in ("GENIE_PAGE", *execute_notebooks.ONE_THREAD):
        monkeypatch.setenv(name, "1")  # put back afterwards, whatever the tool sets
    with pytest.raises(SystemExit) as stopped:
        execute_notebooks.main()
    assert "broken.ipynb" in str(stopped.value) and "ZeroDivisionError" in str(stopped.value)
    assert path.read_bytes() == before


def test_what_is_kept_of_an_execution_is_text_and_pictures():
    output = nbformat.v4.new_output
    page = '<img src="data:image/png;base64,AAAA">'
    outputs = [
        output("stream", name="stdout", text="1\n"),
        output("stream", name="stderr", text="careful\n"),
        output("display_data", data={"image/png": "AAAA", "text/html": page, "text/plain": "x"}),
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("1", outputs=outputs)], metadata={"widgets": {}}
    )
    execute_notebooks.keep_what_lasts(notebook)
    text, shown = notebook.cells[0].outputs
    assert text.text == "1\n"
    assert shown.data == {"image/png": "AAAA", "text/html": page, "text/plain": "x"}
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.executed_code == execute_notebooks.code_hash(notebook)
    notebook.cells[0].source = "2"
    assert notebook.metadata.executed_code != execute_notebooks.code_hash(notebook)
