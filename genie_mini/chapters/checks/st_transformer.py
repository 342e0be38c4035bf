"""Exercises of the ST-transformer chapter."""

import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig


@exercise(
    lambda num_frames, window: torch.ones(num_frames, num_frames, dtype=torch.bool).tril(),
    lambda num_frames, window: torch.ones(num_frames, num_frames, dtype=torch.bool).triu(-window),
    lambda num_frames, window: (
        torch.ones(num_frames, num_frames, dtype=torch.bool).tril().triu(-window)
    ),
    lambda num_frames, window: (
        torch.ones(num_frames, num_frames, dtype=torch.bool).tril(-1).triu(-window)
    ),
)
def check_causal_mask(answer) -> None:
    """A function (num_frames, window) that gives (frames, frames) bool: may the row's frame see the
    column's? It sees the last `window` frames, itself among them.
    """
    for num_frames, window in ((1, 1), (4, 2), (7, 3), (5, 16), (4, 1)):
        mask = answer(num_frames, window)
        mask = torch.as_tensor(mask)
        expect(
            mask.shape == (num_frames, num_frames),
            f"for {num_frames} frames the mask has the shape {tuple(mask.shape)}",
        )
        for asking in range(num_frames):
            for seen in range(num_frames):
                expected = seen in range(asking - window + 1, asking + 1)
                expect(
                    bool(mask[asking, seen]) == expected,
                    f"with a window of {window}, frame {asking} should "
                    f"{'' if expected else 'not '}see frame {seen}",
                )


@exercise(
    lambda frames, tokens: ((frames * tokens) ** 2, frames * tokens * (frames + tokens)),
    lambda frames, tokens: (
        (frames * tokens) * (frames * tokens + 1) // 2,
        tokens * (tokens + 1) // 2 * frames + frames * (frames + 1) // 2 * tokens,
    ),
    lambda frames, tokens: (
        frames * (frames + 1) // 2 * tokens**2,
        frames * tokens * (frames + tokens) // 2,
    ),
)
def check_count_pairs(answer) -> None:
    """A function of T and N that gives the pairs of query and key in full and in space-time
    attention, where no frame sees a later one.
    """
    for frames, tokens in ((1, 1), (2, 3), (16, 64), (16, 920)):
        given = answer(frames, tokens)
        full, split = given
        expect(
            full == sum(tokens * t * tokens for t in range(1, frames + 1)),
            f"full attention over {frames} frames of {tokens} tokens has another number of pairs",
        )
        pairs = sum(tokens**2 + tokens * t for t in range(1, frames + 1))
        expect(
            split == pairs,
            f"space-time attention over {frames} frames of {tokens} tokens has "
            "another number of pairs",
        )


@exercise(
    lambda x: x.flatten(0, 1),
    lambda x: x.reshape(-1, x.shape[1], x.shape[3]),
    lambda x: x.transpose(1, 2),
)
def check_by_place(answer) -> None:
    """A function that turns (B, T, N, width) into (B * N, T, width): one sequence in time for each
    place of each clip.
    """
    x = torch.arange(2 * 3 * 5 * 4).reshape(2, 3, 5, 4)
    sequences = answer(x)
    expect(
        sequences.shape == (10, 3, 4),
        f"the shape is {tuple(sequences.shape)}, not (10, 3, 4)",
    )
    for clip in range(2):
        for place in range(5):
            for frame in range(3):
                same = torch.equal(sequences[clip * 5 + place, frame], x[clip, frame, place])
                expect(
                    same,
                    f"sequence {clip * 5 + place} should hold the tokens of clip "
                    f"{clip} at place {place}",
                )


@exercise(
    lambda query, key, angle: (query * key).sum(),
    lambda query, key, angle: query @ key * torch.cos(torch.as_tensor(angle)),
)
def check_relative_score(answer) -> None:
    """A function (query, key, angle) of 2-vectors: the score after the QUERY has been turned by the
    angle (radians).
    """
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        query, key = torch.randn(2, 2, generator=generator)
        before, after = torch.rand(2, generator=generator).mul(6).tolist()

        def turned(vector, angle):
            cosine, sine = (
                torch.cos(torch.tensor(angle)),
                torch.sin(torch.tensor(angle)),
            )
            return torch.stack(
                [
                    vector[0] * cosine - vector[1] * sine,
                    vector[0] * sine + vector[1] * cosine,
                ]
            )

        given = answer(query, key, after - before)
        expected = turned(query, after) @ turned(key, before)
        close = torch.allclose(torch.as_tensor(given).float(), expected, atol=1e-4)
        expect(close, "turning query and key by their own angles gives another score")


def _forget_the_past(transformer, frames):
    return torch.cat([transformer(frames[:, t : t + 1])[0] for t in range(frames.shape[1])], dim=1)


def _remember_only_the_last(transformer, frames):
    past, outputs = None, []
    for t in range(frames.shape[1]):
        output, past = transformer(frames[:, t : t + 1], past)
        outputs.append(output)
    return torch.cat(outputs, dim=1)


@exercise(_forget_the_past, _remember_only_the_last)
def check_frame_by_frame(answer) -> None:
    """A function (transformer, frames) that runs (B, T, N, width) one frame at a time and gives the
    same as all at once.
    """
    torch.manual_seed(0)
    config = STTransformerConfig(num_blocks=2, width=16, num_heads=2)
    transformer = STTransformer(config, grid=(2, 2)).eval()
    frames, passes = torch.randn(2, 6, 4, 16), []
    with torch.no_grad():
        expected = transformer(frames)[0]
        handle = transformer.register_forward_pre_hook(
            lambda module, inputs: passes.append(inputs[0].shape[1])
        )
        given = answer(transformer, frames)
        handle.remove()
    expect(
        passes == [1] * 6,
        f"the passes should be over one frame each, but were over {passes}",
    )
    expect(
        given.shape == expected.shape,
        f"the shape is {tuple(given.shape)}, not {tuple(expected.shape)}",
    )
    expect(
        torch.allclose(given, expected, atol=1e-5),
        "the result is not that of one pass over all frames",
    )


_CAUSAL = torch.ones(8, 8, dtype=torch.bool).tril()


def _with_hole(asking, seen):
    mask = _CAUSAL.clone()
    mask[asking, seen] = True
    return mask


def _leaks(mask, num_blocks):
    """In how many cases changing one frame changes the output of an earlier one."""
    torch.manual_seed(0)
    config = STTransformerConfig(num_blocks, width=16, num_heads=2)
    transformer = STTransformer(config, grid=(2, 2)).eval()
    video, other = torch.randn(2, 8, 4, 16)
    videos = video.repeat(9, 1, 1, 1)  # the last one stays as it is
    for frame in range(8):
        videos[frame, frame] = other[frame]
    with torch.no_grad():
        outputs = transformer(videos, attention_mask=mask[None])[0]
    moved = (outputs[:8] - outputs[8]).abs().amax(dim=(2, 3)) > 1e-6  # (touched, output)
    return int(moved.tril(-1).sum())


@exercise(
    _CAUSAL,
    torch.ones(8, 8, dtype=torch.bool),
    _with_hole(2, 3),
    _with_hole(0, 5),
    _with_hole(1, 3) | _with_hole(5, 6),
    _with_hole(5, 2),
)
def check_one_hole(answer) -> None:
    """A mask, (8, 8) bool, that is the causal one but for a single entry, and with which two blocks
    leak in five cases.
    """
    mask = torch.as_tensor(answer)
    expect(mask.shape == (8, 8), f"the shape is {tuple(mask.shape)}, not (8, 8)")
    mask = mask.bool()
    changed = int((mask != _CAUSAL).sum())
    expect(
        changed == 1,
        f"{changed} entries are not those of the causal mask, and it should be one",
    )
    one, two = (_leaks(mask, num_blocks) for num_blocks in (1, 2))
    expect(
        two == 5,
        f"cases in which your mask leaks: {one} through one block, {two} through two blocks, and "
        "those should be five",
    )
