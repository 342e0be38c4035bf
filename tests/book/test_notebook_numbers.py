"""nbval stays strict on text, and compares numbers within one unit in the last printed place
(tests/notebook_numbers.py).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
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


def write_notebook(folder, committed, name="planted.ipynb"):
    """A notebook of one cell that prints 0.125, with this number committed."""
    output = nbformat.v4.new_output("stream", name="stdout", text=f"share {committed}\n")
    cell = nbformat.v4.new_code_cell("print('share', 0.125)", execution_count=1, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / name)
    return folder / name


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
    """What nbval reports of two notebooks that it executes."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder, "0.124", "noise.ipynb")
    write_notebook(folder, "0.127", "planted.ipynb")
    return nbval(folder, "-rA", "--tb=short")


def test_nbval_passes_noise_and_fails_on_a_planted_digit(executed):
    assert executed.returncode == 1
    assert "PASSED noise.ipynb::Cell 0" in executed.stdout, executed.stdout
    assert "FAILED planted.ipynb::Cell 0" in executed.stdout, executed.stdout
    assert "noise.ipynb: 1 cells print other numbers" in executed.stdout


def printed(number, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=f"share {number}\n")


# What the build printed in a notebook's cell, for which 0.125 is committed, and whether it passes.
EXECUTED = {
    "the_same": ([printed(0.125)], True),
    "noise": ([printed(0.126)], True),
    "another_digit": ([printed(0.129)], False),
    "nothing": ([], False),
    "stderr_too": ([printed(0.125), printed("careful", name="stderr")], False),
    "an_error": ([printed(0.125), nbformat.v4.new_output("error", ename="ValueError")], False),
    "shown": ([nbformat.v4.new_output("display_data", data={"text/plain": "share 0.125"})], False),
    "never_executed": (None, False),
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """What nbval reports when it compares all of these."""
    folder = tmp_path_factory.mktemp("executed")
    cache = get_cache(folder / "caches" / "code")
    for name, (outputs, _) in EXECUTED.items():
        path = write_notebook(folder, 0.125, f"{name}.ipynb")
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source += f"  # {name}"
        nbformat.write(notebook, path)
        if outputs is not None:
            notebook.cells[0].outputs = outputs
            bundle = CacheBundleIn(notebook, str(path))
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return nbval(folder, "--executed", "caches", "-rA", "--tb=short").stdout


@pytest.mark.parametrize("name", EXECUTED)
def test_what_the_build_printed_is_compared_as_strictly(compared, name):
    assert (f"PASSED {name}.ipynb::Cell 0" in compared) is EXECUTED[name][1], compared


def test_a_notebook_that_the_build_did_not_execute_as_it_is_is_named(compared):
    assert re.search(r"the build has not executed \S*never_executed\.ipynb", compared), compared
