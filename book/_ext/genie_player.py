"""What lets a page play a learnt world: the exports of the shipped weights, the runtime that runs
them, and the player's script.

The files lie in `_static/player` and its likes (`widget.PAGE_FILES`), each a classic script that
holds a packed file, because a page
opened from disk may load scripts and nothing else. They are asked for only when a reader presses
Play.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.errors import ExtensionError

from genie_mini.export.page import as_scripts, find_onnxruntime_web
from genie_mini.play.share import player_files
from genie_mini.play.widget import MODULE, PAGE_FILES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "genie_mini"
EXPORTS = ROOT / "_build" / "export"
VARIANT = "int8"  # what the pages play; `benchmarks/export.py` measures what that costs


def export_folder(weights):
    """The folder of these weights' export, named after all that it depends on."""
    digest = hashlib.sha256()
    for file in sorted([*PACKAGE.rglob("*.py"), *(PACKAGE / "weights" / weights).glob("*.*")]):
        digest.update(file.read_bytes())
    return EXPORTS / f"{weights}-{digest.hexdigest()[:16]}"


def start_exports(app):
    """Export in processes of their own while the pages are made."""
    # asked once: somebody may change the package while the book is built
    app.genie_folders = {weights: export_folder(weights) for weights in PAGE_FILES}
    app.genie_exports = {}
    if app.builder.format != "html":
        return
    for old in set(EXPORTS.glob("*")) - set(app.genie_folders.values()):
        shutil.rmtree(old)
    for weights, folder in app.genie_folders.items():
        if (folder / "world.json").exists():
            continue
        print(f"exporting the weights {weights}, which the pages play", flush=True)
        command = [sys.executable, "-m", "genie_mini.cli", "export"]
        app.genie_exports[weights] = subprocess.Popen(
            [*command, "--weights", weights, "--out", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def place_scripts(files, target):
    """Write each file of {name: bytes} as the script target/name.js."""
    target.mkdir(parents=True, exist_ok=True)
    for name, script in as_scripts(files).items():
        (target / f"{name}.js").write_text(script, encoding="ascii")


def place_players(app, error):
    """Wait for the exports, and put them into the site."""
    if error or app.builder.format != "html":
        return
    for weights, running in app.genie_exports.items():
        told = running.communicate()[0]
        if running.returncode:
            shutil.rmtree(app.genie_folders[weights], ignore_errors=True)
            raise ExtensionError(f"genie-mini export failed:\n{told}")
    for weights, folder in app.genie_folders.items():
        files = player_files(folder, VARIANT, find_onnxruntime_web())
        place_scripts(files, Path(app.outdir) / PAGE_FILES[weights])


def add_player(app, pagename, templatename, context, doctree):
    """Give the player's module to the pages that have a player, in the page itself: from disk no
    module may be loaded.
    """
    if "<genie-player" in context.get("body", ""):
        app.add_js_file(None, body=MODULE, type="module")


def setup(app):
    app.connect("builder-inited", start_exports)
    app.connect("html-page-context", add_player)
    app.connect("build-finished", place_players)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
