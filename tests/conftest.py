"""What the tests share: tiny untrained models (16x16 pixels, 16 tokens a frame, 32 codes, one or
two blocks), and a browser.
"""

import functools
import hashlib
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import notebook_numbers
import pytest
import torch
from filelock import FileLock

from genie_mini.export import write
from genie_mini.files import write_atomic
from genie_mini.genie import Genie
from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig
from genie_mini.presets import GenieConfig

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Films that tests decode, and graphs that they make, do not go among this person's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENIE_MINI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_translation(tmp_path_factory):
    """Torch takes ten seconds to translate the smallest Genie into ONNX; one network is translated
    once for all tests and all processes that run them.
    """
    translate, folder = write._as_onnx, tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def translate_once(module, inputs, outputs):
        import onnx

        shapes = {name: (given.shape, given.dtype) for name, given in inputs.items()}
        settings = [getattr(part, "config", None) for part in module.modules()]
        key = hashlib.sha256(f"{module} {settings} {shapes} {outputs}".encode())
        for tensor in module.state_dict().values():
            key.update(tensor.contiguous().numpy().tobytes())
        path = folder / f"{key.hexdigest()}.onnx"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                model = translate(module, inputs, outputs)
                write_atomic(path, model.SerializeToString())
        return onnx.load(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_as_onnx", translate_once)
        yield


def pytest_configure(config):
    if not config.pluginmanager.is_registered(notebook_numbers):  # or else `-p` has done it
        config.pluginmanager.register(notebook_numbers)


def tiny_config(
    size=16, patch_size=4, num_codes=32, context=6, num_blocks=1, neighborhood=None, surprise=False
):
    stack = STTransformerConfig(num_blocks=num_blocks, width=16, num_heads=2)
    grid = (size // patch_size, size // patch_size)
    return GenieConfig(
        TokenizerConfig(
            (size, size), patch_size, stack, stack, QuantizerConfig(num_codes, code_width=8)
        ),
        LatentActionConfig(
            (size, size),
            patch_size,
            stack,
            stack,
            stem_channels=4,
            quantizer=QuantizerConfig(8, code_width=8),
            neighborhood=neighborhood,
            sees_surprise=surprise,
        ),
        DynamicsConfig(grid, num_codes, stack, context=context),
    )


@pytest.fixture(scope="session")
def make_genie():
    """Build a Genie from a seed, in evaluation mode; stirred, no weight is zero, so that no path
    through it is dead.
    """

    def make(seed=0, stirred=True, **sizes):
        torch.manual_seed(seed)
        genie = Genie(tiny_config(**sizes))
        for parameter in genie.parameters():
            if stirred and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
        return genie.eval()

    return make


@pytest.fixture
def genie(make_genie):
    return make_genie()


@pytest.fixture(scope="session")
def make_clips():
    """Build clips (clips, frames, size, size, 3): coloured noise, of which the lower half stands
    still.
    """

    def make(num_clips=2, num_frames=5, size=16, seed=0):
        generator = torch.Generator().manual_seed(seed)
        clips = torch.rand(num_clips, num_frames, size, size, 3, generator=generator)
        clips[:, :, size // 2 :] = clips[:, :1, size // 2 :]
        return clips

    return make


@pytest.fixture
def clips(make_clips):
    return make_clips()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import Error, sync_playwright

    installed = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    ways = [{"executable_path": path} for path in installed if path]
    ways += [{"channel": "chrome"}, {"channel": "msedge"}, {}]  # {}: a Chromium of Playwright's own
    with sync_playwright() as playwright:
        for way in ways:
            try:
                chromium = playwright.chromium.launch(args=CHROMIUM_FLAGS, **way)
            except Error as error:
                if (
                    "executable_path" in way
                ):  # it is there but does not start: that is a failure, not a reason to skip
                    raise
                reason = str(error).splitlines()[0]
            else:
                yield chromium
                chromium.close()
                return
    pytest.skip(f"no Chromium, Chrome or Edge on this machine ({reason})")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def serve():
    """Serve a folder on this machine; returns its address."""
    servers = []

    def start(folder):
        servers.append(
            ThreadingHTTPServer(
                ("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))
            )
        )
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def http_address(serve):
    """The built book's address."""
    return serve(ROOT / "_build" / "html")


@pytest.fixture
def stop_replacing(monkeypatch):
    """Let a person press Ctrl-C when a file takes the place of another for the given time, counted
    from 1, until `monkeypatch.undo`; returns the list of the files that were to be replaced.
    """

    def stop(at):
        replace, calls = os.replace, []

        def interrupted(source, target):
            calls.append(target)
            if len(calls) == at:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", interrupted)
        return calls

    return stop
