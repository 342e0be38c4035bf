"""Exercises of the ST-transformer chapter."""

import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig


@exercise(
    lambda num_frames: torch.ones(num_frames, num_frames, dtype=torch.bool),
    lambda num_frames: torch.ones(num_frames, num_frames, dtype=torch.bool).triu(),
    lambda num_frames: torch.ones(num_frames, num_frames, dtype=torch.bool).tril(-1),
)
def check_causal_mask(answer) -> None:
    """A function of the number of frames that gives (frames, frames) bool: may the row's frame see
    the column's?
    """
    for num_frames in (1, 4, 7):
        mask = answer(num_frames)
        mask = torch.as_tensor(mask)
        expect(
            mask.shape == (num_frames, num_frames),
            f"for {num_frames} frames the mask has the shape {tuple(mask.shape)}",
        )
        for asking in range(num_frames):
            for seen in range(num_frames):
                expected = seen <= asking
                expect(
                    bool(mask[asking, seen]) == expected,
                    f"frame {asking} should {'' if expected else 'not '}see frame {seen}",
                )


@exercise(
    lambda frames, tokens: ((frames * tokens) ** 2, (frames * tokens) ** 2),
    lambda frames, tokens: ((frames * tokens) ** 2, tokens**2 + frames**2),
    lambda frames, tokens: (frames**2 + tokens**2, frames * tokens * (frames + tokens)),
)
def check_count_pairs(answer) -> None:
    """A function of T and N that gives the pairs of query and key in full and in space-time
    attention (without a mask).
    """
    for frames, tokens in ((1, 1), (2, 3), (16, 64), (16, 920)):
        given = answer(frames, tokens)
        full, split = given
        expect(
            full == (frames * tokens) ** 2,
            f"full attention over {frames} frames of {tokens} tokens has another number of pairs",
        )
        pairs = sum(tokens**2 for _ in range(frames)) + sum(frames**2 for _ in range(tokens))
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
