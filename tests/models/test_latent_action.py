"""The latent action model: what it may see, what teaches it, and its errors."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from genie_mini.files import WEIGHTS
from genie_mini.genie import load_config
from genie_mini.models import latent_action
from genie_mini.models.displacements import displaced, in_pixels, matching_costs
from genie_mini.models.latent_action import LatentActionModel
from genie_mini.models.log_ratios import log_ratios
from genie_mini.presets import PRESETS

# Displacements of a game: what the shipped weights were trained with.
KNOWN = load_config(WEIGHTS / "mini" / "config.json").latent_action.neighborhood


@pytest.fixture(
    scope="module",
    params=[{}, {"neighborhood": KNOWN}, {"surprise": True}],
    ids=["any movement", "known displacements", "surprise"],
)
def calibrated(request, make_genie, make_clips):
    """Untrained, but with its codes among the vectors that noise leads to, so that all of them are
    chosen.
    """
    model = make_genie(num_blocks=2, **request.param).latent_action_model.train()
    with torch.no_grad():
        for seed in range(30):
            result = model(make_clips(num_clips=8, seed=100 + seed))
            model.quantizer.reset_dead_codes(result["continuous"], result["actions"])
    return model.eval()


@pytest.fixture
def model(calibrated):
    return deepcopy(calibrated)


def other_from(clips, t):
    other = clips.clone()
    other[:, t:] = 1 - other[:, t:]
    return other


@pytest.mark.parametrize("t", range(6))
def test_an_action_depends_on_no_frame_after_the_one_it_leads_to(model, make_clips, t):
    clips = make_clips(num_clips=64, num_frames=6)
    different = (model.infer(clips) != model.infer(other_from(clips, t))).any(dim=0)
    assert not different[: max(0, t - 1)].any()
    assert different[max(0, t - 1) :].any(), "and does depend on those up to it"


def test_an_action_depends_on_the_frame_it_leads_to(model, make_clips):
    # A model shown only the frames up to the present could not know what comes next.
    clips = make_clips(num_clips=16, num_frames=2)
    assert (model.infer(clips) != model.infer(other_from(clips, 1))).any()


@pytest.mark.parametrize("t", range(5))
def test_the_decoder_sees_no_later_frame(model, clips, t):
    actions = torch.zeros(2, 5, dtype=torch.int64)
    other = other_from(clips, t)
    # What it draws is the frame plus a change; a leak shows in either.
    different = (
        (model.predict(clips, actions) != model.predict(other, actions))
        .flatten(2)
        .any(dim=-1)
        .any(dim=0)
    )
    assert not different[:t].any()
    assert different[t:].all(), "it sees all frames so far, not the first alone"


@pytest.mark.parametrize("t", range(5))
def test_the_decoder_sees_no_later_action(model, clips, t):
    actions = torch.zeros(2, 5, dtype=torch.int64)
    other = actions.clone()
    other[:, t:] = 3
    different = (
        (model.predict(clips, actions) != model.predict(clips, other))
        .flatten(2)
        .any(dim=-1)
        .any(dim=0)
    )
    assert not different[:t].any()
    assert different[t:].all()


def test_shapes_types_and_ranges(model, clips):
    actions = model.infer(clips)
    assert actions.shape == (2, 4) and actions.dtype == torch.int64
    assert 0 <= actions.min() and actions.max() < 8
    predicted = model.predict(clips[:, :-1], actions)
    assert predicted.shape == (2, 4, 16, 16, 3)
    assert 0 <= predicted.min() and predicted.max() <= 1


def test_inferring_changes_nothing_in_the_model(model, clips):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.infer(clips)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_first_guess_is_that_little_moves(make_genie, clips):
    untrained = make_genie(stirred=False).latent_action_model
    guess = untrained.predict(clips, torch.zeros(2, 5, dtype=torch.int64))
    assert (guess - clips).square().mean() < (clips.mean() - clips).square().mean() / 2


def test_displaced_copies_are_the_picture_moved():
    clips = torch.rand(1, 2, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    displacements = [(0, 0), (-8, 0), (3, 0), (0, -2), (1, 4)]
    copies = displaced(clips, displacements)
    for index, (down, right) in enumerate(displacements):
        moved = clips.roll((down, right), dims=(2, 3))
        assert torch.equal(copies[:, :, 8:-8, 4:-4, index], moved[:, :, 8:-8, 4:-4])
    assert torch.equal(copies[..., 0, :], clips)
    assert torch.equal(copies[:, :, -1, 8, 1], clips[:, :, -1, 8]), "edges are repeated"


def test_matching_costs_are_the_difference_from_displaced_copies():
    generator = torch.Generator().manual_seed(0)
    before, frames = torch.rand(2, 2, 3, 16, 12, 3, generator=generator)
    displacements = [(0, 0), (-5, 0), (3, 0), (0, -2), (1, 4)]
    costs = matching_costs(frames, before, displacements)
    copies = displaced(before, displacements)
    assert torch.equal(costs, (frames[..., None, :] - copies).abs().mean(dim=-1))


@pytest.mark.parametrize("preset", ["pocket", "mini", "coinrun", "paper"])
def test_displacements_grow_with_the_picture(preset):
    config = replace(PRESETS[preset]().latent_action, neighborhood=KNOWN)
    assert (
        config.displacements[0] == (0, 0)
        and len(set(config.displacements)) == len(config.displacements) > 10
    )
    height, width = config.image_size
    assert (0, round(width / 8)) in config.displacements and (
        -round(height * 6 / 32),
        0,
    ) in config.displacements


@pytest.mark.parametrize("preset", ["pocket", "mini", "coinrun", "paper"])
def test_a_new_model_is_told_of_no_game(preset):
    config = PRESETS[preset]().latent_action
    assert config.neighborhood is None and config.displacements == []


def test_displacements_that_a_small_picture_cannot_tell_apart_are_one():
    assert in_pixels([(0, 0), (0, 1), (0, 2), (2, 0)], (16, 16)) == [(0, 0), (0, 1), (1, 0)]


def test_the_networks_are_built_for_the_displacements_that_a_configuration_names(make_genie, clips):
    config = make_genie().config.latent_action
    moving_right = replace(config, neighborhood=((0, 0), (0, 4)))
    assert moving_right.displacements == [(0, 0), (0, 2)]
    model = LatentActionModel(moving_right)
    with torch.no_grad():  # all of every patch comes from the copy that moved
        model.to_displacement.bias.copy_(torch.tensor([0.0, 100.0]))
    drawn = model.predict(clips, torch.zeros(2, 5, dtype=torch.int64))
    assert torch.allclose(drawn, displaced(clips, [(0, 2)])[..., 0, :], atol=1e-6)


def test_every_parameter_gets_a_gradient(model, make_clips):
    model.train()
    for seed in range(4):
        model(make_clips(num_clips=8, num_frames=6, seed=seed))["loss"].backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing
    assert model.quantizer.codebook.grad.any(dim=-1).all(), "every code gets a gradient"


def test_the_reconstruction_teaches_the_encoder_through_the_code(model, clips):
    model.train()
    model(clips)["reconstruction"].backward()
    assert model.to_code.weight.grad.any()


def test_training_infers_the_actions_that_inference_would(model, make_clips):
    clips = make_clips(num_clips=8)
    result = model(clips)  # in evaluation mode, so that both normalise alike
    assert torch.equal(result["actions"], model.infer(clips))
    assert result["continuous"].shape[:2] == (8, 4)


def test_learning_tells_two_movements_apart(make_genie):
    # A bright square goes one patch left or right; two codes are enough to draw what comes next.
    model = make_genie(stirred=False).latent_action_model.train()
    generator = torch.Generator().manual_seed(0)

    def batch(num_clips):
        right = torch.randint(2, (num_clips,), generator=generator)
        clips = torch.zeros(num_clips, 2, 16, 16, 3)
        for clip, way in zip(clips, right, strict=True):
            row, column = torch.randint(1, 3, (2,), generator=generator).mul(4).tolist()
            clip[0, row : row + 4, column : column + 4] = 1
            column += 4 if way else -4
            clip[1, row : row + 4, column : column + 4] = 1
        return clips, right

    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(120):
        optimizer.zero_grad()
        model(batch(32)[0], step / 120)["loss"].backward()
        optimizer.step()
    clips, right = batch(200)
    latent = model.eval().infer(clips)[:, 0]
    votes = torch.stack(
        [((latent == code) & (right == way)).sum() for code in range(8) for way in (0, 1)]
    ).view(8, 2)
    assert votes.amax(dim=1).sum() / 200 > 0.95


def test_what_is_expected_needs_no_code_and_no_frame_of_its_own_time(make_genie, clips):
    model = make_genie(surprise=True).latent_action_model
    with torch.no_grad():
        expected = model.expected(clips, model.motion(clips))
        none = torch.zeros(len(clips), 4, 8)
        drawn = model.decode(clips[:, :-1], none).clamp(0, 1)
    assert torch.equal(expected[:, 0], clips[:, 0])
    torch.testing.assert_close(expected[:, 1:], drawn)
    other = other_from(clips, 3)
    with torch.no_grad():
        assert torch.equal(
            model.expected(other, model.motion(other))[:, :4][:, 1:], expected[:, 1:4]
        )


def test_a_push_is_seen_where_a_thing_is_not_where_its_speed_would_bring_it(make_genie):
    """What is foretold is foretold without a code, and the difference is all that counts."""
    model = make_genie(surprise=True).latent_action_model
    frames = torch.full((1, 3, 16, 16, 3), 0.2)
    for t, (row, column) in enumerate(((4, 2), (4, 6), (8, 10))):
        frames[:, t, row : row + 4, column : column + 4] = 1.0
    right = frames.clone()
    right[:, 2] = 0.2
    right[:, 2, 4:8, 10:14] = 1.0
    news = [model.surprise.news(frames, expected) for expected in (frames, right)]
    features = [model.surprise(*seen) for seen in news]
    assert not torch.allclose(features[0][:, 2], features[1][:, 2])
    torch.testing.assert_close(features[0][:, :2], features[1][:, :2])


@pytest.mark.parametrize("call", ["infer", "forward"])
@pytest.mark.parametrize(
    "frames, problem",
    [
        (torch.zeros(1, 2, 20, 16, 3), "16, 16, 3"),
        (torch.zeros(2, 16, 16, 3), "batch, time"),
        (torch.zeros(1, 2, 16, 16, 3, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 1, 16, 16, 3), "two frames"),
    ],
)
def test_wrong_frames_are_refused(genie, call, frames, problem):
    with pytest.raises(ValueError, match=problem):
        getattr(genie.latent_action_model, call)(frames)


@pytest.mark.parametrize("action", [-1, 8])
def test_actions_out_of_range_are_refused(genie, clips, action):
    with pytest.raises(ValueError, match="action"):
        genie.latent_action_model.predict(clips, torch.full((2, 5), action))


def test_one_action_is_needed_for_every_frame(genie, clips):
    with pytest.raises(ValueError, match="action"):
        genie.latent_action_model.predict(clips, torch.zeros(2, 4, dtype=torch.int64))


def test_codes_are_spread_over_what_the_encoder_tells(model, make_clips):
    clips = make_clips(num_clips=8, num_frames=6)
    with torch.no_grad():
        model.quantizer.place(torch.arange(8), model.quantizer.directions()[:1].repeat(8, 1))
        vectors = F.normalize(model.encode_continuous(clips), dim=-1)
    assert model.infer(clips).unique().numel() == 1

    def fit():
        return model.quantizer.similarities(vectors).amax(dim=-1).mean()

    before = fit()
    model.spread_codes(clips)
    assert model.infer(clips).unique().numel() == 8 and fit() > before


def test_in_the_end_the_decoder_chooses_the_code_that_draws_best(model, make_clips, monkeypatch):
    monkeypatch.setattr(latent_action, "_WITHOUT_CODES", 0)
    clips = make_clips(num_clips=8)
    still = model.config.still_shares[1]
    # in evaluation mode, so that all normalise alike
    result = model.settle(clips)
    ratios = torch.stack(
        [
            log_ratios(
                model.decode(clips[:, :-1], model.quantizer.lookup(torch.full((8, 4), code))),
                clips,
                still,
            )
            for code in range(8)
        ],
        dim=-1,
    )
    use = (-10 * ratios).softmax(dim=-1).mean(dim=(0, 1))
    assert torch.equal(result["actions"], (ratios + 0.1 * use.log()).argmin(dim=-1))
    drawn = model.decode(clips[:, :-1], model.quantizer.lookup(result["actions"]))
    assert result["reconstruction"].item() == pytest.approx(
        log_ratios(drawn, clips, still).mean().item()
    )
    assert not torch.equal(result["actions"], model.infer(clips)), "the encoder chose otherwise"


def test_a_code_that_draws_all_a_little_better_does_not_take_all(model, make_clips, monkeypatch):
    ratios = 0.05 * torch.rand(8, 4, 8, generator=torch.Generator().manual_seed(0))
    ratios[..., 0] -= 0.15
    assert (ratios.argmin(dim=-1) == 0).all()
    monkeypatch.setattr(model, "_under_every_code", lambda *_: ratios)
    shares = model.settle(make_clips(num_clips=8))["actions"].flatten().bincount(minlength=8) / 32
    assert (shares > 0).sum() >= 6 and shares.max() < 0.5


def test_the_encoder_learns_which_code_the_decoder_chooses(model, make_clips):
    clips = make_clips(num_clips=8)
    encoder = [*model.embed_motion.parameters(), *model.encoder.parameters()]
    optimizer = torch.optim.Adam([*encoder, *model.to_code.parameters()], lr=1e-3)
    chosen, surprise = [], []
    for _ in range(16):
        result = model.settle(clips)
        chosen.append(result["actions"])
        surprise.append((result["loss"] - result["reconstruction"]).item())
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
    assert torch.equal(chosen[0], chosen[-1]), "what the encoder learns changes no choice"
    assert surprise[-1] < 0.95 * surprise[0]


def test_settling_teaches_every_part(model, make_clips):
    model.train()
    for seed in range(4):
        model.settle(make_clips(num_clips=8, num_frames=6, seed=seed))["loss"].backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


def test_a_later_round_counts_small_changes_in_full(make_genie, make_clips):
    model = make_genie().latent_action_model.train()
    clips = make_clips(num_clips=4, num_frames=4)
    first, later = (model(clips, 0.2, refine=refine)["reconstruction"] for refine in (False, True))
    assert not torch.allclose(first, later)
    assert torch.allclose(
        model(clips, 1.0)["reconstruction"],
        model(clips, 1.0, refine=True)["reconstruction"],
        atol=1e-4,
    )


def test_a_world_that_changes_little_is_learnt_from_as_one_that_changes_much(
    make_genie, make_clips
):
    model = make_genie(stirred=False).latent_action_model.train()
    clips = make_clips(num_clips=4, num_frames=4)
    faint = 0.5 + 0.1 * (clips - 0.5)
    for refine in (False, True):
        much, little = (model(x, 0.2, refine=refine)["reconstruction"] for x in (clips, faint))
        assert torch.allclose(much, little, rtol=1e-3), "a new decoder repeats, in both alike"


def test_transitions_are_weighed_by_their_own_change():
    frames = torch.zeros(1, 3, 4, 4, 3)
    frames[0, 1] = 0.1  # a small change, then a large one
    frames[0, 2] = 0.9
    halfway = (frames[:, 1:] + frames[:, :-1]) / 2
    small, large = log_ratios(halfway, frames, still=1e-6)[0]
    assert small.item() == pytest.approx(math.log(1 / 4), rel=1e-3) == large.item()
    small, large = log_ratios(halfway, frames, still=1.0)[0]
    assert abs(small) < 0.1 * abs(large), "what changes less than the share counts less"
    assert log_ratios(frames[:, 1:], frames, still=1e-6).max() < -5
    assert log_ratios(frames[:, :-1], frames, still=0.2).abs().max() == 0
