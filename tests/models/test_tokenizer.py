"""The video tokenizer: causal both ways, decoding with a past, the loss against flicker, and its
errors.
"""

from dataclasses import replace

import pytest
import torch

from genie_mini.models.detail import Detail
from genie_mini.models.kv_cache import KVCache
from genie_mini.models.patches import fold, unfold
from genie_mini.models.tokenizer import flicker_penalty, still_patches


@pytest.fixture
def tokenizer(make_genie):
    return make_genie(num_blocks=2).tokenizer


def changed_from(clips, t):
    other = clips.clone()
    other[:, t:] = 1 - other[:, t:]
    return other


def frames_that_differ(a, b):
    return (a != b).flatten(2).any(dim=-1).any(dim=0)


@pytest.mark.parametrize("t", range(5))
def test_tokens_depend_on_no_later_frame(tokenizer, clips, t):
    different = frames_that_differ(
        tokenizer.encode(clips), tokenizer.encode(changed_from(clips, t))
    )
    assert not different[:t].any()
    assert different[t], "the frame that changed has other tokens"


@pytest.mark.parametrize("t", range(5))
def test_pictures_depend_on_no_later_token(tokenizer, clips, t):
    tokens = tokenizer.encode(clips)
    other = tokens.clone()
    other[:, t:] = (other[:, t:] + 1) % 32
    different = frames_that_differ(tokenizer.decode(tokens), tokenizer.decode(other))
    assert not different[:t].any()
    assert different[t:].all()


def test_an_earlier_token_reaches_later_pictures(tokenizer, clips):
    tokens = tokenizer.encode(clips)
    other = tokens.clone()
    other[:, 0] = (other[:, 0] + 1) % 32
    assert frames_that_differ(tokenizer.decode(tokens), tokenizer.decode(other)).all()


def test_shapes_types_and_ranges(tokenizer, clips):
    tokens = tokenizer.encode(clips)
    assert tokens.shape == (2, 5, 16) and tokens.dtype == torch.int64
    assert 0 <= tokens.min() and tokens.max() < 32
    frames = tokenizer.decode(torch.randint(32, (3, 4, 16)))
    assert frames.shape == (3, 4, 16, 16, 3) and frames.dtype == torch.float32
    assert 0 <= frames.min() and frames.max() <= 1


def test_encoding_changes_nothing_in_the_tokenizer(tokenizer, clips):
    before = {name: tensor.clone() for name, tensor in tokenizer.state_dict().items()}
    tokenizer.decode(tokenizer.encode(clips))
    assert all(torch.equal(tensor, before[name]) for name, tensor in tokenizer.state_dict().items())


def test_clips_are_encoded_independently_of_their_batch(tokenizer, clips):
    assert torch.equal(tokenizer.encode(clips)[1:], tokenizer.encode(clips[1:]))


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (2, 3)])
def test_decoding_with_a_past_equals_decoding_the_whole(tokenizer, clips, pieces):
    tokens = tokenizer.encode(clips)
    parts, past = [], None
    for piece in tokens.split(pieces, dim=1):
        frames, present = tokenizer.decode_next(piece, past)
        past = (KVCache.empty_like(present) if past is None else past).append(present, window=5)
        parts.append(frames)
    torch.testing.assert_close(torch.cat(parts, dim=1), tokenizer.decode(tokens), atol=1e-5, rtol=0)


def test_every_parameter_gets_a_gradient(tokenizer, clips):
    tokenizer.train()
    tokenizer(clips)["loss"].backward()
    missing = [
        name for name, p in tokenizer.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert not missing
    chosen = tokenizer(clips)["tokens"].unique()
    assert tokenizer.quantizer.codebook.grad[chosen].any(dim=-1).all(), "every chosen code"


def test_the_loss_reaches_the_encoder_through_the_quantiser(tokenizer, clips):
    tokenizer.train()
    tokenizer(clips)["reconstruction"].backward()
    assert tokenizer.embed_patch.weight.grad.any()


def test_training_reports_what_its_loss_is_made_of(tokenizer, clips):
    tokenizer.train()
    result = tokenizer(clips)
    error = (result["decoded"] - clips).square().mean()
    torch.testing.assert_close(result["reconstruction"], error)
    still = flicker_penalty(clips, result["continuous"], 4)
    torch.testing.assert_close(result["stability"], still)
    assert result["tokens"].shape == (2, 5, 16)
    assert all(
        result[name].shape == () for name in ("loss", "reconstruction", "quantizer", "stability")
    )


def test_a_few_steps_make_the_loss_smaller(tokenizer, clips, reconstructions):
    losses = reconstructions(tokenizer, clips)
    assert losses[-1] < 0.7 * losses[0]


def test_where_detail_is_kept_what_moves_is_learnt_better(make_genie):
    """A grey floor of one clip's own grain, over which a bright square moves."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.rand(4, 1, 16, 16, 3, generator=generator).expand(-1, 5, -1, -1, -1) * 0.6
    clips = clips.clone()
    for t in range(5):
        clips[:, t, 4:8, 2 * t : 2 * t + 4] = 1.0
    errors = []
    for keeps in (False, True):
        tokenizer = make_genie(num_blocks=1).tokenizer
        tokenizer.config = replace(tokenizer.config, keeps_detail=keeps)
        tokenizer.train()
        optimizer = torch.optim.Adam(tokenizer.parameters(), lr=5e-3)
        for _ in range(60):
            result = tokenizer(clips)
            optimizer.zero_grad()
            result["loss"].backward()
            optimizer.step()
        decoded = tokenizer.eval().decode(tokenizer.encode(clips))
        restored = Detail(clips[:, :1], decoded[:, :1]).put_back(decoded[:, 1:])
        errors.append((restored - clips[:, 1:]).square().mean().item())
    assert errors[1] < 0.5 * errors[0]


def test_still_patches_are_those_whose_pixels_are_the_same(clips):
    still = still_patches(clips, 4)
    assert still.shape == (2, 4, 16)
    assert still[:, :, 8:].all(), "the lower half stands still"
    assert not still[:, :, :8].any()
    other = clips.clone()
    other[0, 2, 15, 15, 1] += 0.01  # one channel of one pixel, there and back
    lower = still_patches(other, 4)[0, :, 8:]
    assert lower.sum() == 4 * 8 - 2 and not lower[1, -1] and not lower[2, -1]


def test_flicker_penalty_has_known_values(clips):
    continuous = torch.zeros(2, 5, 16, 8)
    assert flicker_penalty(clips, continuous, 4) == 0
    continuous[:, :, :8] = torch.randn(2, 5, 8, 8)
    assert flicker_penalty(clips, continuous, 4) == 0, "a patch that changed may have another code"
    # squared length 25, on the way there and back
    continuous[0, 3, 15, :2] = torch.tensor([3.0, 4.0])
    assert flicker_penalty(clips, continuous, 4).item() == pytest.approx(2 * 25 / (2 * 4 * 8))
    moving = torch.rand(2, 5, 16, 16, 3)
    assert flicker_penalty(moving, torch.randn(2, 5, 16, 8), 4) == 0, "nothing stands still"


def test_patches_are_cut_in_reading_order_and_put_together_again(clips):
    patches = unfold(clips, 4)
    assert patches.shape == (2, 5, 16, 48)
    torch.testing.assert_close(patches[1, 2, 6], clips[1, 2, 4:8, 8:12].flatten())
    torch.testing.assert_close(fold(patches, 4, (4, 4)), clips)
    wide = torch.rand(1, 2, 8, 12, 3)
    torch.testing.assert_close(fold(unfold(wide, 4), 4, (2, 3)), wide)


@pytest.mark.parametrize("call", ["encode", "forward"])
@pytest.mark.parametrize(
    "frames, problem",
    [
        (torch.zeros(1, 2, 16, 20, 3), "16, 16, 3"),
        (torch.zeros(1, 2, 3, 16, 16), "16, 16, 3"),
        (torch.zeros(2, 16, 16, 3), "batch, time"),
        (torch.zeros(1, 2, 16, 16, 3, dtype=torch.uint8), "uint8"),
    ],
)
def test_wrong_frames_are_refused(tokenizer, call, frames, problem):
    with pytest.raises(ValueError, match=problem):
        getattr(tokenizer, call)(frames)


@pytest.mark.parametrize("shape", [(1, 2, 15), (2, 16), (1, 2, 4, 4)])
def test_wrong_token_shapes_are_refused(tokenizer, shape):
    with pytest.raises(ValueError, match="tokens must be"):
        tokenizer.decode(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("token", [-1, 32])
def test_tokens_that_do_not_exist_are_refused(tokenizer, token):
    with pytest.raises(ValueError, match="tokens"):
        tokenizer.decode(torch.full((1, 2, 16), token))
