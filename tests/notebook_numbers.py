"""Strict nbval, with numbers compared as numbers.

Matrix libraries choose their kernels by the processor, and a sum in another order ends in other
last bits. So a printed decimal may differ from the committed one by one unit in its last printed
place. Text, and numbers without a decimal point (counts, shapes, names), are compared to the
letter. A cell may ask for more by metadata, and must say why:

    "numbers": {"units": 3, "reason": "..."}    so many units in the last place; whole numbers count
    too

With `--executed CACHES` nothing is executed: nbval gets the outputs that the book's build left in
its cache, and compares these.
"""

import copy
import functools
import os
import re
import sys
from collections import deque
from decimal import Decimal
from pathlib import Path

os.environ["GENIE_PAGE"] = (
    "1"  # the notebooks run as the book's build runs them; see chapters/show.py
)

# Or else jsonschema, which nbformat needs, compiles a grammar of addresses that no notebook holds:
# two seconds in every process.
sys.modules.setdefault("rfc3987_syntax", None)

# A sign belongs to its number unless a digit or letter stands before it: "16-20" holds no negative
# number. Spaces that align a column belong to it too, since they change with its width. Parts of
# versions ("1.2.3") and names ("x86") are text.
NUMBER = re.compile(r" *(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\.?\d)", re.IGNORECASE)
_WITH_DECIMALS = re.compile("[.e]", re.IGNORECASE)


def units_apart(reference: str, fresh: str) -> float:
    """How many units in the last printed place two numbers differ by; the coarser of the two tells
    what a unit is.
    """
    numbers = Decimal(reference), Decimal(fresh)
    exponent = max(number.as_tuple().exponent for number in numbers)
    return float(abs(numbers[0] - numbers[1]).scaleb(-exponent))


def align(reference: str, fresh: str, units: float | None = None) -> tuple[str, list[float]]:
    """Take over from `reference` the numbers of `fresh` that are close enough to it.

    Args:
        reference: committed text. fresh: text of this run.
        units: of the last place, allowed for all numbers; None: one for decimals, none for whole
            numbers.

    Returns:
        `fresh` with those numbers replaced, so that what still differs is a real difference; and
        the units by which numbers differed, one for each that did.
    """
    if NUMBER.sub("#", reference) != NUMBER.sub("#", fresh):
        return fresh, []
    references, apart = NUMBER.finditer(reference), []

    def close_or_own(match):
        ours, theirs = next(references)[0], match[0]
        old, new = ours.strip(), theirs.strip()
        if old == new:
            return ours
        apart.append(units_apart(old, new))
        allowed = units if units is not None else 1 if _WITH_DECIMALS.search(old + new) else 0
        return ours if apart[-1] <= allowed else theirs

    return NUMBER.sub(close_or_own, fresh), apart


def align_outputs(references: list, fresh: list, units: float | None = None) -> list[float]:
    """`align` every text of a cell's fresh outputs in place; returns the units by which numbers
    differed.
    """
    apart = []
    for reference, output in zip(references, fresh, strict=False):
        for old, new in ((reference, output), (reference.get("data", {}), output.get("data", {}))):
            for key in old.keys() & new.keys():
                if isinstance(old[key], str) and isinstance(new[key], str):
                    new[key], found = align(old[key], new[key], units)
                    apart += found
    return apart


class ExecutedNotebook:
    """Stands where nbval has its kernel, and answers each cell with the outputs that it had when
    the notebook was executed; all that nbval does with outputs stays its own.
    """

    def __init__(self, notebook):
        self._cells = iter(notebook.cells)
        self._messages = deque()

    def is_alive(self):
        return True

    def execute_cell_input(self, source, allow_stdin=None):
        cell = next(
            cell for cell in self._cells if cell.cell_type == "code" and cell.source == source
        )
        if cell.execution_count is None and source.strip():
            raise RuntimeError(f"the build did not execute this cell:\n{source}")
        contents = [(output.output_type, copy.deepcopy(output)) for output in cell.outputs]
        contents.append(("status", {"execution_state": "idle"}))
        self._messages = deque(
            {"msg_type": kind, "content": content, "parent_header": {"msg_id": id(cell)}}
            for kind, content in contents
        )
        return id(cell)

    def await_reply(self, msg_id, timeout=None):
        pass

    def await_idle(self, msg_id, timeout=None):
        self._messages.clear()

    def get_message(self, stream, timeout=None):
        return self._messages.popleft()

    def stop(self):
        pass


def pytest_addoption(parser):
    """Add `--executed`."""
    told = "compare what the build left in this folder of caches, instead of executing notebooks"
    parser.addoption("--executed", type=Path, metavar="CACHES", help=told)


def _read_executed(file):
    """Give an nbval file, instead of a kernel, what was executed of it."""
    from jupyter_cache import get_cache

    (cache,) = file.config.option.executed.iterdir()  # the build keeps that of the present code
    try:
        _, notebook = get_cache(cache).merge_match_into_notebook(file.nb)
    except KeyError:
        raise RuntimeError(f"the build has not executed {file.path} as it is now") from None
    file.kernel = ExecutedNotebook(notebook)
    file.setup_sanitize_files()


def pytest_report_header():
    """Tell which kernels compute."""
    import torch

    kernels, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f"torch computes with {kernels} kernels, {threads} threads"


def pytest_collection_modifyitems(config, items):
    """Make every nbval cell compare numbers as numbers, and read outputs where it should."""
    from nbval.plugin import IPyNbCell

    for item in items:
        if isinstance(item, IPyNbCell):
            _compare_numbers(item)
            if getattr(config.option, "executed", None):
                item.parent.setup = functools.partial(_read_executed, item.parent)


def _compare_numbers(cell):
    strict = cell.compare_outputs
    units = cell.cell.metadata.get("numbers", {}).get("units")

    def compare_outputs(fresh, references, skip_compare=None):
        apart = align_outputs(references, fresh, units)
        if apart:
            cell.user_properties.append(("units_apart", max(apart)))
        return strict(fresh, references, skip_compare)

    cell.compare_outputs = compare_outputs


def pytest_terminal_summary(terminalreporter):
    """Tell the largest difference of each notebook."""
    largest = {}
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get(
        "failed", []
    ):
        for name, value in report.user_properties if report.when == "call" else []:
            if name == "units_apart":
                largest.setdefault(report.nodeid.split("::")[0], []).append(value)
    for notebook, values in sorted(largest.items()):
        told = f"{len(values)} cells print other numbers than the committed ones"
        terminalreporter.write_line(
            f"{notebook}: {told}, by {max(values):g} units in the last place at most"
        )
