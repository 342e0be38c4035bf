"""An export plays what PyTorch plays, says nothing of the machine it was made on, and refuses what
it cannot do.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from doors import NO_MIN_P, NO_TEMPERATURES, Door, find_escape, no_frames, no_indices
from hypothesis import strategies as st
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.export.graphs import GRAPHS
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.sessions import Past
from genie_mini.export.write import LOWEST, VARIANTS, export
from genie_mini.genie import Genie
from genie_mini.models.lookback import LOOKBACKS
from genie_mini.models.patches import fold
from genie_mini.rollout import Rollout

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["left", "right", "jump", "nothing", "dash left", "dash right", "jump left", "jump right"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny Genie, the folder of its export, and how far each variant is from PyTorch."""
    genie, folder = tiny_genie(), tmp_path_factory.mktemp("export")
    return genie, folder, export(genie, folder, action_names=NAMES)


@pytest.fixture(scope="module")
def exported_patches(tmp_path_factory):
    """A tiny Genie that keeps detail, whose tokens are patches, and the folder of its export."""
    genie = tiny_genie(codebook="patches", min_p=0.5, keeps_detail=True)
    folder = tmp_path_factory.mktemp("patches")
    export(genie, folder)
    return genie, folder


def test_every_graph_is_there_in_every_variant_with_a_description(exported):
    _, folder, differences = exported
    names = {f"{graph}.{variant}.onnx" for graph in GRAPHS for variant in VARIANTS}
    assert {path.name for path in folder.iterdir()} == names | {"world.json"}
    assert set(differences) == set(VARIANTS)
    assert json.loads((folder / "world.json").read_text())["actionNames"] == NAMES


def test_float32_logits_are_pytorchs_and_smaller_weights_come_near(exported):
    _, _, differences = exported
    assert differences["fp32"] < 1e-4
    assert differences["fp32"] < differences["fp16"] < differences["int8"]


@pytest.mark.parametrize(
    "kind, min_p, shown",
    [("exported", 0.0, 1), ("exported", 0.5, 20), ("exported_patches", None, 3)],
)
def test_32_frames_of_the_same_seed_are_the_same(request, kind, min_p, shown):
    genie, folder, *_ = request.getfixturevalue(kind)
    prompt = torch.rand(1, shown, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs = (
        Rollout(player, prompt, seed=3) for player in (genie, ExportedGenie(genie, folder, "fp32"))
    )
    torch.testing.assert_close(ours.frames, theirs.frames)
    for step in range(32):  # twice the window
        actions = torch.tensor([step % 8])
        frames = (
            ours.step(actions, maskgit_steps=4, min_p=min_p),
            theirs.step(actions, maskgit_steps=4, min_p=min_p),
        )
        assert torch.equal(ours.tokens, theirs.tokens)
        torch.testing.assert_close(*frames, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lookback", LOOKBACKS)
def test_an_export_looks_back_as_pytorch_does(exported, lookback):
    genie, folder, _ = exported
    prompt = torch.rand(2, 3, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs = (
        Rollout(player.with_lookback(lookback), prompt, seed=3)
        for player in (genie, ExportedGenie(genie, folder, "fp32"))
    )
    for step in range(40):
        actions = torch.tensor([step % 8, step // 4 % 8])
        ours.step(actions, maskgit_steps=4)
        theirs.step(actions, maskgit_steps=4)
        assert torch.equal(ours.tokens, theirs.tokens) and ours.attended == theirs.attended
    assert (ours.attended == list(range(15, 0, -1))) == (lookback == "recent")


@pytest.mark.parametrize("context", [2, 6, 16])
@pytest.mark.parametrize("name", LOOKBACKS)
def test_a_past_holds_the_frames_that_are_chosen_and_keeps_no_others(name, context):
    lookback = LOOKBACKS[name](context)
    tokens = np.random.default_rng(0).integers(3, size=(200, 4))
    shape = (4, 1, context - 1, 1)
    past = Past(lookback, [np.zeros(shape, np.float32)], np.full(context - 1, -1))
    for time, frame in enumerate(tokens):
        past = past.after(frame, np.full((4, 1, 1, 1), time, np.float32))
        first = max(0, time + 1 - lookback.reach)
        seen = torch.from_numpy(tokens[first : time + 1])[None]
        chosen = first + lookback.choose(seen, first)[0].numpy().nonzero()[0]
        assert sorted(past.times[past.times >= 0]) == list(chosen)
        filled = past.tensors[0][0, 0, past.times >= 0, 0]
        assert (filled == past.times[past.times >= 0]).all()
    assert len(past.kept) == min(200, lookback.reach)


def test_a_genie_that_looks_back_in_another_way_is_checked_against_its_export(tmp_path):
    assert export(tiny_genie().with_lookback("retrieval"), tmp_path, ["fp32"])["fp32"] < 1e-4


def test_an_export_decodes_a_clip_as_pytorch_does(exported):
    genie, folder, _ = exported
    tokens = torch.randint(32, (2, 5, 16), generator=torch.Generator().manual_seed(0))
    decoded = ExportedGenie(genie, folder, "fp32").tokenizer.decode(tokens)
    torch.testing.assert_close(decoded, genie.tokenizer.decode(tokens), atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_patch_has_its_own_token_in_every_variant(exported_patches, variant):
    genie, folder = exported_patches
    tokens = torch.randperm(32, generator=torch.Generator().manual_seed(0)).view(2, 1, 16)
    pictures = fold(genie.tokenizer.base(tokens), 8, (4, 4))
    player = ExportedGenie(genie, folder, variant)
    assert torch.equal(player.tokenizer.encode(pictures), tokens)


def test_no_file_names_a_path_of_this_machine(exported):
    _, folder, _ = exported
    for path in folder.iterdir():
        content = path.read_bytes()
        for forbidden in (b".py", b"site-packages", str(folder).encode(), b"genie_mini/"):
            assert forbidden not in content, f"{path.name} holds {forbidden}"


@pytest.mark.parametrize("variants", [["fp64"], []])
def test_an_unknown_variant_is_refused(tmp_path, variants):
    with pytest.raises(ValueError, match="variants are some of fp32, fp16, int8, got (fp64|none)"):
        export(tiny_genie(), tmp_path, variants)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match="needs the package onnxscript"):
        export(tiny_genie(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_onnxruntime_sends_nobody_what_it_runs_on(tmp_path):
    program = (
        "import genie_mini.export, onnxruntime\n"
        "from onnx import TensorProto, helper\n"
        "value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in 'xy']\n"
        "node = helper.make_node('Identity', ['x'], ['y'])\n"
        "graph = helper.make_graph([node], 'graph', value[:1], value[1:])\n"
        "opset = [helper.make_opsetid('', 20)]\n"
        "model = helper.make_model(graph, opset_imports=opset, ir_version=10)\n"
        "onnxruntime.InferenceSession(model.SerializeToString())\n"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    kept = {
        k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    subprocess.run([sys.executable, "-c", program], env={**kept, **home}, check=True)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]


def test_a_package_that_is_too_old_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("genie_mini.export.write.version", {"torch": "2.6.0+cpu"}.get)
    with pytest.raises(ValueError, match="needs torch 2.13 or newer, this is 2.6.0.cpu: pip inst"):
        export(tiny_genie(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lowest_versions_are_those_of_the_extra():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = dict(need.split(">=") for need in metadata["optional-dependencies"]["export"])
    lowest = {name: ".".join(map(str, version)) for name, version in LOWEST.items()}
    assert lowest.items() <= asked.items()


def test_a_model_that_differs_is_not_accepted(tmp_path, monkeypatch):
    genie = tiny_genie()
    monkeypatch.setattr("genie_mini.export.write.PARITY", 0.0)
    with pytest.raises(ValueError, match="differ from PyTorch's"):
        export(genie, tmp_path, ["fp32"])


def test_wrong_action_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="8 latent actions, but 1 names"):
        export(tiny_genie(), tmp_path, ["fp32"], ["left"])


def test_an_export_refuses_what_a_genie_refuses(exported):
    genie, folder, _ = exported
    player = ExportedGenie(genie, folder, "fp32")
    clips = torch.rand(2, 1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    tokens, actions = player.tokenizer.encode(clips), torch.tensor([1, 2])
    led, rollout = actions[:, None], Rollout(player, clips)
    cache, alone = (player.dynamics.prefill(tokens[:n], led[:n, :0]) for n in (2, 1))
    caches = st.sampled_from([None, [], "cache", alone])
    doors = {
        "encode": Door(player.tokenizer.encode, no_frames(clips)),
        "decode": Door(player.tokenizer.decode, no_indices(tokens, 32)),
        "append": Door(lambda value: player.dynamics.append(value, tokens, led), caches),
        "sample": Door(lambda value: player.dynamics.sample(value, actions), caches),
        "Rollout": Door(lambda value: Rollout(player, value), no_frames(clips)),
        "step": Door(rollout.step, no_indices(actions, 8)),
        "temperature": Door(lambda value: rollout.step(actions, 4, value), NO_TEMPERATURES),
        "min_p": Door(lambda value: rollout.step(actions, 4, min_p=value), NO_MIN_P),
    }
    assert not {name: escape for name, door in doors.items() if (escape := find_escape(door, 8))}
    assert player.dynamics.sample(cache, actions, maskgit_steps=2).shape == (2, 16)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "another graph"])
def test_a_file_that_is_not_the_graph_is_named(exported, tmp_path, damage):
    genie, folder, _ = exported
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "step.fp32.onnx"
    if damage == "missing":
        path.unlink()
    elif damage == "another graph":
        path.write_bytes((folder / "decoder.fp32.onnx").read_bytes())
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 2000])
    with pytest.raises(GenieError, match=r"step\.fp32\.onnx"):
        ExportedGenie(genie, tmp_path, "fp32")


def test_a_genie_without_a_past_is_not_exported(tmp_path):
    genie = tiny_genie()
    dynamics = replace(genie.config.dynamics, context=1)
    with pytest.raises(GenieError, match="context 1 cannot be exported"):
        export(Genie(replace(genie.config, dynamics=dynamics)), tmp_path)
