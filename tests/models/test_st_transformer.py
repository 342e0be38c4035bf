"""The ST-transformer: causal in time and not in space, with a cache that changes nothing."""

import pytest
import torch

from genie_mini.models.kv_cache import KVCache
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig

FRAMES, TOKENS, WIDTH = 5, 6, 16


def build(num_blocks=2, seed=0):
    torch.manual_seed(seed)
    return STTransformer(STTransformerConfig(num_blocks, WIDTH, 2), grid=(2, 3)).eval()


def video(seed=1, frames=FRAMES):
    return torch.randn(2, frames, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed))


def first_frames(past, count):
    """The past of the first `count` frames only."""
    return KVCache(
        [key[:, :, :count] for key in past.keys],
        [value[:, :, :count] for value in past.values],
        count,
    )


@torch.no_grad()
def run(model, x, past=None, clean=None):
    return model(x, past, clean)


def differs(a, b):
    """Per (time, token), whether any feature of any clip differs."""
    return (a != b).any(dim=-1).any(dim=0)


@pytest.mark.parametrize("changed", range(FRAMES))
def test_a_frame_changes_itself_and_the_future_and_nothing_before(changed):
    model, x = build(), video()
    other = x.clone()
    other[:, changed:] = video(seed=2)[:, changed:]
    different = differs(run(model, x)[0], run(model, other)[0])
    assert not different[:changed].any()
    assert different[changed:].all()


def test_an_early_frame_reaches_every_later_one():
    model, x = build(), video()
    other = x.clone()
    other[:, 0] = -other[:, 0]
    assert differs(run(model, x)[0], run(model, other)[0]).all()


@pytest.mark.parametrize("token", range(TOKENS))
def test_space_is_not_causal(token):
    model, x = build(num_blocks=1), video(frames=1)
    other = x.clone()
    other[:, :, token] = -other[:, :, token]
    assert differs(run(model, x)[0], run(model, other)[0]).all(), (
        "every token sees every other of its frame"
    )


def test_clips_of_a_batch_do_not_mix():
    model, x = build(), video()
    other = x.clone()
    other[1] = -other[1]
    assert torch.equal(run(model, x)[0][0], run(model, other)[0][0])


@pytest.mark.parametrize("pieces", [(1,) * FRAMES, (2, 3), (3, 1, 1)])
def test_cached_equals_uncached(pieces):
    model, x = build(), video()
    whole, _ = run(model, x)
    outputs, past = [], None
    for piece in x.split(pieces, dim=1):
        output, present = run(model, piece, past)
        past = (KVCache.empty_like(present) if past is None else past).append(
            present, window=FRAMES
        )
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, atol=1e-4, rtol=0)
    assert past.position == FRAMES
    assert past.keys[0].shape[2] == past.values[0].shape[2] == FRAMES


def test_only_differences_in_time_count():
    model, x = build(), video()
    outputs, present = run(model, x)
    for position in (1, 7, 1000):
        empty = KVCache.empty_like(present)
        empty.position = position
        shifted, after = run(model, x, empty)
        torch.testing.assert_close(shifted, outputs, atol=1e-4, rtol=0)
        assert after.position == position + FRAMES


def test_the_order_in_time_counts():
    model, x = build(num_blocks=1), video()
    swapped = x[:, [1, 0, 2, 3, 4]]
    assert not torch.allclose(run(model, x)[0][:, -1], run(model, swapped)[0][:, -1], atol=1e-5)


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [3, 1, 2, 0, 4, 5]])
def test_the_place_in_space_counts(order):
    # Neighbours in a row, then neighbours in a column: without positions the outputs would only
    # swap places.
    model, x = build(num_blocks=1), video(frames=1)
    swapped = run(model, x[:, :, order])[0][:, :, order]
    assert not torch.allclose(run(model, x)[0], swapped, atol=1e-5)


def test_space_and_time_do_not_share_their_positions():
    torch.manual_seed(0)
    model = STTransformer(STTransformerConfig(1, WIDTH, 2), grid=(4, 4)).eval()
    x = torch.randn(1, 16, 16, WIDTH)
    swapped = run(model, x.transpose(1, 2).contiguous())[0].transpose(1, 2)
    assert not torch.allclose(run(model, x)[0], swapped, atol=1e-3)


def test_the_sliding_window_drops_old_frames():
    model, x = build(num_blocks=1), video()

    def play(x, window):
        past = None
        for frame in x.split(1, dim=1):
            output, present = run(model, frame, past)
            past = (KVCache.empty_like(present) if past is None else past).append(present, window)
        return output, past

    other = x.clone()
    other[:, 0] = -other[:, 0]
    assert torch.equal(play(x, 3)[0], play(other, 3)[0]), (
        "frame 0 is outside a window of three before frame 4"
    )
    assert not torch.equal(play(x, 4)[0], play(other, 4)[0])
    past = play(x, 3)[1]
    assert past.keys[0].shape[2] == past.values[0].shape[2] == 3
    assert past.position == FRAMES, "time goes on when frames are dropped"


def test_extending_a_past_leaves_it_as_it_was():
    model, x = build(), video()
    _, past = run(model, x[:, :2])
    keys = [key.clone() for key in past.keys]
    _, present = run(model, x[:, 2:3], past)
    past.append(present, window=8)
    assert past.position == 2
    assert all(torch.equal(key, before) for key, before in zip(past.keys, keys, strict=True))


def test_the_clean_path_runs_every_frame_against_the_clean_past():
    model, clean_frames, masked = build(), video(), video(seed=3)
    _, clean = run(model, clean_frames)
    together, _ = run(model, masked, clean=clean)
    for t in range(FRAMES):
        alone, _ = run(model, masked[:, t : t + 1], first_frames(clean, t))
        torch.testing.assert_close(together[:, t : t + 1], alone, atol=1e-4, rtol=0)


def test_the_clean_path_never_shows_a_frame_its_own_answer():
    model, masked = build(), video(seed=3)
    _, clean = run(model, video())
    other = video()
    other[:, 2] = -other[:, 2]
    _, changed = run(model, other)
    different = differs(run(model, masked, clean=clean)[0], run(model, masked, clean=changed)[0])
    assert not different[:3].any()
    assert different[3:].all()


def test_every_parameter_gets_a_gradient():
    model = build()
    (model(video())[0] * video(seed=4)).sum().backward()
    missing = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert not missing


@pytest.mark.parametrize(
    "width, heads, problem", [(30, 4, "not a multiple of num_heads"), (12, 2, "multiple of 4")]
)
def test_impossible_widths_are_refused(width, heads, problem):
    with pytest.raises(ValueError, match=problem):
        STTransformerConfig(1, width, heads)


def test_head_width_may_differ_from_width_over_heads():
    model = STTransformer(STTransformerConfig(1, 10, 3, head_width=8), grid=(2, 2))
    assert model(torch.randn(1, 2, 4, 10))[0].shape == (1, 2, 4, 10)
    assert model.num_tokens == 4
