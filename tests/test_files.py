"""Files are whole or as they were; a path is a path; bad tensors are named."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.files import (
    SUMS,
    WEIGHTS,
    as_weights,
    save_table,
    ships,
    table_weights,
    weights_folder,
    write_atomic,
    write_together,
)
from genie_mini.genie import Genie


@pytest.mark.parametrize("name", ["./mini", "mini/", "./mini/", Path("mini"), ".", ".."])
def test_what_is_a_path_is_the_path(name):
    assert weights_folder(name) == Path(name)


def test_a_bare_word_is_a_name_before_it_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    (tmp_path / "runs").mkdir()
    assert weights_folder("mini") == WEIGHTS / "mini"
    assert weights_folder("runs") == Path("runs")


def test_folders_of_the_package_ship_however_they_are_written(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(WEIGHTS / "mini")
    monkeypatch.chdir(WEIGHTS.parent)
    for folder in (WEIGHTS / "mini", Path("weights/mini"), tmp_path / "link"):
        assert ships(folder)
    for folder in (tmp_path, tmp_path / "missing", WEIGHTS.parent.parent / "runs" / "mini"):
        assert not ships(folder)


@pytest.mark.parametrize("name", ["", ".", "..", "mini/..", "/mini"])
def test_nothing_but_names_lies_among_the_weights_that_ship(name):
    assert WEIGHTS not in (weights_folder(name), *weights_folder(name).parents)


def test_a_genie_loads_from_a_path_however_it_is_written(tmp_path, monkeypatch):
    genie = tiny_genie()
    genie.save(tmp_path / "mini")
    monkeypatch.chdir(tmp_path)
    for name in ("./mini", "mini/", Path("mini"), str(tmp_path / "mini")):
        assert Genie.from_pretrained(name).config == genie.config
    assert Genie.from_pretrained("mini").config != genie.config
    monkeypatch.chdir(tmp_path / "mini")
    assert Genie.from_pretrained(".").config == genie.config


@pytest.mark.parametrize("folder", ["mini", "-x", "runs/a"])
def test_a_folder_as_an_argument_is_taken_for_the_folder(folder):
    assert weights_folder(as_weights(Path(folder))) == Path(folder)
    assert not as_weights(Path(folder)).startswith("-")


def test_the_command_of_a_table_may_hold_any_path(tmp_path):
    weights = tmp_path / "it's a run"
    tiny_genie().save(weights)
    command = shlex.join(["genie-mini", "memory", "leaks", "--weights", str(weights)])
    save_table(tmp_path / "table.json", [], command, 0, weights)
    assert table_weights(command, tmp_path) == weights


def test_files_are_replaced_together_or_not_at_all(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    write_together([(path, b"old") for path in paths])

    def contents():
        yield paths[0], b"new"
        yield paths[1], b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_together(contents())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: b"old" for name in "abc"
    }


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append("fsync") or fsync(number))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    write_atomic(tmp_path / "a", b"content")
    assert calls == ["fsync", "replace"]


# a folder with parts of two Genies


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.safetensors", "dynamics.safetensors", SUMS]
)
def test_parts_of_two_genies_are_no_genie(tmp_path, name):
    tiny_genie(seed=0).save(tmp_path / "one")
    tiny_genie(seed=1).with_lookback("sparse").save(tmp_path / "two")
    (tmp_path / "two" / name).replace(tmp_path / "one" / name)
    with pytest.raises(GenieError, match="was not saved with the other files"):
        Genie.from_pretrained(tmp_path / "one")


def test_a_genie_without_hashes_loads(tmp_path):
    tiny_genie().save(tmp_path)
    (tmp_path / SUMS).unlink()
    Genie.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"text\n", b"0" * 64 + b"  of another\n"])
def test_hashes_that_name_none_of_the_files_hold_nothing_up(tmp_path, content):
    tiny_genie().save(tmp_path)
    (tmp_path / SUMS).write_bytes(content)
    Genie.from_pretrained(tmp_path)


@pytest.mark.skipif(not Path("/usr/bin/sha256sum").exists(), reason="there is no sha256sum")
def test_the_hashes_are_in_the_form_of_sha256sum(tmp_path):
    tiny_genie().save(tmp_path)
    result = subprocess.run(["/usr/bin/sha256sum", "--check", SUMS], cwd=tmp_path)
    assert result.returncode == 0


def test_the_same_genie_is_saved_as_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        tiny_genie().save(tmp_path / name)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two


# tensors


@pytest.mark.parametrize("part", ["tokenizer", "dynamics"])
@pytest.mark.parametrize(
    "damage, told",
    [
        (lambda tensor: tensor.long(), "int64"),
        (lambda tensor: tensor.bool(), "bool"),
        (lambda tensor: torch.full_like(tensor, float("nan")), "NaN or infinity"),
        (lambda tensor: torch.full_like(tensor, float("-inf")), "NaN or infinity"),
        (lambda tensor: tensor.double() + 1e300, "NaN or infinity"),
    ],
    ids=["int64", "bool", "NaN", "infinity", "beyond float32"],
)
def test_weights_that_are_no_numbers_to_compute_with_are_refused(tmp_path, part, damage, told):
    tiny_genie().save(tmp_path)
    (tmp_path / SUMS).unlink()
    path = tmp_path / f"{part}.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    safetensors.torch.save_file({**tensors, name: damage(tensors[name])}, path)
    with pytest.raises(GenieError, match=rf"{part}\.safetensors.*{name}.*{told}"):
        Genie.from_pretrained(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_every_floating_point_type_load_as_float32(tmp_path, dtype):
    tiny_genie().save(tmp_path, dtype)
    loaded = Genie.from_pretrained(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
