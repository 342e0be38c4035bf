"""The engine that plays: which one, what it needs, and graphs that are made once for each Genie."""

import sys
from dataclasses import replace

import pytest
import torch
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.export import engine
from genie_mini.export.engine import choose_engine
from genie_mini.export.runtime import ExportedGenie
from genie_mini.genie import Genie


@pytest.fixture
def exports(monkeypatch):
    """The folders that are written to from now on."""
    folders, export = [], engine.export

    def counted(genie, folder, variants):
        folders.append(folder)
        return export(genie, folder, variants)

    monkeypatch.setattr(engine, "export", counted)
    return folders


def without_past():
    genie = tiny_genie()
    return Genie(replace(genie.config, dynamics=replace(genie.config.dynamics, context=1)))


CANNOT = {
    "context 1": without_past,
    "this Genie: it is on the device meta": lambda: tiny_genie().to("meta"),
}


@pytest.mark.parametrize("told", CANNOT)
def test_what_onnxruntime_cannot_play_pytorch_plays(told, exports, tmp_path, capsys):
    genie = CANNOT[told]()
    assert choose_engine(genie, "auto", tmp_path) is genie
    assert choose_engine(genie, "torch", tmp_path) is genie
    with pytest.raises(GenieError, match=told):
        choose_engine(genie, "onnxruntime", tmp_path)
    assert not exports and not list(tmp_path.iterdir()) and capsys.readouterr().err == ""


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_pytorch_plays(package, exports, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    genie = tiny_genie()
    assert choose_engine(genie, cache=tmp_path) is genie and not exports
    told = rf'needs the package {package}: pip install "genie-mini\[export\]"'
    with pytest.raises(GenieError, match=told):
        choose_engine(genie, "onnxruntime", tmp_path)


def test_graphs_are_made_once_and_a_line_says_where(exports, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENIE_MINI_CACHE", str(tmp_path))
    genie = tiny_genie()
    assert isinstance(choose_engine(genie), ExportedGenie)
    (folder,) = (tmp_path / "graphs").iterdir()
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder) in line and "the engine torch needs none" in line
    assert {path.suffix for path in folder.iterdir()} == {".onnx", ".json", ""}
    assert not list(folder.glob("*fp16*")) and not list(folder.glob("*int8*"))
    assert isinstance(choose_engine(tiny_genie()), ExportedGenie)
    assert len(exports) == 1 and capsys.readouterr().err == ""


def test_graphs_that_are_damaged_are_made_anew(exports, tmp_path):
    genie = tiny_genie()
    choose_engine(genie, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    step, sums = folder / "step.fp32.onnx", folder / "SHA256SUMS"
    content = bytearray(whole[step.name])
    content[len(content) // 2] ^= 1
    for damage in (
        step.unlink,
        lambda: step.write_bytes(whole[step.name][:2000]),
        lambda: step.write_bytes(content),  # which may well be a graph, of other weights
        lambda: sums.write_bytes(b"\xff"),
        sums.unlink,
    ):
        damage()
        assert isinstance(choose_engine(genie, cache=tmp_path), ExportedGenie)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert len(exports) == 6 and list(tmp_path.iterdir()) == [folder]


def test_an_export_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stopped(genie, folder, variants):
        (folder / "step.fp32.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "export", stopped)
    with pytest.raises(KeyboardInterrupt):
        choose_engine(tiny_genie(), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_named_after_all_that_decides_the_graphs(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(engine, "fill_once", lambda folder, *_: names.append(folder.name))

    def name(genie):
        with pytest.raises(GenieError, match="is not an exported graph"):
            choose_engine(genie, "onnxruntime", tmp_path)
        return names.pop()

    def changed(parameter):
        genie = tiny_genie()
        with torch.no_grad():
            genie.get_parameter(parameter).flatten()[-1] += 1e-3
        return genie

    before = name(tiny_genie())
    # actions come from people
    assert before == name(tiny_genie()) == name(changed("latent_action_model.to_change.bias"))
    others = [name(tiny_genie(keeps_detail=True)), name(tiny_genie(codebook="patches"))]
    others += map(name, map(changed, ("tokenizer.to_patch.bias", "dynamics.position")))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "another")
        others.append(name(tiny_genie()))
    monkeypatch.setattr(engine, "_CODE", ("models",))
    others.append(name(tiny_genie()))
    assert len({before, *others}) == 7


def test_pytorch_plays_where_an_export_fails(tmp_path, monkeypatch, capsys):
    def fails(*_):
        raise RuntimeError("no such operator\nand a long story")

    genie = tiny_genie()
    (tmp_path / "file").touch()
    monkeypatch.setattr(engine, "export", fails)
    for cache, told in ((tmp_path / "graphs", "no such operator"), (tmp_path / "file", "file")):
        capsys.readouterr()
        assert choose_engine(genie, "auto", cache) is genie
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("PyTorch plays, since onnxruntime does not: ") and told in line
        with pytest.raises((RuntimeError, OSError)):
            choose_engine(genie, "onnxruntime", cache)
