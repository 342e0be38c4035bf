"""Strict nbval, with numbers compared as numbers and pictures as pictures (`notebook_pictures`).

Matrix libraries choose their kernels by the processor, and a sum in another order ends in other
last bits. So a printed decimal may differ from the committed one by one unit in its last printed
place. Text, and numbers without a decimal point (counts, shapes, names), are compared to the
letter. A cell may ask for more by metadata, and must say why:

    "numbers": {"units": 3, "reason": "..."}    so many units in the last place; whole numbers count
    too
"""

import copy
import os
import re
import sys
from decimal import Decimal

from notebook_pictures import MOST_APART, align_pictures

os.environ["GENIE_PAGE"] = "1"  # the notebooks print what the pages show; see chapters/show.py

# What may differ a little, and how the largest difference is told.
WHAT = {
    "numbers": "print other numbers than the committed ones, by {:g} units in the last place",
    "pictures": "draw other pictures than the committed ones, by {:.2g} of 255 on average",
}

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


def align_outputs(
    references: list, fresh: list, metadata: dict | None = None
) -> tuple[list[float], list[float]]:
    """`align_pictures` and `align` every text of a cell's outputs, in place, with the room that the
    cell's metadata ask for; returns the units by which numbers differed, and by how much pictures
    did.
    """
    metadata = metadata or {}
    units = metadata.get("numbers", {}).get("units")
    most_apart = metadata.get("pictures", {}).get("apart", MOST_APART)
    numbers, pictures = [], []
    for reference, output in zip(references, fresh, strict=False):
        for old, new in ((reference, output), (reference.get("data", {}), output.get("data", {}))):
            for key in old.keys() & new.keys():
                if isinstance(old[key], str) and isinstance(new[key], str):
                    old[key], new[key], found = align_pictures(old[key], new[key], most_apart)
                    pictures += found
                    new[key], found = align(old[key], new[key], units)
                    numbers += found
    return numbers, pictures


def pytest_report_header():
    """Tell which kernels compute."""
    import torch

    kernels, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f"torch computes with {kernels} kernels, {threads} threads"


def pytest_collection_modifyitems(config, items):
    """Make every nbval cell compare numbers as numbers and pictures as pictures."""
    from nbval.plugin import IPyNbCell

    for item in items:
        if isinstance(item, IPyNbCell):
            _compare_as_what_they_are(item)


def _compare_as_what_they_are(cell):
    strict = cell.compare_outputs

    def compare_outputs(fresh, references, skip_compare=None):
        references = copy.deepcopy(references)
        found = align_outputs(references, fresh, cell.cell.metadata)
        for what, apart in zip(WHAT, found, strict=True):
            if apart:
                cell.user_properties.append((what, max(apart)))
        return strict(fresh, references, skip_compare)

    cell.compare_outputs = compare_outputs


def pytest_terminal_summary(terminalreporter):
    """Tell the largest differences of each notebook."""
    largest = {}
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get(
        "failed", []
    ):
        for name, value in report.user_properties if report.when == "call" else []:
            if name in WHAT:
                key = report.nodeid.split("::")[0], name
                largest.setdefault(key, []).append(value)
    for (notebook, name), values in sorted(largest.items()):
        terminalreporter.write_line(
            f"{notebook}: {len(values)} cells {WHAT[name].format(max(values))}"
        )
