"""nbval stays strict on text, and compares numbers within one unit in the last printed place
(tests/notebook_numbers.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from notebook_numbers import align, align_outputs, units_apart


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
    assert align_outputs(outputs(0.52), fresh) == [1.0, 1.0]
    assert fresh == outputs(0.52)
    fresh = outputs(0.4)
    align_outputs(outputs(0.52), fresh)
    assert fresh == outputs(0.4)


@pytest.mark.parametrize("committed, passes", [("0.124", True), ("0.127", False)])
def test_nbval_passes_noise_and_fails_on_a_planted_digit(tmp_path, committed, passes):
    output = nbformat.v4.new_output("stream", name="stdout", text=f"share {committed}\n")
    cell = nbformat.v4.new_code_cell("print('share', 0.125)", execution_count=1, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "planted.ipynb")
    command = "-m pytest -q --nbval --nbval-current-env -p notebook_numbers planted.ipynb".split()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (result.returncode == 0) is passes, result.stdout
    if passes:
        assert "planted.ipynb: 1 cells print other numbers" in result.stdout
