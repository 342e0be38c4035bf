"""Trained Genies on a hub of models: what `Genie.push_to_hub` sends and `from_pretrained` fetches.

A Genie there is the folder that `Genie.save` writes, with a card as its README.md and what lies
beside weights (`BESIDE`). Nothing else is fetched, so nothing that could run code. huggingface_hub,
the extra `hub`, speaks to the hub; it is loaded when it is asked for, and a folder needs none of
it.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from genie_mini.contract import shown
from genie_mini.errors import GenieError, how_to_install
from genie_mini.files import PARTS, SUMS
from genie_mini.presets import GenieConfig

_WEIGHTS = ("config.json", SUMS, *(f"{part}.safetensors" for part in PARTS))
# What people and evaluations have put beside weights, as patterns of paths within the folder.
BESIDE = ("MODEL_CARD.md", "action_names.json", "scores.json", "prompts/*.png")
# The hub's own rule, which its library tells only once it is installed; a path such as ./mini, or
# one of more than two parts, is none.
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_HOW_TO_PLAY = """
## Play it

```
pip install "genie-mini[hub]"
genie-mini play --weights {repo_id}
```

```python
from genie_mini import Genie

genie = Genie.from_pretrained("{repo_id}")
```
"""


def is_hub_id(name: Any) -> TypeGuard[str]:
    """Whether this can be the id of a Genie on the hub, `owner/name`."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def is_copy(folder: Path) -> bool:
    """Whether a folder is the local copy of a Genie on the hub, which the next version of it
    replaces: nothing of one's own is to be put there.
    """
    parts = folder.absolute().parts[-3:-1]
    return len(parts) == 2 and parts[0].startswith("models--") and parts[1] == "snapshots"


def fetch(repo_id: str) -> Path:
    """The folder of the local copy of a Genie on the hub, fetched if it is not there or the hub has
    a newer one; without a network the copy that there is.

    Args:
        repo_id: `owner/name`.

    Raises:
        GenieError: huggingface_hub is not installed, or the Genie cannot be had.
    """
    nowhere = f"there is no folder {repo_id} here"
    library = _library(f"{nowhere}; if it is the id of a Genie on the hub")
    # Asked for by an id, with the library there: so the hub is asked, and says what it finds.
    with _told(library, f"{nowhere}, and the hub gives no Genie of this id"):
        folder = Path(library.snapshot_download(repo_id, allow_patterns=[*_WEIGHTS, *BESIDE]))
    if not (folder / "config.json").is_file():
        raise GenieError(f"{repo_id} on the hub is no Genie: it has no config.json")
    return folder


def check_wishes(repo_id: Any, license: Any, private: Any) -> None:
    """Make sure that a Genie can be asked to be sent so, before it is written for that.

    Raises:
        GenieError: one of these is not what `Genie.push_to_hub` takes, or huggingface_hub is not
            installed.
    """
    if not is_hub_id(repo_id):
        raise GenieError(f"a Genie on the hub is called owner/name, got {shown(repo_id)}")
    if not (license is None or isinstance(license, str) and license.strip()):
        raise GenieError(f"license is an identifier such as mit, or None, got {shown(license)}")
    if not isinstance(private, bool):
        raise GenieError(f"private is True or False, got {shown(private)}")
    _library("to send a Genie to the hub")


def push(
    folder: Path, repo_id: str, config: GenieConfig, license: str | None, private: bool
) -> str:
    """Send a folder that `Genie.save` has written, and what lies beside the weights there, to the
    hub, with a card: one commit, in which what an earlier version had besides goes.

    Args:
        folder: of the Genie.
        repo_id, license, private: see `Genie.push_to_hub`; `check_wishes` has seen them.
        config: of the Genie, which the card tells of.

    Returns:
        The address of the Genie there.

    Raises:
        GenieError: huggingface_hub is not installed, or the hub takes nothing.
    """
    library = _library("to send a Genie to the hub")
    card = _card(library, folder, repo_id, config, license)
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder, _WEIGHTS, BESIDE)}
    api = library.HfApi(library_name="genie-mini")
    with _told(library, f"the hub does not take {repo_id}"):
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        there = set(api.list_repo_files(repo_id))
        old = [
            name
            for name in sorted(there - files.keys())
            if any(fnmatchcase(name, pattern) for pattern in BESIDE)
        ]
        api.create_commit(
            repo_id,
            [
                library.CommitOperationAdd("README.md", card.encode()),
                *(library.CommitOperationAdd(name, str(path)) for name, path in files.items()),
                *(library.CommitOperationDelete(name) for name in old),
            ],
            commit_message="A Genie, from genie-mini",
        )
    return str(address)


def copy_beside(weights: Path, folder: Path) -> None:
    """Copy what lies beside trained weights (`BESIDE`) into another folder."""
    for path in _files(weights, BESIDE):
        target = folder / path.relative_to(weights)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


def _files(folder: Path, *kinds: tuple[str, ...]) -> Iterator[Path]:
    for patterns in kinds:
        for pattern in patterns:
            yield from sorted(folder.glob(pattern))


def _library(wish: str) -> ModuleType:
    """huggingface_hub; a GenieError that begins with this wish says how to get it."""
    try:
        import huggingface_hub
        import huggingface_hub.errors  # or else it is loaded only when it is asked for
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise  # it is there, and one of its own packages is not
        raise GenieError(f"{wish}, huggingface_hub is needed: `{how_to_install('hub')}`") from None
    return huggingface_hub


@contextmanager
def _told(library: ModuleType, problem: str) -> Iterator[None]:
    """Turn what the hub or the network refuses within this context into a GenieError."""
    try:
        yield
    except (OSError, ValueError, library.errors.HTTPError) as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise GenieError(f"{problem}: {first}") from error


def _card(
    library: ModuleType, folder: Path, repo_id: str, config: GenieConfig, license: str | None
) -> str:
    """The README.md of a Genie on the hub: the model card that lies beside the weights, or else
    what its configuration tells, and how to play it.
    """
    head = library.ModelCardData(
        license=license,
        library_name="genie-mini",
        tags=["genie", "world-model", "interactive-environment"],
    ).to_yaml()
    own = folder / "MODEL_CARD.md"
    text = own.read_text("utf-8", "replace") if own.exists() else _description(repo_id, config)
    return f"---\n{head}\n---\n\n{text.strip()}\n{_HOW_TO_PLAY.format(repo_id=repo_id)}"


def _description(repo_id: str, config: GenieConfig) -> str:
    height, width = config.tokenizer.image_size
    rows, columns = config.dynamics.grid
    return (
        f"# {repo_id.partition('/')[2]}\n\n"
        "A Genie: a world learnt from video alone, played with actions that it found by itself.\n\n"
        f"| frames | {height}x{width} pixels, {rows * columns} tokens of "
        f"{config.tokenizer.quantizer.num_codes} codes |\n|---|---|\n"
        f"| latent actions | {config.latent_action.quantizer.num_codes} |\n"
        "| format | safetensors; `SHA256SUMS` holds the files' hashes |\n"
    )
