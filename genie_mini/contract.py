"""What the public doors ask of the values that come in, each kind in one place."""

import operator
import reprlib
from typing import Any

import torch

from genie_mini.errors import GenieError


def shown(value: Any) -> str:
    """A value as an error shows it, never long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"one of type {type(value).__name__}"


def check_integer(name: str, value: Any, low: int, high: int | None = None, told: str = "") -> int:
    """An integer in [low, high], of Python, NumPy or torch, as an int; 3.0 and True are none.

    `told` is what the error says of those that are accepted, if not the range.
    """
    try:
        is_bool = isinstance(value, bool) or getattr(value, "dtype", None) == torch.bool
        number = None if is_bool else operator.index(value)
    except (TypeError, RuntimeError):  # torch raises both
        number = None
    if number is None or number < low or (high is not None and number > high):
        accepted = f"be {low} or more" if high is None else f"lie in [{low}, {high}]"
        told = told or f"{name} must {accepted}, an integer"
        raise GenieError(f"{told}, got {shown(value)}")
    return number
