"""What a training step would need, told without computing it."""

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
    whole = footprint("coinrun", "dynamics")
    shared = footprint("coinrun", "dynamics", shards=4, activation_checkpointing=True)
    assert shared.state == whole.state // 4 and shared.gathered == whole.gathered
    assert 2 * shared.clip < whole.clip
    assert whole.total(3) == whole.state + whole.gathered + 3 * whole.clip


ROW = re.compile(
    r"^\| (coinrun|paper) \| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.M
)
PARTS = {
    "tokenizer": "tokenizer",
    "latent action model": "latent_action_model",
    "dynamics model": "dynamics",
}


@pytest.mark.parametrize(
    "row", ROW.findall(PAGE.read_text(encoding="utf-8")), ids="{0[0]} {0[1]}".format
)
def test_the_table_of_the_page_is_what_is_computed(row):
    preset, network, *numbers = row
    kept, dropped = (
        footprint(preset, PARTS[network], activation_checkpointing=way) for way in (False, True)
    )
    found = [kept.parameters / 1e6, kept.state / 2**30, kept.clip / 2**30, dropped.clip / 2**30]
    for told, number in zip(numbers, found, strict=True):
        digits = len(told.partition(".")[2])
        assert told == f"{number:.{digits}f}"
