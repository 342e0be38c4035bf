"""What this book adds to Jupyter Book: pages that ask no other host, one set of colours, a cache
that notices code.

Sphinx loads this as a local extension (`_config.yml`).
"""

import hashlib
import importlib.metadata
import json
import shutil
from pathlib import Path

import nbformat
from execute_notebooks import run_all
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from set_up import AT_ONCE
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "genie_mini" / "chapters" / "style.json"
NODE_MODULES = ROOT / "node_modules"
FONTS_LICENCE = Path(__file__).with_name("font_awesome_fonts.txt")
CACHES = ROOT / "_build" / "executed"

# From node_modules to _static/offline: the few files of each package that a page can ask for.
BROWSER_CODE = {
    "requirejs/require.js": "require.js",
    "@jupyter-widgets/html-manager/dist/embed-amd.js": "html-manager/embed-amd.js",
    "@jupyter-widgets/html-manager/dist/*.woff2": "html-manager",  # fonts of the widgets' icons
    "mathjax/es5/tex-svg.js": "mathjax/tex-svg.js",
    "mathjax/es5/input/tex/extensions/*.js": "mathjax/input/tex/extensions",
}

# Where require.js finds the widgets' modules, and they their fonts, whatever the depth of the page.
REQUIRE_PATHS = """window.require = {
  baseUrl: document.documentElement.dataset.content_root + "_static/offline",
  paths: {"@jupyter-widgets": "html-manager", "@jupyter-widgets/html-manager/dist": "html-manager"},
};"""


def code_hash(root=ROOT):
    """Hash what a notebook can import or read: the package with its weights, results and
    colours, the book's extensions, and the versions of what is installed.
    """
    digest = hashlib.sha256()
    files = [
        *(root / "genie_mini").rglob("*"),
        *(root / "book").rglob("*.py"),
        root / "constraints.txt",
    ]
    for path in sorted(files):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def choose_cache(app, config):
    """Keep executed notebooks in a folder named after the code they ran.

    jupyter-cache hashes the cells alone, so after an edit of `genie_mini` it would serve the old
    outputs.
    """
    current = CACHES / code_hash()
    for old in CACHES.glob("*"):
        if old != current:
            shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(current)


def execute_notebooks(app, env, names):
    """Execute the notebooks that are about to be read, several at once, into the cache from which
    they are then read; alone, Sphinx would run one after the other.
    """
    cache = get_cache(app.config.nb_execution_cache_path)
    paths = [Path(env.doc2path(name)) for name in names]
    missing = []
    for path in paths:
        if path.suffix == ".ipynb":
            try:
                cache.match_cache_notebook(nbformat.read(path, as_version=4))
            except KeyError:
                missing.append(path)
    if missing:
        print(f"executing {len(missing)} chapters, up to {AT_ONCE} at once", flush=True)
    try:
        for path, notebook, seconds in run_all(missing):
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    except RuntimeError as error:
        raise ExtensionError(str(error)) from error
    print("making the pages", flush=True)  # Sphinx itself says nothing, so that warnings stand out


def place_browser_code(app):
    """Copy the third-party browser code, with its licences, from node_modules into the site."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "offline"
    licences = []
    for source, destination in BROWSER_CODE.items():
        files = sorted(NODE_MODULES.glob(source))
        if not files:
            raise ExtensionError(
                f"{source} is not in node_modules: run `python3 run.py book`, which calls `npm ci`"
            )
        for file in files:
            copy = target / destination if "*" not in source else target / destination / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    for name in json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]:
        about = json.loads((NODE_MODULES / name / "package.json").read_text(encoding="utf-8"))
        licences.append(f"{name} {about['version']}: {about['license']}\n")
        texts = [
            *(NODE_MODULES / name).glob("LICEN[CS]E*"),
            *(NODE_MODULES / name).glob("dist/*.LICENSE.txt"),
        ]
        licences += [text.read_text(encoding="utf-8") + "\n" for text in sorted(texts)]
    # These npm packages carry no licence text; their Python siblings are the same projects under
    # the same licences, onnxruntime with the notices of what it is compiled from.
    for name, sibling in (
        ("@jupyter-widgets/html-manager", "ipywidgets"),
        ("onnxruntime-web", "onnxruntime"),
    ):
        notices = [
            file
            for file in importlib.metadata.files(sibling)
            if file.name in ("LICENSE", "ThirdPartyNotices.txt")
        ]
        licences += [f"{name}\n"] + [notice.read_text(encoding="utf-8") for notice in notices]
    # The widgets' fonts and icons are its version 5, those of the pages' theme its version 6.
    notice = NODE_MODULES / "@fortawesome" / "fontawesome-free" / "LICENSE.txt"
    licences += [text.read_text(encoding="utf-8") for text in (notice, FONTS_LICENCE)]
    (target / "LICENCES.txt").write_text("\n".join(licences), encoding="utf-8")


def write_colours(app):
    """Give the pages the figures' colours as CSS variables: `--genie-tokenizer-fill`, `-line` and
    `-text`.
    """
    if app.builder.format != "html":
        return
    parts = json.loads(STYLE.read_text(encoding="utf-8"))["parts"]
    rules = []
    for scheme, selector in (("light", ":root"), ("dark", 'html[data-theme="dark"]')):
        variables = [
            f"  --genie-{part}-{role}: {color};"
            for part, schemes in parts.items()
            for role, color in schemes[scheme].items()
        ]
        rules.append(f"{selector} {{\n" + "\n".join(variables) + "\n}\n")
    target = Path(app.outdir) / "_static" / "genie-colours.css"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(rules), encoding="utf-8")


def drop_thebe(app, pagename, templatename, context, doctree):
    """Take out sphinx-thebe's scripts: no page uses them, and run twice they log an error to the
    console.
    """
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in str(getattr(script, "filename", None) or "")
        and "THEBE" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def setup(app):
    app.connect("config-inited", choose_cache)
    app.connect("env-before-read-docs", execute_notebooks)
    app.connect("builder-inited", place_browser_code)
    app.connect("builder-inited", write_colours)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.add_css_file("genie-colours.css")
    app.add_js_file(None, body=REQUIRE_PATHS, priority=100)
    # Without this the theme's Font Awesome replaces the icons inside live widgets, and Play's
    # buttons die.
    app.add_js_file(
        None, body="window.FontAwesomeConfig = {observeMutations: false};", priority=100
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
