"""One file to share: a page that holds a world and plays it by double click, without a network and
without Python (`genie-mini export --page`).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from genie_mini.errors import GenieError
from genie_mini.export.page import (
    as_scripts,
    find_onnxruntime_web,
    licences,
    runtime_files,
)
from genie_mini.export.write import export
from genie_mini.files import weights_folder, write_atomic
from genie_mini.genie import Genie
from genie_mini.outputs import prepare_folder
from genie_mini.play.about import card_section, facts_section, licences_section
from genie_mini.play.prompts import as_prompt, saved_prompts
from genie_mini.play.widget import (
    MODULE,
    offered_pictures,
    page_player,
    player_options,
    script_hash,
    whole_page,
)

LARGEST_PAGE = 15_000_000  # bytes: what mail and chat still take, and a phone still opens
TITLE = "A learnt world"
_WORKER = Path(__file__).parent / "assets" / "play_worker.js"


def player_files(folder: Path, variant: str, onnxruntime_web: Path) -> dict[str, bytes]:
    """All that a page needs to play the export in `folder`, by the names under which the player
    asks; see `runtime_files`.
    """
    return {"worker": _WORKER.read_bytes(), **runtime_files(folder, variant, onnxruntime_web)}


def shared_prompts(
    weights: str | Path, image_size: tuple[int, int], pictures: Sequence[str | Path] = ()
) -> list[Tensor]:
    """What a page offers to begin from, the pictures asked for first; see `offered_pictures`.

    Args:
        weights: what `Genie.from_pretrained` takes: a name, or a folder.
        image_size: (height, width) in pixels.
        pictures: image files.

    Raises:
        GenieError: a picture cannot be read, or there is none at all.
    """
    asked = [as_prompt(picture, image_size) for picture in pictures]
    return offered_pictures(image_size, asked, saved_prompts(weights, image_size))


def read_model_card(weights: str | Path) -> str | None:
    """The model card beside trained weights, Markdown; None if there is none."""
    path = weights_folder(weights) / "MODEL_CARD.md"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise GenieError(f"{path} is no text in UTF-8: {error}") from error


def share(
    genie: Genie,
    path: str | Path,
    prompts: Sequence,
    *,
    title: str = TITLE,
    action_names: list[str] | None = None,
    model_card: str | None = None,
    onnxruntime: str | Path | None = None,
    variant: str = "int8",
) -> dict[str, float]:
    """Write a Genie as one HTML file that anyone can play.

    The page asks nothing of any other file or host, and tells the browser to forbid it. It holds
    the export (checked against PyTorch as `export` does), onnxruntime-web, which runs it, the
    player, the licences of them all, and what the model card says.

    Args:
        genie: the trained networks, on any device.
        path: of the page, NAME.html; its folder is made if need be, and an older page replaced. It
            is written whole or not at all.
        prompts: pictures to begin from, one at least, each as `prompts.as_prompt` takes it.
        title: plain text, which stands above the world.
        action_names: what each latent action means; None if unknown.
        model_card: Markdown, as `read_model_card` gives it; None if there is none.
        onnxruntime: folder of onnxruntime-web; see `find_onnxruntime_web`.
        variant: how the weights are stored, one of the export's `VARIANTS`.

    Returns:
        For float32 and for the variant the largest difference of its logits from PyTorch's.

    Raises:
        GenieError: something cannot be used or exported, onnxruntime-web is not there, another
            file is, or the page would be larger than `LARGEST_PAGE`.
    """
    path = Path(path)
    if not title.strip():
        raise GenieError("a page's title is a line of text, got an empty one")
    if not prompts:
        raise GenieError("a world begins from pictures, one at least")
    options = player_options(genie, prompts=list(prompts), action_names=action_names)
    options["assets"] = None  # the page itself has them
    runtime = find_onnxruntime_web(onnxruntime)
    card = "" if model_card is None else card_section(model_card)
    _prepare_page(path)
    with tempfile.TemporaryDirectory() as folder:
        # float32 too: its logits show whether the graphs compute what PyTorch does
        differences = export(genie, folder, sorted({"fp32", variant}), action_names)
        scripts = as_scripts(player_files(Path(folder), variant, runtime))
    page = whole_page(
        _player(options, prompts, genie.config.tokenizer.image_size),
        title,
        policy=_policy([*scripts.values(), MODULE]),
        about=facts_section(genie, options["world"]["actionNames"], variant, differences[variant])
        + card
        + licences_section(model_card, licences(runtime)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts.values()),
    )
    write_atomic(path, _within_limit(page.encode(errors="replace")))
    return differences


def _within_limit(page):
    if len(page) > LARGEST_PAGE:
        raise GenieError(
            f"the page would hold {len(page) / 1e6:.1f} MB, and {LARGEST_PAGE / 1e6:.0f} are the "
            "most: share a smaller Genie, or its weights as int8"
        )
    return page


def _prepare_page(path):
    """Make sure that a page can be written, before the work that is to end there; what lies there
    and is no page of this kind is not replaced.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise GenieError(f"a page is a file whose name ends in .html, got {path}")
    prepare_folder(path.parent)
    if path.exists() and not (path.is_file() and _is_page(path.read_bytes())):
        raise GenieError(f"{path} is there and holds something else: give another name")


def _is_page(content):
    return not content or b"<genie-player>" in content


def _player(options, prompts, image_size):
    """The element; where there is no JavaScript, its pictures."""
    pictures = torch.stack([as_prompt(prompt, image_size) for prompt in prompts])
    return page_player(options, pictures, "Pictures from which this world can begin").data


def _policy(scripts):
    """What the browser is to allow: these scripts, the worker, and no connection at all."""
    hashes = " ".join(map(script_hash, scripts))
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        "style-src 'unsafe-inline'; worker-src blob:; "
        f"script-src blob: 'wasm-unsafe-eval' {hashes}"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
