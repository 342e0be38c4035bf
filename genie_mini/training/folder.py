"""Whose a folder is that a run is to write into: its own, or empty, or somebody's."""

from pathlib import Path

from genie_mini.errors import GenieError
from genie_mini.files import PARTS, SUMS
from genie_mini.training.checkpoint import read_notes
from genie_mini.training.previews import PREVIEW
from genie_mini.training.request import Request

CHECKPOINT = "checkpoint.safetensors"
# What a run writes: a log in each of its phases, and the result after the second.
_LOGS = ("tokenizer.csv", "world.csv")
_RESULT = ("config.json", "shared.json", SUMS, *(f"{part}.safetensors" for part in PARTS))


def patches_of_run(folder: Path) -> int | None:
    """How many patches are the tokens of the run that began in a folder; None if it learns its
    tokens, or none began there.

    Raises:
        GenieError: the checkpoint there is not whole.
    """
    if not (folder / CHECKPOINT).exists():
        return None
    what = read_notes(folder / CHECKPOINT)[0].what
    try:
        tokenizer = what["networks"]["tokenizer"]
        return tokenizer["quantizer"]["num_codes"] if tokenizer["codebook"] == "patches" else None
    except (KeyError, TypeError):  # of another version; `claim` says so
        return None


def claim(folder: Path, request: Request) -> Request:
    """Make sure that a run may write into a folder: that what lies there is its own, and that it
    was asked for what is asked for now.

    Returns:
        The request to go on with: the one given, or that of the run that began here, with the steps
        asked for since.

    Raises:
        GenieError: the run was asked for something else, or a file that the run would write is
            there and not its own.
    """
    checkpoint = folder / CHECKPOINT
    phase = -1
    if checkpoint.exists():
        before, where = read_notes(checkpoint)
        request, phase = before.goes_on_as(request, checkpoint), where["phase"]
    not_yet = [*_LOGS[phase + 1 :], *(_RESULT if phase < len(_LOGS) else ())]
    not_yet += [PREVIEW] if phase < 0 else []
    found = [name for name in not_yet if (folder / name).exists()]
    if found:
        raise GenieError(
            f"{folder} holds {', '.join(found)}, which this training has not written and would "
            "replace: give another folder, or move them away"
        )
    return request
