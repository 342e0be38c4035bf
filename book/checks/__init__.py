"""Checkers of the exercises: one module a chapter, one `check_...` function an exercise.

A checker prints "Right." or "Not yet: " and what is wrong, so that a page with unsolved exercises still runs from top to
bottom. `check.wrong` holds planted wrong answers, on which the tests make sure that it says "Not yet".
"""

import functools


class Verdict(int):
    """True or false, and silent as the last line of a cell: nbval does not honour a semicolon there."""

    def _ipython_display_(self):
        pass


def exercise(*wrong):
    """Turn a function that raises or asserts on a wrong answer into a checker that prints its verdict and returns it.

    Args:
        wrong: planted wrong answers.
    """

    def decorate(function):
        @functools.wraps(function)
        def check(answer):
            problem = None
            if answer is None or answer is ...:
                problem = "the answer is still empty"
            else:
                try:
                    function(answer)
                except Exception as error:  # whatever a reader's answer may raise is a "not yet"
                    problem = str(error) or type(error).__name__
            print(f"Not yet: {problem}." if problem else "Right.")
            return Verdict(problem is None)

        check.wrong = wrong
        return check

    return decorate


def expect(condition, problem):
    """Raise with `problem`, which the reader will see, unless the condition holds."""
    if not condition:
        raise AssertionError(problem)
