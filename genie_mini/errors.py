"""The error of a user's making: what was given cannot be used, and the message says what was wrong
and what is accepted.
"""


class GenieError(ValueError):
    """Raised at every public door; an internal mistake never takes this form."""
