"""The error of a user's making: what was given cannot be used, and the message says what was wrong
and what is accepted.
"""


class GenieError(ValueError):
    """Raised at every public door; an internal mistake never takes this form."""


def how_to_install(extra: str) -> str:
    """The command that brings the packages of an extra of pyproject.toml, for a message. Double
    quotes serve every shell, Windows' too.
    """
    return f'pip install "genie-mini[{extra}]"'
