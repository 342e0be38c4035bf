"""The built site: every chapter has its page, links lead somewhere, and a browser finds nothing
missing or external.

`run.py test` builds the site first.
"""

import functools
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


def toc_pages():
    """Every document that _toc.yml names, the root first."""

    def walk(node):
        if isinstance(node, list):
            return [page for entry in node for page in walk(entry)]
        if isinstance(node, dict):
            own = [node[key] for key in ("root", "file") if key in node]
            return own + [page for value in node.values() for page in walk(value)]
        return []

    return walk(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")))


PAGES = [f"{page}.html" for page in toc_pages()]


@pytest.mark.parametrize("page", PAGES)
def test_every_toc_entry_has_its_page(page):
    assert (SITE / page).exists(), "run `python3 run.py book --no-serve` to build the site"


def test_what_others_made_comes_with_its_licence():
    told = (SITE / "_static" / "offline" / "LICENCES.txt").read_text(encoding="utf-8")
    packages = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    for name in packages:
        assert f"\n{name}" in f"\n{told}"
    for words in (
        "Font Awesome Free License",
        "Copyright (c) Fonticons, Inc.",
        "SIL OPEN FONT LICENSE Version 1.1",
        "THIRD PARTY SOFTWARE NOTICES AND INFORMATION",  # onnxruntime's
    ):
        assert words in told, words
    fonts = {path for path in SITE.rglob("*") if path.suffix in (".woff", ".woff2", ".ttf", ".otf")}
    known = {"html-manager", "fontawesome"}  # all of them Font Awesome's
    assert fonts and {path for path in fonts if not known & set(path.parts)} == set()


class Links(HTMLParser):
    """Collect what a page points at, and the anchors it offers."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.targets += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}


@functools.cache
def links(path):
    return Links(path)


@pytest.mark.parametrize("page", PAGES)
def test_local_links_lead_somewhere(page):
    broken = []
    for target in links(SITE / page).targets:
        if urlsplit(target).scheme or target.startswith("//"):
            continue
        address, anchor = urldefrag(target)
        file = (
            ((SITE / page).parent / unquote(urlsplit(address).path)).resolve()
            if address
            else SITE / page
        )
        if not file.exists() or (
            anchor and file.suffix == ".html" and unquote(anchor) not in links(file).anchors
        ):
            broken.append(target)
    assert not broken


@pytest.fixture(scope="module")
def visitor(browser):
    """A browser that keeps what many pages share."""
    context = browser.new_context()
    yield context
    context.close()


def visit(visitor, address, base):
    """Open a page; return what went wrong in the browser's eyes."""
    found = []

    def on_request(request):
        if not request.url.startswith((base, "data:", "blob:")):
            found.append(f"asks another host: {request.url}")

    def on_response(response):
        if response.status >= 400:
            found.append(f"answered {response.status}: {response.url}")

    page = visitor.new_page()
    page.on("request", on_request)
    page.on("response", on_response)
    page.on(
        "requestfailed", lambda request: found.append(f"failed: {request.url} ({request.failure})")
    )
    page.on(
        "console",
        lambda message: (
            found.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: found.append(f"script error: {error}"))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.close()
    return found


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("page", [*PAGES, "search.html", "genindex.html"])
def test_a_browser_finds_nothing_missing_or_external(visitor, http_address, scheme, page):
    base = http_address if scheme == "http" else SITE.as_uri()
    assert visit(visitor, f"{base}/{page}", base) == []


def test_the_browser_check_sees_planted_mistakes(visitor, tmp_path):
    (tmp_path / "bad.html").write_text(
        '<img src="missing.png"><script '
        'src="http://other.invalid/x.js"></script><script>console.error("planted")</script>'
    )
    found = "\n".join(visit(visitor, (tmp_path / "bad.html").as_uri(), tmp_path.as_uri()))
    for mistake in ("missing.png", "asks another host: http://other.invalid", "console: planted"):
        assert mistake in found
