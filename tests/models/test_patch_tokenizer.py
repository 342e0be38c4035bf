"""The codebook of frequent patches: exact where it holds a patch, nearest where not, drawn as it is
until the decoder has learnt.
"""

from dataclasses import replace

import pytest
import torch

from genie_mini.genie import Genie
from genie_mini.models.kv_cache import KVCache
from genie_mini.models.patch_tokenizer import (
    PatchTokenizer,
    frequent_patches,
    nearest_patches,
    to_levels,
)
from genie_mini.models.patches import unfold


@pytest.fixture
def clips(make_clips):
    """Clips in 8-bit colours, as films are."""
    return (make_clips() * 255).round() / 255


@pytest.fixture
def tokenizer(make_genie, clips):
    """One that holds half the patches of the first clip."""
    config = make_genie(num_blocks=2).config.tokenizer
    torch.manual_seed(0)
    tokenizer = PatchTokenizer(replace(config, codebook="patches")).eval()
    tokenizer.patches.copy_(to_levels(clips[:1], 4).flatten(0, 2)[:32])
    return tokenizer


def test_a_patch_that_is_a_code_is_drawn_exactly(tokenizer, clips):
    tokens = tokenizer.encode(clips)
    assert tokens.shape == (2, 5, 16) and tokens.dtype == torch.int64
    # The still half's codes come twice, and the first of two equal ones is taken.
    assert tokens[0, 0].tolist() == list(range(16))
    assert tokens[0, 1].tolist() == [*range(16, 24), *range(8, 16)]
    assert torch.equal(tokenizer.decode(tokens)[0, :2], clips[0, :2])


def test_any_other_patch_gets_the_nearest_code(tokenizer, clips):
    tokens = tokenizer.encode(clips)
    patches, codes = unfold(clips, 4).double(), tokenizer.patches.double() / 255
    distances = (patches[..., None, :] - codes).square().sum(dim=-1)
    chosen = distances.gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(chosen, distances.min(dim=-1).values, atol=1e-12, rtol=0)


def test_one_level_of_one_colour_is_told_apart_in_every_batch():
    # In 8x8 patches near white, where rounding would hide it.
    generator = torch.Generator().manual_seed(0)
    codes = torch.full((200, 192), 255, dtype=torch.uint8)
    codes[torch.arange(192), torch.arange(192)] = 254
    codes[192:, :50] = torch.randint(256, (8, 50), generator=generator, dtype=torch.uint8)
    expected = torch.arange(200)
    assert torch.equal(nearest_patches(codes, codes), expected)
    assert torch.equal(nearest_patches(codes.repeat(30, 1), codes), expected.repeat(30))
    alone = [nearest_patches(code[None], codes) for code in codes]
    assert torch.equal(torch.cat(alone), expected)


def test_the_most_frequent_patches_come_first_and_none_twice():
    rows = torch.tensor([[1, 2], [3, 4], [3, 4], [0, 9], [5, 6], [3, 4], [0, 9]])
    levels = rows.to(torch.uint8).view(1, 1, 7, 2)
    assert frequent_patches(levels, 2).tolist() == [[3, 4], [0, 9]]
    assert frequent_patches(levels, 10).tolist()[:2] == [[3, 4], [0, 9]]
    assert sorted(frequent_patches(levels, 10).tolist()) == [[0, 9], [1, 2], [3, 4], [5, 6]]


def test_what_stands_still_has_the_same_tokens(tokenizer, clips):
    tokens = tokenizer.encode(clips)
    assert (tokens[:, 1:, 8:] == tokens[:, :-1, 8:]).all()


def test_the_decoder_learns_to_draw_what_the_patches_miss(tokenizer, clips, reconstructions):
    losses = reconstructions(tokenizer, clips)
    missed = (tokenizer.base(tokenizer.encode(clips)) - unfold(clips, 4)).square().mean()
    assert losses[0] == pytest.approx(missed.item(), rel=1e-5), "it begins with the patches"
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.grad.any() for parameter in tokenizer.parameters())


def test_decoding_with_a_past_equals_decoding_the_whole(tokenizer, clips):
    torch.nn.init.normal_(tokenizer.to_patch.weight, std=0.1)
    tokens = tokenizer.encode(clips)
    parts, past = [], None
    for piece in tokens.split((2, 3), dim=1):
        frames, present = tokenizer.decode_next(piece, past)
        past = (KVCache.empty_like(present) if past is None else past).append(present, window=5)
        parts.append(frames)
    torch.testing.assert_close(torch.cat(parts, dim=1), tokenizer.decode(tokens), atol=1e-5, rtol=0)


def test_patches_are_kept_with_the_weights(make_genie, tokenizer, tmp_path):
    config = make_genie(num_blocks=2).config
    genie = Genie(replace(config, tokenizer=tokenizer.config)).eval()
    genie.tokenizer.load_state_dict(tokenizer.state_dict())
    genie.save(tmp_path, torch.bfloat16)
    loaded = Genie.from_pretrained(tmp_path)
    assert loaded.config == genie.config
    assert torch.equal(loaded.tokenizer.patches, tokenizer.patches)


@pytest.mark.parametrize("frames", [torch.zeros(1, 2, 16, 20, 3), torch.zeros(2, 16, 16, 3)])
def test_wrong_frames_are_refused(tokenizer, frames):
    for call in (tokenizer.encode, tokenizer):
        with pytest.raises(ValueError, match="frames must be"):
            call(frames)
