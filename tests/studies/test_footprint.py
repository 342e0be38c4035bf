"""What a training step would need, told without computing it."""

import functools
import re
from pathlib import Path

import pytest
import torch

from genie_mini.studies.footprint import footprint, peak_bytes

PAGE = Path(__file__).resolve().parents[2] / "book" / "scaling.md"


def test_the_peak_counts_what_is_alive_and_nothing_twice():
    weight = torch.zeros(10, 10, device="meta", requires_grad=True)

    def step():
        x = torch.zeros(7, 10, device="meta")  # 280 bytes, kept for the weight's gradient
        for _ in range(5):
            x + 1  # comes and goes
        return (x @ weight).view(70).sum()

    # The gradient of the weight, 400 bytes, is made while x is there, the sum and its gradient; in
    # between, the gradient of the product may be, too.
    least = 280 + 400 + 4
    assert least <= peak_bytes(step) <= least + 280 + 8


def test_shards_divide_the_state_and_checkpointing_saves_memory():
    whole, less = (
        footprint("pocket", "dynamics", activation_checkpointing=way) for way in (False, True)
    )
    shared = whole.divided(4)
    assert shared.state == whole.state // 4 and shared.gathered == whole.gathered
    assert 2 * less.clip < whole.clip
    assert whole.total(3) == whole.state + whole.gathered + 3 * whole.clip


PARTS = {
    "tokenizer": "tokenizer",
    "latent action model": "latent_action_model",
    "dynamics model": "dynamics",
}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| (coinrun|paper) \|", line)
]


@pytest.fixture(scope="module")
def of_page():
    """The footprint of a network that the page names, with and without checkpointing."""

    @functools.cache
    def compute(preset, network, checkpointing):
        return footprint(preset, PARTS[network], activation_checkpointing=checkpointing)

    return compute


@pytest.mark.parametrize("row", [row for row in ROWS if len(row) == 6], ids=" ".join)
def test_what_the_page_says_of_networks_is_what_is_computed(of_page, row):
    preset, network, *told = row
    kept, dropped = (of_page(preset, network, way) for way in (False, True))
    found = [kept.parameters / 1e6, kept.state / 2**30, kept.clip / 2**30, dropped.clip / 2**30]
    assert told == [f"{number:.1f}" for number in found]


@pytest.mark.parametrize("row", [row for row in ROWS if len(row) == 7], ids=" ".join)
def test_what_the_page_says_of_processes_is_what_is_computed(of_page, row):
    preset, network, processes, shards, clips, parts, told = row
    found = of_page(preset, network, True).divided(int(shards))
    assert int(processes) % int(shards) == 0 and int(clips) % int(parts) == 0
    assert told == f"{found.total(int(clips) // int(parts)) / 2**30:.1f}"


def test_the_page_has_both_tables():
    assert sorted({len(row) for row in ROWS}) == [6, 7]
