"""An export plays what PyTorch plays, says nothing of the machine it was made on, and refuses what
it cannot do.
"""

import json
import sys

import pytest
import torch
from tiny import tiny_genie

from genie_mini.export.graphs import GRAPHS
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.write import VARIANTS, export
from genie_mini.rollout import Rollout

NAMES = ["left", "right", "jump", "nothing", "dash left", "dash right", "jump left", "jump right"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny Genie, the folder of its export, and how far each variant is from PyTorch."""
    genie, folder = tiny_genie(), tmp_path_factory.mktemp("export")
    return genie, folder, export(genie, folder, action_names=NAMES)


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


def test_32_frames_of_the_same_seed_are_the_same(exported):
    genie, folder, _ = exported
    picture = torch.rand(1, 1, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs = (
        Rollout(player, picture, seed=3) for player in (genie, ExportedGenie(genie, folder, "fp32"))
    )
    torch.testing.assert_close(ours.frames, theirs.frames)
    for step in range(32):  # twice the window
        actions = torch.tensor([step % 8])
        frames = ours.step(actions, maskgit_steps=4), theirs.step(actions, maskgit_steps=4)
        assert torch.equal(ours.tokens, theirs.tokens)
        torch.testing.assert_close(*frames, atol=1e-4, rtol=0)


def test_an_export_decodes_a_clip_as_pytorch_does(exported):
    genie, folder, _ = exported
    tokens = torch.randint(32, (2, 5, 16), generator=torch.Generator().manual_seed(0))
    decoded = ExportedGenie(genie, folder, "fp32").tokenizer.decode(tokens)
    torch.testing.assert_close(decoded, genie.tokenizer.decode(tokens), atol=1e-4, rtol=0)


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


def test_another_look_back_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match='only the look-back "recent" can be exported, this Genie has "sparse"'
    ):
        export(tiny_genie().with_lookback("sparse"), tmp_path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match="needs the package onnxscript"):
        export(tiny_genie(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_that_differs_is_not_accepted(tmp_path, monkeypatch):
    genie = tiny_genie()
    monkeypatch.setattr("genie_mini.export.write.PARITY", 0.0)
    with pytest.raises(ValueError, match="differ from PyTorch's"):
        export(genie, tmp_path, ["fp32"])


def test_wrong_action_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="8 latent actions, but 1 names"):
        export(tiny_genie(), tmp_path, ["fp32"], ["left"])
