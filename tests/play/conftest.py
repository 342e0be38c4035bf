"""What the tests of the server and of the players share."""

import gzip
import sys
from functools import partial

import pytest
import torch
from driving import FILES, HELPERS, ROOT
from requests_of_players import serving
from tiny import NAMES, tiny_genie

from genie_mini import Genie
from genie_mini.export.page import find_onnxruntime_web
from genie_mini.play.server import PlayServer
from genie_mini.play.share import player_files
from genie_mini.play.widget import MODULE, page_player, player_options

sys.path.insert(0, str(ROOT / "book" / "_ext"))


@pytest.fixture
def server():
    with serving(PlayServer(tiny_genie(), NAMES)) as server:
        yield server


@pytest.fixture
def open_page(browser):
    """Open a page with a player, what it asks for answered by `routes` if they match; `requests`
    lists what it asked for, `problems` what it complained of.
    """
    contexts = []

    def open_(address, script=None, routes=None, **options):
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)  # a page is large, a machine may be busy
        context.set_default_navigation_timeout(90_000)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        for pattern, handler in (routes or {}).items():
            context.route(pattern, handler)
        page = context.new_page()
        page.requests, page.problems = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(address)
        if options.get("java_script_enabled", True):
            page.wait_for_function("document.querySelector('genie-player')?.shadowRoot")
            page.evaluate(HELPERS)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def exported_page(serve, tmp_path_factory):
    """Serve a page that plays the export in float32; returns its address."""
    from genie_player import export_folder, place_scripts

    folder = tmp_path_factory.mktemp("site")
    files = player_files(export_folder("mini"), "fp32", find_onnxruntime_web())
    with pytest.MonkeyPatch.context() as patch:  # float32 is large: packed well it takes long
        patch.setattr(gzip, "compress", partial(gzip.compress, compresslevel=1))
        place_scripts(files, folder / FILES.strip("/"))
    player = page_player(
        player_options(Genie.from_pretrained("mini")), torch.zeros(1, 64, 64, 3), alt=""
    ).data
    page = '<!doctype html><html data-content_root="./">'
    page += f'{player}<script type="module">{MODULE}</script></html>'
    (folder / "index.html").write_text(page, encoding="utf-8")
    return serve(folder) + "/index.html"
