"""The error of a user's making: what was given cannot be used, and the message says what was wrong
and what is accepted.
"""

import operator


class GenieError(ValueError):
    """Raised at every public door; an internal mistake never takes this form."""


def as_integer(value, expected: str, limit: int | None = None) -> int:
    """An integer from 0 up, of Python, NumPy or torch, as an int.

    Args:
        value: what was given.
        expected: what the error says of those that are accepted.
        limit: the first that is too large, or None.

    Raises:
        GenieError: it is no integer, as 3.0 and True are none, or out of range.
    """
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or (limit is not None and number >= limit):
        raise GenieError(f"{expected}, got {value!r}")
    return number
