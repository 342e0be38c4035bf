"""What training computes and play computes too is the same, in each precision: tokens, latent
actions, positions, statistics.
"""

import pytest
import torch

from genie_mini import Genie
from genie_mini.device import choose_precision, computing_in
from genie_mini.training.config import TrainingConfig
from genie_mini.training.phases import build_phases

CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    tokenizer_steps=1, latent_action_steps=1, dynamics_steps=1, batch_size=2, num_frames=5
)

precisions = pytest.mark.parametrize("precision", ["fp32", "bf16"])


@precisions
def test_the_dynamics_model_learns_on_the_tokens_and_actions_of_play(
    make_genie, make_clips, monkeypatch, precision
):
    genie, frames, given = make_genie(num_codes=512, num_blocks=2), make_clips(num_clips=4), []
    monkeypatch.setattr(
        type(genie.dynamics),
        "loss",
        lambda model, *arguments: given.append(arguments) or _no_loss(),
    )
    world = build_phases(genie.train(), None, CONFIG)[1]
    with computing_in(choose_precision(precision, CPU), CPU):
        world.losses(frames, 1)  # the latent action model has finished
    genie.eval()
    tokens, actions, _ = given[0]
    assert torch.equal(tokens, genie.tokenizer.encode(frames))
    assert torch.equal(actions, genie.latent_action_model.infer(frames))


def _no_loss():
    return {"loss": torch.zeros(()), "accuracy": torch.zeros(())}


@precisions
def test_every_code_finds_itself(precision):
    """The shipped ones, some of which lie closer together than bf16 can tell."""
    quantizer = Genie.from_pretrained("mini").tokenizer.quantizer
    codes = torch.arange(quantizer.config.num_codes)
    with torch.no_grad(), computing_in(choose_precision(precision, CPU), CPU):
        assert torch.equal(quantizer.nearest(quantizer.lookup(codes)), codes)
        assert torch.equal(quantizer.assign(quantizer.lookup(codes), 0.1).argmax(dim=-1), codes)
        assert torch.equal(quantizer(quantizer.lookup(codes))[1], codes)


@precisions
def test_a_masked_frame_after_clean_ones_gets_the_logits_of_play(make_genie, precision):
    """Positions and past: frame t of a training clip, wholly masked, sees what `predict_logits`
    sees at play.
    """
    dynamics = make_genie(num_blocks=2).dynamics
    tokens, actions = torch.randint(32, (2, 5, 16)), torch.randint(8, (2, 4))
    masked = torch.full_like(tokens, dynamics.mask_token)
    with torch.no_grad(), computing_in(choose_precision(precision, CPU), CPU):
        _, clean = dynamics.transformer(dynamics.embed(tokens, actions))
        x, _ = dynamics.transformer(dynamics.embed(masked, actions), clean=clean)
        learnt = dynamics.to_logits(x).float()
    for t in range(1, 5):
        cache = dynamics.prefill(tokens[:, :t], actions[:, : t - 1])
        with torch.no_grad():
            played = dynamics.predict_logits(masked[:, t], actions[:, t - 1], cache)
        error = (learnt[:, t] - played).abs().max().item()
        assert error < (1e-4 if precision == "fp32" else 0.05 * played.abs().max().item())


@precisions
def test_the_statistics_that_play_normalises_with_are_those_of_the_batches(
    make_genie, make_clips, precision
):
    """With a momentum of one, what play keeps are the last batch's own mean and variance, whatever
    it was computed in.
    """
    for part in ("tokenizer", "latent_action_model"):
        model, frames = getattr(make_genie(), part).train(), make_clips(num_clips=8)
        model.code_norm.momentum = 1.0
        with computing_in(choose_precision(precision, CPU), CPU):
            trained = model(frames)["continuous"].detach().flatten(0, -2)
        model.eval()
        encode = model.encode_continuous
        with torch.no_grad():
            played = encode(frames).flatten(0, -2)
        alike = torch.nn.functional.cosine_similarity(trained, played)
        assert alike.mean() > (0.9999 if precision == "fp32" else 0.9)
