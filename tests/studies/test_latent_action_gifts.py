"""Each variant really lacks what it is said to lack, and is trained and scored like the others."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from conftest import tiny_config

from genie_mini.models.log_ratios import log_ratios
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.studies import latent_action_gifts
from genie_mini.studies.latent_action_gifts import (
    VARIANTS,
    HardChoice,
    PaperModel,
    PlainEyes,
    PlainHands,
    PlainQuantizer,
    SquaredError,
    Uncentred,
    score,
    train_alone,
)
from genie_mini.training.config import TRAINING_PRESETS

OURS = VARIANTS["ours"].model
SIZES = {"size": 32, "patch_size": 8}


@pytest.fixture
def build():
    """An untrained model of a class whose every weight counts, in evaluation mode."""

    def make(kind, seed=0):
        torch.manual_seed(seed)
        model = kind(tiny_config().latent_action)
        for parameter in model.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
        return model.eval()

    return make


def shares_at(model, clips, progress):
    model = deepcopy(model).train()
    return model.choose(model.encode_continuous(clips), progress)[1]


def is_hard(shares):
    return bool(((shares == 0) | (shares == 1)).all())


@pytest.mark.parametrize("kind", [HardChoice, PaperModel])
def test_a_hard_choice_is_hard_from_the_start(build, make_clips, kind):
    clips = make_clips(num_clips=8)
    assert is_hard(shares_at(build(kind), clips, progress=0.0))
    assert not is_hard(shares_at(build(OURS), clips, progress=0.0))


@pytest.mark.parametrize("kind", [HardChoice, PaperModel])
def test_a_hard_choice_has_the_loss_of_a_codebook_and_no_entropies(build, make_clips, kind):
    clips, model = make_clips(num_clips=8), build(kind)
    for progress in (0.0, 1.0):
        result = model(clips, progress)
        loss = result["loss"] - result["reconstruction"]
        quantized, actions, expected = model.quantizer(result["continuous"])
        assert torch.allclose(loss, expected) and loss > 0
        assert torch.equal(result["actions"], actions)
    result["reconstruction"].backward()
    assert model.to_code.weight.grad.any(), "the reconstruction teaches straight through"
    assert model.quantizer.codebook.grad is None, "and the codebook by its own loss alone"
    assert quantized.requires_grad


def test_dead_codes_move_from_the_first_step_on_but_not_the_papers(build, make_clips):
    clips = make_clips(num_clips=1, num_frames=3)  # two vectors for eight codes
    for kind, moves in ((HardChoice, True), (PaperModel, False)):
        model = build(kind)
        before = model.quantizer.codebook.detach().clone()
        model(clips, 0.0)
        assert torch.equal(model.quantizer.codebook, before), "but not at play"
        model.train()(clips, 0.0)["loss"].backward()
        assert (not torch.equal(model.quantizer.codebook, before)) == moves


def test_without_batch_normalisation_a_vector_is_the_same_beside_any_others(build, make_clips):
    clips = make_clips(num_clips=8)
    for kind, same in ((Uncentred, True), (PaperModel, True), (OURS, False)):
        model = build(kind).train()
        alone, beside = model.encode_continuous(clips[:2]), model.encode_continuous(clips)[:2]
        assert torch.allclose(alone, beside, atol=1e-5) == same


@pytest.mark.parametrize("kind", [SquaredError, PaperModel])
def test_a_squared_error_lets_large_changes_drown_small_ones(build, make_clips, kind):
    frames = make_clips(num_clips=1, num_frames=3)
    frames[:, 1] = frames[:, 0] + 0.01
    halfway = (frames[:, 1:] + frames[:, :-1]) / 2
    model = build(kind)
    small, large = model.errors(halfway, frames, still=1e-6)[0]
    assert large > 100 * small
    assert math.isclose(model.errors(frames[:, :-1], frames, 0.2).mean(), 1.0, rel_tol=1e-5)
    ours = build(OURS).errors(halfway, frames, still=1e-6)
    assert torch.equal(ours, log_ratios(halfway, frames, still=1e-6))
    assert torch.allclose(*ours[0], rtol=1e-2)


@pytest.mark.parametrize("kind", [PlainEyes, PaperModel])
def test_plain_eyes_look_at_patches_alone(build, make_clips, kind):
    model, clips = build(kind), make_clips(num_clips=4)
    unseen = torch.full_like(model.motion(clips), torch.nan)
    assert model.encode_continuous(clips, unseen).isfinite().all()
    assert build(OURS).encode_continuous(clips, unseen).isnan().all()


@pytest.mark.parametrize("kind, averaged", [(PlainEyes, True), (PaperModel, True), (OURS, False)])
def test_plain_eyes_average_tokens_and_ours_take_the_largest(build, make_clips, kind, averaged):
    model, tokens = build(kind), []
    model.encoder.register_forward_hook(lambda module, given, result: tokens.append(result[0]))
    vectors = model.encode_continuous(make_clips(num_clips=4))
    (gradient,) = torch.autograd.grad(vectors[..., 0].sum(), tokens[0])
    each = gradient[:, 1:]  # of what follows a frame
    assert torch.equal(each, each[:, :, :1].expand_as(each)) == averaged


@pytest.mark.parametrize("kind", [PlainHands, PaperModel])
def test_plain_hands_draw_every_pixel_and_see_no_past_movement(build, make_clips, kind):
    model, clips = build(kind), make_clips(num_clips=2)
    codes = torch.zeros(2, 5, 8)
    motion = torch.full_like(model.motion(clips), torch.nan)
    assert model.decode(clips, codes, motion).isfinite().all()
    with torch.no_grad():
        model.to_change.weight.zero_()
        model.to_change.bias.zero_()
    grey = model.decode(clips, codes)
    assert torch.equal(grey, torch.full_like(grey, 0.5)), "nothing of the last frame is kept"
    drawn = build(OURS).decode(clips, codes)
    assert drawn.std() > 0.1


def test_the_plain_codebook_is_that_of_a_vq_vae():
    torch.manual_seed(0)
    quantizer = PlainQuantizer(QuantizerConfig(4, code_width=2))
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[1.0, 0.0], [9.0, 0.0], [0.0, 1.0], [5.0, 5.0]]))
    vectors = torch.tensor([[[2.0, 0.0], [8.0, 0.5]]], requires_grad=True)
    codes, indices, loss = quantizer(vectors)
    assert indices.tolist() == [[0, 1]], "points count, not directions"
    assert torch.equal(codes, quantizer.lookup(indices)) and codes[0, 1, 0] == 9
    distance = ((codes - vectors) ** 2).mean()
    assert torch.allclose(loss, 1.25 * distance)
    codes.sum().backward()
    assert torch.equal(vectors.grad, torch.ones_like(vectors))


def test_every_gift_is_taken_away_alone_and_by_the_paper_all_together():
    alone = {HardChoice, Uncentred, SquaredError, PlainEyes, PlainHands}
    assert {variant.model for variant in VARIANTS.values()} == {*alone, OURS, PaperModel}
    assert all(issubclass(PaperModel, kind) for kind in alone)
    assert all(kind.__bases__ == (OURS,) for kind in alone)
    without = [name for name, variant in VARIANTS.items() if not variant.restarts]
    assert without == ["the paper's", "no restarts"] and VARIANTS["no restarts"].model is OURS


def test_a_training_restarts_or_not(monkeypatch):
    moved = []
    monkeypatch.setattr(
        OURS, "move_least_used_code", lambda self, frames: moved.append(len(frames))
    )
    for name in ("ours", "no restarts"):
        moved.clear()
        train_alone(VARIANTS[name], 5, 0, tiny_config(**SIZES))
        restarts = len(TRAINING_PRESETS["pocket"].latent_action_restarts) - 1
        assert len(moved) == (restarts if VARIANTS[name].restarts else 0)


def weights(model):
    return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_seed_gives_the_same_training_and_a_row_the_same_columns(name):
    variant = replace(VARIANTS[name], restarts=False)  # of 32 clips each, which takes time
    first, again, other = (
        train_alone(variant, 2, seed, tiny_config(**SIZES)) for seed in (0, 0, 1)
    )
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert type(first) is variant.model and not first.training
    row = score(first, num_clips=12)
    assert row == score(again, num_clips=12)
    assert set(row) == {"bits", "most", "named", "commonest", "codes", "decibels"}
    assert row["bits"] < row["most"] <= 3 and 0 <= row["named"] <= 1 and 1 <= row["codes"] <= 8


def test_what_is_scored_is_what_inference_and_prediction_give(build):
    for kind in (OURS, PaperModel):
        model = build(kind)
        frames = torch.rand(3, 4, 16, 16, 3, generator=torch.Generator().manual_seed(0))
        actions, drawn = latent_action_gifts._answers(model, frames)
        assert torch.equal(actions, model.infer(frames))
        assert torch.allclose(drawn, model.predict(frames[:, :-1], actions), atol=1e-6)


def test_codes_that_are_the_true_actions_score_all_there_is_by_any_name(monkeypatch):
    frames, truth = latent_action_gifts._held_out(64, 32)
    number = {clip.numpy().tobytes(): index for index, clip in enumerate(frames)}

    def scored(codes):
        def answers(model, clips):
            chosen = [number[clip.numpy().tobytes()] for clip in clips]
            return torch.from_numpy(codes[chosen]), clips[:, :-1]

        monkeypatch.setattr(latent_action_gifts, "_answers", answers)
        return score(OURS(tiny_config(**SIZES).latent_action), num_clips=64)

    perfect, renamed = scored(truth.actions), scored(7 - truth.actions)
    assert perfect["named"] == 1.0 and perfect["codes"] == 8 and perfect["decibels"] == 0.0
    assert 0.9 * perfect["most"] < perfect["bits"] < perfect["most"]
    assert renamed["named"] == 1.0 and math.isclose(renamed["bits"], perfect["bits"])
    nothing = scored(0 * truth.actions)
    assert abs(nothing["bits"]) < 0.15 and nothing["codes"] == 1
    assert nothing["named"] <= nothing["commonest"]
