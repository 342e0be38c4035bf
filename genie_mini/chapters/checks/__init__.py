"""Checkers of the exercises: one module a chapter, one `check_...` function an exercise.

A checker prints "Right." or "Not yet: " and what is wrong, so that a page with unsolved exercises
still runs from top to bottom. `check.wrong` holds planted wrong answers, on which the tests make
sure that it says "Not yet".
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any


class Verdict(int):
    """True or false, and silent as the last line of a cell: nbval does not honour a semicolon
    there.
    """

    def _ipython_display_(self):
        pass


def giving_something(function: Callable) -> Callable:
    """The function, which now says so if it returns nothing: the commonest slip of all, and the
    same in every exercise.
    """

    @functools.wraps(function)
    def call(*arguments, **options):
        given = function(*arguments, **options)
        expect(given is not None, "your function returns nothing")
        return given

    return call


def exercise(*wrong: Any) -> Callable[[Callable], Callable[[Any], Verdict]]:
    """Turn a function that raises or asserts on a wrong answer into a checker that prints its
    verdict and returns it.

    What the function returns, if anything, is a text that is printed below "Right.". A reader's
    function (not a class) that returns nothing is refused before the checker sees the result.

    Args:
        wrong: planted wrong answers.
    """

    def decorate(function):
        @functools.wraps(function)
        def check(answer):
            problem = remarks = None
            if answer is None or answer is ...:
                problem = "the answer is still empty"
            else:
                try:
                    remarks = function(
                        giving_something(answer) if inspect.isroutine(answer) else answer
                    )
                except Exception as error:  # whatever a reader's answer may raise is a "not yet"
                    problem = str(error) or type(error).__name__
            print(f"Not yet: {problem}." if problem else "Right.")
            if remarks:
                print(remarks)
            return Verdict(problem is None)

        check.wrong = wrong
        return check

    return decorate


def expect(condition, problem) -> None:
    """Raise with `problem`, which the reader will see, unless the condition holds."""
    if not condition:
        raise AssertionError(problem)


def expect_entries(answer: Any, form: str, names: Iterable[str], kind: str = "") -> None:
    """Raise unless the answer is a dictionary that has all these names, each of them a `kind`."""
    expect(isinstance(answer, dict), f"give a dictionary {form}")
    for name in names:
        expect(name in answer, f"{kind} {name} is missing".strip())
