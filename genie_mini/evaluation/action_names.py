"""The names of the latent actions, kept beside the weights: how people call them, and what they
turned out to mean.

`action_names.json` holds one list of names for each way to come by them, empty ones where it knows
none. What was measured in the platformer stands in `scores.json`. They are kept apart so that no
evaluation takes away what somebody has typed, and no experiment takes it for a measurement.
"""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from genie_mini.contract import check_integer, check_path, shown
from genie_mini.errors import GenieError
from genie_mini.files import weights_folder, write_atomic

NAMES = "action_names.json"
LONGEST_NAME = 24  # characters of a name that is given: what a button has room for
# The lists of the file, the one that goes before the others first.
_BY_HAND, _BY_LABELS = _WAYS = ("by_hand", "by_labels")
# Unicode's kinds of characters that break a line, are half a character, or turn others round.
_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def read_action_names(weights: str | Path) -> list[str] | None:
    """What to call each latent action, such as "left": its name by hand (`save_name_by_hand`), or
    else by the labels of a world's films (`save_names_by_labels`), or else as measured in the
    platformer (`read_measured_names`).

    Args:
        weights: what `Genie.from_pretrained` takes: a name, or a folder.

    Returns:
        One name for each latent action, an empty one if it has none; None if nobody has named any.

    Raises:
        GenieError: one of the files holds something else, or not as many names as the other.
    """
    folder = weights_folder(check_path("weights", weights))
    return _first_names(folder, _read_given(folder / NAMES)) or None


def read_measured_names(weights: str | Path) -> list[str] | None:
    """What each latent action turned out to mean in the platformer, such as "left", as `genie-mini
    evaluate` found it.

    Args:
        weights: what `Genie.from_pretrained` takes: a name, or a folder.

    Returns:
        One name for each latent action; None if the folder holds no scores.json.

    Raises:
        GenieError: scores.json does not hold a list of names under "latent_to_real".
    """
    path = weights_folder(check_path("weights", weights)) / "scores.json"
    if not path.exists():
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["latent_to_real"]
        return check_action_names(names, len(names))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GenieError(
            f'{path} has no list of names under "latent_to_real"; `genie-mini evaluate` writes it'
        ) from error


def save_name_by_hand(weights: str | Path, action: int, name: str, num_actions: int) -> list[str]:
    """Keep what somebody calls a latent action.

    Args:
        weights: folder of a trained Genie. action: from 0.
        name: see `check_name`; an empty one takes back the name that was given by hand.
        num_actions: how many latent actions this Genie has.

    Returns:
        What `read_action_names` gives from now on.

    Raises:
        GenieError: there is no such action, this is no name, or the file of the names cannot be
            read or written; then it stays as it is.
    """
    folder = weights_folder(check_path("weights", weights))
    last = num_actions - 1
    told = f"latent actions are the integers from 0 to {last}"
    action = check_integer("action", action, 0, last, told)
    given = _read_given(folder / NAMES)
    names = check_action_names(given.get(_BY_HAND), num_actions)
    names[action] = check_name(name)
    return _save_given(folder, given | {_BY_HAND: names})


def save_names_by_labels(weights: str | Path, names: Sequence[str], num_actions: int) -> list[str]:
    """Keep what true actions call the latent ones; names that were given by hand go before.

    Args:
        weights: folder of a trained Genie.
        names: one for each latent action; see `check_name`.
        num_actions: how many latent actions this Genie has.

    Returns:
        What `read_action_names` gives from now on.

    Raises:
        GenieError: one of them is no name, there is not one for each latent action, or the file of
            the names cannot be read or written; then it stays as it is.
    """
    folder = weights_folder(check_path("weights", weights))
    names = check_action_names(_check_list(names), num_actions)
    return _save_given(folder, _read_given(folder / NAMES) | {_BY_LABELS: names})


def check_name(name: str) -> str:
    """A name for a button without the white space around it: empty, or text of one line, with
    something to see in it, of at most `LONGEST_NAME` characters.

    Raises:
        GenieError: it is something else.
    """
    if isinstance(name, str):
        text = unicodedata.normalize("NFC", name).strip()
        is_text = not any(
            unicodedata.category(character) in _NO_TEXT
            or unicodedata.bidirectional(character) in _TURNING
            for character in text
        )
        can_be_seen = not text or any(map(str.isprintable, text))
        if is_text and can_be_seen and len(text) <= LONGEST_NAME:
            return text
    raise GenieError(
        f"a name is a line of text of at most {LONGEST_NAME} characters, none of which controls "
        f"others, got {shown(name)}"
    )


def check_action_names(names: list[str] | None, num_actions: int) -> list[str]:
    """The names, one for each latent action, empty ones if unknown; a ValueError if the number is
    wrong.
    """
    if names is None:
        return [""] * num_actions
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise GenieError(f"the names of the latent actions are a list of words, got {shown(names)}")
    if len(names) != num_actions:
        raise GenieError(f"there are {num_actions} latent actions, but {len(names)} names for them")
    return list(names)


def _first_names(folder: Path, given: dict[str, list[str]]) -> list[str]:
    """For each latent action its name by the way that goes before the others; none at all if
    nobody has named any.
    """
    lists = [given.get(way) for way in _WAYS] + [read_measured_names(folder)]
    known = [names for names in lists if names is not None]
    if len({len(names) for names in known}) > 1:
        raise GenieError(
            f"{folder / NAMES} and scores.json beside it hold different numbers of names: "
            f"{', '.join(str(len(names)) for names in known)}"
        )
    return [next(filter(None, names), "") for names in zip(*known, strict=True)]


def _read_given(path: Path) -> dict[str, list[str]]:
    """What the file holds: the names by each way to come by them."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.keys() - set(_WAYS):
            raise GenieError(f"it holds {shown(content)}")
        return {way: _check_list(names) for way, names in content.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise GenieError(
            f"{path} does not hold lists of names for buttons under {' or '.join(_WAYS)}: {error}"
        ) from error


def _check_list(names: Sequence[str]) -> list[str]:
    if not isinstance(names, list | tuple):
        raise GenieError(f"the names of the latent actions are a list of words, got {shown(names)}")
    return [check_name(name) for name in names]


def _save_given(folder: Path, given: dict[str, list[str]]) -> list[str]:
    """Write the file; returns what the actions are called from now on."""
    names = _first_names(folder, given)
    content = json.dumps(given, indent=1, ensure_ascii=False).encode() + b"\n"
    try:
        write_atomic(folder / NAMES, content)
    except OSError as error:
        raise GenieError(
            f"the name cannot be kept: {folder / NAMES} cannot be written ({error.strerror})"
        ) from error
    return names
