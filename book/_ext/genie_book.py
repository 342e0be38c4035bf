"""What this book adds to Jupyter Book: pages that ask no other host, and one set of colours.

Sphinx loads this as a local extension (`_config.yml`).
"""

import importlib.metadata
import json
import shutil
from pathlib import Path

from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "genie_mini" / "chapters" / "style.json"
NODE_MODULES = ROOT / "node_modules"
FONTS_LICENCE = Path(__file__).with_name("font_awesome_fonts.txt")

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


def share_contents(app, pagename, templatename, context, doctree):
    """Resolve the table of contents once for all pages that it does not name, those of the source
    code: it differs between them only by their depth in the site, and to do it anew for each would
    take two fifths of the build.
    """
    if doctree is not None:
        return
    resolve, shared = context["toctree"], app.genie_contents

    def contents(**options):
        key = pagename.count("/"), *sorted(options.items())
        if key not in shared:
            shared[key] = resolve(**options)
        return shared[key]

    context["toctree"] = contents


def setup(app):
    app.genie_contents = {}
    app.connect("builder-inited", place_browser_code)
    app.connect("builder-inited", write_colours)
    app.connect("html-page-context", drop_thebe, priority=900)
    # before the theme, which calls it
    app.connect("html-page-context", share_contents, priority=100)
    app.add_css_file("genie-colours.css")
    app.add_js_file(None, body=REQUIRE_PATHS, priority=100)
    # Without this the theme's Font Awesome replaces the icons inside live widgets, and Play's
    # buttons die.
    app.add_js_file(
        None, body="window.FontAwesomeConfig = {observeMutations: false};", priority=100
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
