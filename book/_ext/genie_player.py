"""What lets a page play the learnt world: the export of the shipped weights, the runtime that runs
it, and the player's script.

The files lie in `_static/player`, each a classic script that holds a packed file, because a page
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

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "genie_mini"
EXPORTS = ROOT / "_build" / "export"
VARIANT = "int8"  # what the pages play; `benchmarks/export.py` measures what that costs


def export_folder():
    """The folder of the present weights' export, named after all that it depends on."""
    digest = hashlib.sha256()
    for file in sorted([*PACKAGE.rglob("*.py"), *(PACKAGE / "weights" / "mini").iterdir()]):
        digest.update(file.read_bytes())
    return EXPORTS / digest.hexdigest()[:16]


def start_export(app):
    """Export in a process of its own while the pages are made."""
    # asked once: somebody may change the package while the book is built
    app.genie_folder = folder = export_folder()
    app.genie_export = None
    if app.builder.format != "html" or (folder / "world.json").exists():
        return
    shutil.rmtree(EXPORTS, ignore_errors=True)
    print("exporting the shipped weights, which the pages play", flush=True)
    command = [sys.executable, "-m", "genie_mini.cli", "export", "--out", str(folder)]
    app.genie_export = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def place_scripts(files, target):
    """Write each file of {name: bytes} as the script target/name.js."""
    target.mkdir(parents=True, exist_ok=True)
    for name, script in as_scripts(files).items():
        (target / f"{name}.js").write_text(script, encoding="ascii")


def place_player(app, error):
    """Wait for the export, and put it into the site."""
    if error or app.builder.format != "html":
        return
    if app.genie_export and app.genie_export.wait():
        shutil.rmtree(app.genie_folder, ignore_errors=True)
        raise ExtensionError("genie-mini export failed:\n" + app.genie_export.stdout.read())
    files = player_files(app.genie_folder, VARIANT, find_onnxruntime_web())
    place_scripts(files, Path(app.outdir) / "_static" / "player")


def add_player(app, pagename, templatename, context, doctree):
    """Give the player's module to the pages that have a player, in the page itself: from disk no
    module may be loaded.
    """
    if "<genie-player" in context.get("body", ""):
        from genie_mini.play.widget import MODULE

        app.add_js_file(None, body=MODULE, type="module")


def setup(app):
    app.connect("builder-inited", start_export)
    app.connect("html-page-context", add_player)
    app.connect("build-finished", place_player)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
