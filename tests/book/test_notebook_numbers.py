"""nbval stays strict on text, compares numbers within one unit in the last printed place, and
pictures as what they show (tests/notebook_numbers.py, tests/notebook_pictures.py).
"""

import base64
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from notebook_numbers import align, align_outputs, units_apart
from notebook_pictures import align_pictures, apart
from PIL import Image


@pytest.mark.parametrize(
    "reference, fresh",
    [
        ("share 0.995", "share 0.996"),
        ("loss -1.20e-05", "loss -1.21e-05"),
        ("  9.99 dB", " 10.00 dB"),
        ("-0.00", "0.01"),
        ("0.0996 of", "0.100 of"),
        ("[0.25, 0.50]", "[0.26, 0.49]"),
    ],
)
def test_one_unit_in_the_last_place_is_noise(reference, fresh):
    aligned, apart = align(reference, fresh)
    assert aligned == reference
    assert apart and max(apart) <= 1


@pytest.mark.parametrize(
    "reference, fresh",
    [
        ("share 0.995", "share 0.997"),
        ("share 0.995", "share -0.995"),
        ("1.5e-05", "1.5e-06"),
        ("8 codes", "9 codes"),
        ("(2, 16, 64)", "(2, 16, 65)"),
        ("right 0.9", "left 0.9"),
        ("torch 1.2.3", "torch 1.2.4"),
        ("layer x1.5", "layer x1.6"),
        ("0.9 0.8", "0.9"),
        ("nan", "0.1"),
    ],
)
def test_anything_else_is_a_difference(reference, fresh):
    assert align(reference, fresh)[0] != reference


def test_a_cell_may_ask_for_more_units_for_whole_numbers_too():
    assert align("12 of 0.50", "14 of 0.53", units=3)[0] == "12 of 0.50"
    assert align("12 of 0.50", "16 of 0.50", units=3)[0] != "12 of 0.50"


def test_the_coarser_number_tells_what_a_unit_is():
    assert units_apart("0.0996", "0.100") == pytest.approx(0.4)
    assert units_apart("1.5e2", "1.6e2") == 1


def test_outputs_of_every_kind_are_aligned_in_place():
    def outputs(value):
        shown = nbformat.v4.new_output(
            "display_data", data={"text/plain": f"({value})", "image/png": "AAAA"}
        )
        return [nbformat.v4.new_output("stream", name="stdout", text=f"{value}\n"), shown]

    fresh = outputs(0.51)
    assert align_outputs(outputs(0.52), fresh) == ([1.0, 1.0], [])
    assert fresh == outputs(0.52)
    fresh = outputs(0.4)
    align_outputs(outputs(0.52), fresh)
    assert fresh == outputs(0.4)


def encoded(change=0, size=(8, 16)):
    """A grey picture in base64, its left half this much lighter."""
    pixels = np.full((*size, 3), 100, dtype=np.uint8)
    pixels[:, : size[1] // 2] += change
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "webp", lossless=True)
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_differ_by_the_mean_of_their_colours_and_wholly_in_size():
    assert apart(encoded(), encoded()) == 0
    assert apart(encoded(), encoded(3)) == pytest.approx(1.5)
    assert apart(encoded(), encoded(size=(8, 8))) == math.inf


@pytest.mark.parametrize(
    "fresh, passes",
    [([3, 0], True), ([10, 0], False), ([0, 3], True), ([0], False), ([0, 0, 0], False)],
)
def test_pictures_that_look_alike_become_the_same_words(fresh, passes):
    def page(changes):
        uris = [f"data:image/webp;base64,{encoded(change)}" for change in changes]
        return "".join(f'<img src="{uri}"> at 0.5' for uri in uris)

    reference, new, _ = align_pictures(page([0, 0]), page(fresh))
    assert (reference == new) is passes
    assert "base64" not in reference + new


def write_notebook(path, committed):
    """A notebook of one cell that prints 0.125, with this number committed."""
    output = nbformat.v4.new_output("stream", name="stdout", text=f"share {committed}\n")
    cell = nbformat.v4.new_code_cell("print('share', 0.125)", execution_count=1, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def write_picture(path, change):
    """A notebook of one cell that shows a grey picture, with this change of it committed."""
    source = "from IPython.display import HTML\n"
    source += f"HTML('<img src=\"data:image/webp;base64,{encoded()}\">')"
    html = f'<img src="data:image/webp;base64,{encoded(change)}">'
    data = {"text/html": html, "text/plain": "<IPython.core.display.HTML object>"}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def nbval(folder, *words):
    # no other plugin of pytest's: each takes its time to import
    command = "-m pytest -q -p notebook_numbers -p nbval.plugin --nbval --nbval-current-env".split()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, *command, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """What nbval reports of four notebooks that it executes."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "noise.ipynb", "0.124")
    write_notebook(folder / "digit.ipynb", "0.127")
    write_picture(folder / "alike.ipynb", 3)
    write_picture(folder / "another.ipynb", 30)
    result = nbval(folder, "-rA", "--tb=short")
    assert result.returncode == 1, result.stdout
    return result.stdout


def test_nbval_passes_noise_and_fails_on_a_planted_digit(executed):
    assert "PASSED noise.ipynb::Cell 0" in executed, executed
    assert "FAILED digit.ipynb::Cell 0" in executed, executed
    assert "noise.ipynb: 1 cells print other numbers" in executed


def test_nbval_passes_nearly_the_same_picture_and_fails_on_another(executed):
    assert "PASSED alike.ipynb::Cell 0" in executed, executed
    assert "FAILED another.ipynb::Cell 0" in executed, executed
    assert "alike.ipynb: 1 cells draw other pictures" in executed
    assert "which differs by 15.0 of 255" in executed
