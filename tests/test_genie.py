"""The three networks together: sizes, saving and loading, and one clear error for every bad
file.
"""

import json
import os
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from genie_mini.errors import GenieError
from genie_mini.files import PARTS, WEIGHTS
from genie_mini.genie import Genie, in_windows
from genie_mini.presets import PRESETS


def tensors(genie):
    return {name: tensor.clone() for name, tensor in genie.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.fixture
def saved(genie, tmp_path):
    genie.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_was_saved_is_what_is_loaded(make_genie, clips, tmp_path):
    genie = make_genie().train()
    genie.tokenizer(clips)  # running statistics that are not those of a new network
    genie.latent_action_model(clips)
    genie.eval().save(tmp_path)
    torch.manual_seed(1)
    loaded = Genie.from_pretrained(tmp_path)
    assert loaded.config == genie.config and same(tensors(loaded), tensors(genie))
    assert not loaded.training
    tokens, actions = genie.tokenizer.encode(clips), genie.latent_action_model.infer(clips)
    assert torch.equal(loaded.tokenizer.encode(clips), tokens)
    assert torch.equal(loaded.tokenizer.decode(tokens), genie.tokenizer.decode(tokens))
    assert torch.equal(loaded.latent_action_model.infer(clips), actions)
    assert torch.equal(loaded.dynamics(tokens, actions), genie.dynamics(tokens, actions))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_can_be_saved_in_half_the_space(genie, saved, tmp_path, dtype):
    genie.save(tmp_path / "half", dtype)
    size = sum((saved / f"{part}.safetensors").stat().st_size for part in PARTS)
    half = sum((tmp_path / "half" / f"{part}.safetensors").stat().st_size for part in PARTS)
    assert half < 0.7 * size
    loaded, original = tensors(Genie.from_pretrained(tmp_path / "half")), tensors(genie)
    for name, tensor in loaded.items():
        assert tensor.dtype == original[name].dtype
        torch.testing.assert_close(tensor, original[name], atol=1e-2, rtol=1e-2)


def test_a_folder_may_be_given_as_text(genie, saved):
    assert same(tensors(Genie.from_pretrained(str(saved))), tensors(genie))


@pytest.mark.parametrize("stops_at", [1, 2, 4])
def test_saving_that_is_interrupted_leaves_nothing_half_written(
    make_genie, saved, monkeypatch, stop_replacing, stops_at
):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    calls = stop_replacing(stops_at)
    with pytest.raises(KeyboardInterrupt):
        make_genie(seed=1).save(saved)
    monkeypatch.undo()
    assert {path.name for path in saved.iterdir()} == before.keys(), "no partial file stays behind"
    untouched = [path.name for path in saved.iterdir() if path.read_bytes() == before[path.name]]
    assert os.path.basename(calls[-1]) in untouched
    if stops_at == 1:  # nothing has changed yet
        Genie.from_pretrained(saved)
    else:
        with pytest.raises(GenieError, match="not saved with the other files"):
            Genie.from_pretrained(saved)
    make_genie(seed=1).save(saved)
    assert same(tensors(Genie.from_pretrained(saved)), tensors(make_genie(seed=1)))


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "empty",
        "truncated",
        "noise",
        "text",
        "foreign",
        "another shape",
        "one tensor short",
    ],
)
def test_a_bad_weights_file_is_named(make_genie, saved, tmp_path, part, damage):
    path = saved / f"{part}.safetensors"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(content[: len(content) * 2 // 3])
    elif damage == "noise":
        path.write_bytes(bytes(range(256)) * 20)
    elif damage == "text":
        path.write_text("version https://example.org/pointer")
    elif damage == "foreign":
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    elif damage == "another shape":
        make_genie(size=32, num_codes=16).save(tmp_path / "other")
        path.write_bytes((tmp_path / "other" / path.name).read_bytes())
    else:
        kept = safetensors.torch.load(content)
        kept.pop(sorted(kept)[-1])
        safetensors.torch.save_file(kept, path)
    with pytest.raises(ValueError, match=rf"{part}\.safetensors"):
        Genie.from_pretrained(saved)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("null"),
        lambda path: path.write_text('{"model_type": "bert"}'),
        lambda path: rewrite(path, lambda content: content.pop("dynamics")),
        lambda path: rewrite(path, lambda content: content["dynamics"].update(color="red")),
        lambda path: rewrite(path, lambda content: content["tokenizer"].pop("patch_size")),
        lambda path: rewrite(
            path, lambda content: content["tokenizer"]["quantizer"].update(color="red")
        ),
        lambda path: rewrite(
            path, lambda content: content["tokenizer"]["encoder"].update(color="red")
        ),
        lambda path: rewrite(
            path, lambda content: content["tokenizer"]["encoder"].update(num_heads=3)
        ),
    ],
    ids=[
        "missing",
        "empty",
        "truncated",
        "bytes",
        "a list",
        "null",
        "foreign",
        "no dynamics",
        "unknown key",
        "missing key",
        "unknown quantizer key",
        "unknown encoder key",
        "impossible heads",
    ],
)
def test_a_bad_configuration_is_named(saved, damage):
    damage(saved / "config.json")
    with pytest.raises(ValueError, match=r"config\.json"):
        Genie.from_pretrained(saved)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no weights called 'nonsense'"):
        Genie.from_pretrained("nonsense")
    with pytest.raises(ValueError, match="'nonsense'.*pocket, mini, coinrun, paper"):
        Genie.from_preset("nonsense")


@pytest.mark.parametrize(
    "preset, size, tokens", [("pocket", 32, 64), ("mini", 64, 64), ("coinrun", 64, 256)]
)
def test_presets_have_the_sizes_they_promise(preset, size, tokens):
    with torch.device("meta"):
        genie = Genie.from_preset(preset)
    config = genie.config
    assert config.tokenizer.image_size == config.latent_action.image_size == (size, size)
    assert (
        config.tokenizer.num_tokens == config.dynamics.grid[0] * config.dynamics.grid[1] == tokens
    )
    assert config.dynamics.num_codes == config.tokenizer.quantizer.num_codes
    assert (
        config.dynamics.num_actions
        == config.latent_action.quantizer.num_codes
        == (6 if preset == "coinrun" else 8)
    )


def test_the_pocket_preset_runs(make_clips):
    genie = Genie.from_preset("pocket").eval()
    frames = make_clips(1, 3, 32)
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    assert tokens.shape == (1, 3, 64) and actions.shape == (1, 2)
    assert genie.dynamics(tokens, actions).shape == (1, 3, 64, 512)
    assert genie.tokenizer.decode(tokens).shape == frames.shape


def test_an_untrained_genie_is_ready_for_use(make_clips):
    # Its running statistics must not move, nor a clip's tokens depend on its neighbours.
    genie, frames = Genie.from_preset("pocket"), make_clips(4, 2, 32)
    before = tensors(genie)
    genie.tokenizer.encode(frames)
    genie.latent_action_model.infer(frames)
    assert same(tensors(genie), before)


def test_the_paper_has_eleven_billion_parameters():
    with torch.device("meta"):
        genie = Genie.from_preset("paper")
    count = sum(parameter.numel() for parameter in genie.parameters())
    assert count == pytest.approx(10.7e9, rel=0.1)
    assert all(parameter.is_meta for parameter in genie.parameters())
    assert genie.config.latent_action.quantizer.num_codes == 8


def test_the_weights_that_ship_load_and_are_small():
    for folder in WEIGHTS.glob("mini"):  # none until they are trained
        genie = Genie.from_pretrained(folder.name)
        # They were trained with displacements of their game, and before detail and surprise.
        preset, own = PRESETS["mini"](), genie.config.latent_action
        latent_action = replace(
            preset.latent_action, neighborhood=own.neighborhood, sees_surprise=False
        )
        tokenizer = replace(preset.tokenizer, keeps_detail=False)
        older = replace(preset, latent_action=latent_action, tokenizer=tokenizer)
        assert genie.config == older
        assert all(tensor.isfinite().all() for tensor in genie.state_dict().values())
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 20e6


@pytest.mark.parametrize("num_frames", [1, 9, 16, 17, 18, 33, 48, 64])
def test_long_videos_are_seen_through_windows(num_frames):
    seen = []

    def number(frames):
        seen.append(frames.shape[1])
        return frames[..., 0]

    frames = torch.arange(num_frames).float()[None, :, None]
    assert in_windows(number, frames).tolist() == [list(range(num_frames))]
    assert in_windows(lambda part: number(part)[:, :-1], frames).tolist() == [
        list(range(num_frames - 1))
    ]
    assert max(seen) <= 16


def test_another_lookback_keeps_the_weights(genie):
    other = genie.with_lookback("sparse")
    assert other.config.dynamics.lookback == "sparse" and genie.config.dynamics.lookback == "recent"
    for name, tensor in genie.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    with pytest.raises(ValueError, match="lookback is one of"):
        genie.with_lookback("everything")
