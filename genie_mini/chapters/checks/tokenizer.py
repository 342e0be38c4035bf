"""Exercises of the video tokenizer's chapter."""

import math

import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.metrics import psnr
from genie_mini.models.patches import fold, unfold
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig, VideoTokenizer


def _cosine_with_long_codes(vectors, codes):
    return (vectors @ codes.T).argmax(dim=1)


@exercise(
    _cosine_with_long_codes,
    lambda vectors, codes: torch.cdist(vectors, codes).argmin(dim=1),
    lambda vectors, codes: (vectors @ torch.nn.functional.normalize(codes, dim=1).T).argmin(dim=1),
    lambda vectors, codes: (vectors @ torch.nn.functional.normalize(codes, dim=1).T).argmax(dim=0),
)
def check_nearest_by_cosine(answer) -> None:
    """A function of vectors (n, d) and codes (k, d) that gives the number of the code with the
    largest cosine, (n,).
    """
    generator = torch.Generator().manual_seed(0)
    for n, k, d in ((1, 3, 2), (40, 12, 2), (60, 30, 8)):
        vectors = torch.randn(n, d, generator=generator) * (
            0.1 + 3 * torch.rand(n, 1, generator=generator)
        )
        codes = torch.randn(k, d, generator=generator) * (
            0.1 + 3 * torch.rand(k, 1, generator=generator)
        )
        given = answer(vectors, codes)
        given = torch.as_tensor(given)
        expect(
            given.shape == (n,),
            f"for {n} vectors and {k} codes the shape is {tuple(given.shape)}, not ({n},)",
        )
        for index in range(n):
            cosines = [
                torch.nn.functional.cosine_similarity(vectors[index], code, dim=0).item()
                for code in codes
            ]
            best = max(range(k), key=cosines.__getitem__)
            chosen = int(given[index])
            expect(0 <= chosen < k, f"there is no code {chosen} among {k}")
            better = cosines[best] > cosines[chosen] + 1e-5
            expect(
                not better,
                f"code {best} has a larger cosine with vector {index} than code "
                f"{chosen}; lengths do not count",
            )


@exercise(
    lambda frames, rows, columns, num_codes: (
        frames * rows * columns * math.ceil(math.log2(num_codes))
    ),
    lambda frames, rows, columns, num_codes: math.ceil(
        rows * columns * math.ceil(math.log2(num_codes)) / 8
    ),
    lambda frames, rows, columns, num_codes: math.ceil(
        frames * rows * columns * math.log2(num_codes) / 8
    ),
    lambda frames, rows, columns, num_codes: (
        frames * rows * columns * math.ceil(math.log2(num_codes)) // 8
    ),
    lambda frames, rows, columns, num_codes: (
        frames * rows * columns * math.ceil(math.log2(num_codes) / 8)
    ),
)
def check_token_bytes(answer) -> None:
    """A function (frames, rows, columns, num_codes) that gives the bytes of a clip as tokens."""
    for frames, rows, columns, num_codes in (
        (1, 23, 40, 1024),
        (16, 8, 8, 1024),
        (16, 8, 8, 1000),
        (3, 1, 1, 512),
        (16, 9, 16, 2),
    ):
        given = answer(frames, rows, columns, num_codes)
        bits = (num_codes - 1).bit_length()
        expected = -(-frames * rows * columns * bits // 8)
        where = f"{frames} frames of {rows} x {columns} tokens out of {num_codes}"
        expect(
            given == expected,
            f"{where} take {expected} bytes at {bits} bits a token, not {given}",
        )


def _moving_psnr(frames, truth):
    moves = (truth[1:] != truth[:-1]).any(dim=-1)
    return psnr(frames[1:][moves], truth[1:][moves])


def _where_the_frames_move(frames, truth):
    moves = (frames[1:] != frames[:-1]).any(dim=-1)
    return psnr(frames[1:][moves], truth[1:][moves])


def _each_colour_alone(frames, truth):
    moves = truth[1:] != truth[:-1]
    return psnr(frames[1:][moves], truth[1:][moves])


def _in_all_colours(frames, truth):
    moves = (truth[1:] != truth[:-1]).all(dim=-1)
    return psnr(frames[1:][moves], truth[1:][moves])


def _rest_counts_as_right(frames, truth):
    moves = (truth[1:] != truth[:-1]).any(dim=-1, keepdim=True)
    return psnr(frames[1:] * moves, truth[1:] * moves)


@exercise(
    psnr,
    lambda frames, truth: psnr(frames[1:], truth[1:]),
    lambda frames, truth: (
        sum(_moving_psnr(frames[t : t + 2], truth[t : t + 2]) for t in range(len(truth) - 1))
        / (len(truth) - 1)
    ),
    lambda frames, truth: 2 * _moving_psnr(frames, truth),
    _where_the_frames_move,
    _each_colour_alone,
    _in_all_colours,
    _rest_counts_as_right,
)
def check_moving_psnr(answer) -> None:
    """A function (frames, truth), both (T, height, width, 3), that gives the PSNR in dB of the
    pixels that changed in any colour since the frame before.
    """
    generator = torch.Generator().manual_seed(0)
    for length, share in ((2, 0.5), (6, 0.05), (6, 0.4)):
        changes = torch.rand(length, 8, 8, 3, generator=generator) < share / 2
        changes[1:, 0, 0] = True
        truth = 0.9 ** changes.cumsum(dim=0)
        amount = 0.2 * torch.rand(length, 1, 1, 1, generator=generator)
        frames = truth + amount * torch.randn(truth.shape, generator=generator)
        given, expected = answer(frames, truth), _moving_psnr(frames, truth)
        pixels = int((truth[1:] != truth[:-1]).any(dim=-1).sum())
        expect(
            abs(float(given) - expected) < 0.01,
            f"in {length} frames {pixels} pixels change, and over these the PSNR is "
            f"{expected:.2f} dB, not {float(given):.2f}",
        )


@exercise(
    lambda vectors, codes: codes,
    lambda vectors, codes: vectors,
    lambda vectors, codes: codes + (vectors - codes).detach(),
    lambda vectors, codes: codes.detach(),
    lambda vectors, codes: vectors + codes - vectors.detach(),
    lambda vectors, codes: 2 * vectors + (codes - 2 * vectors).detach(),
)
def check_straight_through(answer) -> None:
    """A function (vectors, codes): the codes in value; the gradient goes to the vectors, and to the
    codes none.
    """
    generator = torch.Generator().manual_seed(0)
    for shape in ((5, 2), (2, 3, 4)):
        vectors, codes, slope = torch.randn(3, *shape, generator=generator)
        vectors, codes = vectors.requires_grad_(), codes.requires_grad_()
        given = answer(vectors, codes)
        expect(
            given.shape == codes.shape,
            f"the shape is {tuple(given.shape)}, not {tuple(codes.shape)}",
        )
        expect(
            torch.allclose(given, codes, atol=1e-5),
            "the value is not that of the codes",
        )
        expect(given.requires_grad, "no gradient flows through it")
        to_vectors, to_codes = torch.autograd.grad(
            (given * slope).sum(), (vectors, codes), allow_unused=True
        )
        expect(
            to_vectors is not None and to_vectors.any(),
            "no gradient reaches the vectors",
        )
        expect(
            torch.allclose(to_vectors, slope),
            "the gradient changes on its way to the vectors",
        )
        expect(to_codes is None or not to_codes.any(), "a gradient reaches the codes")


def _steps(frames, patch_size):
    """How far each colour of each patch moved since the frame before."""
    patches = unfold(frames, patch_size)
    return patches[:, 1:] - patches[:, :-1]


def _changed(tokens):
    return (tokens[:, 1:] != tokens[:, :-1]).float()


def _exactly_still(frames, tokens, patch_size, tolerance):
    rest = (_steps(frames, patch_size) == 0).all(dim=-1)
    return _changed(tokens)[rest].mean()


def _still_on_average(frames, tokens, patch_size, tolerance):
    rest = _steps(frames, patch_size).abs().mean(dim=-1) <= tolerance
    return _changed(tokens)[rest].mean()


def _no_brighter(frames, tokens, patch_size, tolerance):
    rest = _steps(frames, patch_size).amax(dim=-1) <= tolerance
    return _changed(tokens)[rest].mean()


def _over_all(frames, tokens, patch_size, tolerance):
    rest = _steps(frames, patch_size).abs().amax(dim=-1) <= tolerance
    return (_changed(tokens) * rest).mean()


def _where_pixels_move(frames, tokens, patch_size, tolerance):
    rest = _steps(frames, patch_size).abs().amax(dim=-1) <= tolerance
    return _changed(tokens)[~rest].mean()


@exercise(
    lambda frames, tokens, patch_size, tolerance: _changed(tokens).mean(),
    _exactly_still,
    _still_on_average,
    _no_brighter,
    _over_all,
    _where_pixels_move,
)
def check_flicker_share(answer) -> None:
    """A function (frames, tokens, patch_size, tolerance): of the tokens whose patch moved in no
    colour by more than the tolerance since the frame before, the share that changed.
    """
    generator = torch.Generator().manual_seed(0)
    for batch, num_frames, size, patch_size, tolerance in (
        (1, 2, 8, 4, 0.1),
        (2, 5, 16, 4, 0.02),
        (3, 4, 16, 8, 0.1),
    ):
        side = size // patch_size
        patches = torch.rand(
            batch, 1, side, side, patch_size, patch_size, 3, generator=generator
        ).repeat(1, num_frames, 1, 1, 1, 1, 1)
        patches += 0.9 * tolerance * torch.rand(patches.shape, generator=generator)  # noise
        moves = torch.rand(batch, num_frames, side, side, generator=generator) < 0.4
        # at least one patch that moves and one that rests
        moves[0, 1, 0] = torch.arange(side) % 2 == 0
        ways = 1 - 2 * torch.randint(2, moves.shape, generator=generator)
        # one pixel is enough, brighter or darker
        patches[..., 0, 0, 0] += 3 * tolerance * (ways * moves).cumsum(dim=1)
        frames = patches.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, num_frames, size, size, 3)
        tokens = torch.randint(3, (batch, num_frames, side * side), generator=generator)
        changed = resting = 0
        for clip in range(batch):
            for t in range(1, num_frames):
                for place in range(side * side):
                    if not moves[clip, t].flatten()[place]:
                        resting += 1
                        changed += int(tokens[clip, t, place] != tokens[clip, t - 1, place])
        given = answer(frames, tokens, patch_size, tolerance)
        right = abs(float(given) - changed / resting) < 1e-5
        expect(
            right,
            f"at a tolerance of {tolerance}, {resting} patches rest and {changed} of their "
            f"tokens change: {changed / resting:.3f}, not {float(given):.3f}",
        )


def _farthest(codebook, uses, vectors):
    return (
        torch.cdist(vectors, codebook)
        .amin(dim=1)
        .argsort(descending=True)[: int((uses == 0).sum())]
    )


def _in_place(codebook, uses, vectors):
    codebook[uses == 0] = vectors[_farthest(codebook, uses, vectors)]
    return codebook


def _any_vectors(codebook, uses, vectors):
    new = codebook.clone()
    new[uses == 0] = vectors[: int((uses == 0).sum())]
    return new


def _best_described(codebook, uses, vectors):
    new = codebook.clone()
    new[uses == 0] = vectors[
        torch.cdist(vectors, codebook).amin(dim=1).argsort()[: int((uses == 0).sum())]
    ]
    return new


def _one_for_all(codebook, uses, vectors):
    new = codebook.clone()
    new[uses == 0] = vectors[torch.cdist(vectors, codebook).amin(dim=1).argmax()]
    return new


def _rare_too(codebook, uses, vectors):
    new = codebook.clone()
    rare = (uses <= 1).nonzero().flatten()
    new[rare] = vectors[
        torch.cdist(vectors, codebook).amin(dim=1).argsort(descending=True)[: len(rare)]
    ]
    return new


@exercise(
    lambda codebook, uses, vectors: codebook.clone(),
    _in_place,
    _any_vectors,
    _best_described,
    _one_for_all,
    _rare_too,
)
def check_revive(answer) -> None:
    """A function (codebook, uses, vectors): unused codes take over the worst described vectors, in
    a new codebook.
    """
    generator = torch.Generator().manual_seed(0)
    for num_codes, width, dead in (
        (4, 2, [2]),
        (8, 2, [0, 5, 6]),
        (6, 5, []),
        (10, 5, [1, 2, 7, 9]),
    ):
        codebook = torch.randn(num_codes, width, generator=generator)
        vectors = 2 * torch.randn(30, width, generator=generator)
        uses = torch.randint(1, 4, (num_codes,), generator=generator)
        uses[torch.arange(num_codes) % 3 == 0] = 1  # used once is used
        uses[dead] = 0
        before = codebook.clone()
        given = answer(codebook, uses, vectors)
        expect(torch.equal(codebook, before), "the codebook that was given has changed")
        expect(
            given.shape == codebook.shape,
            f"the shape is {tuple(given.shape)}, not {tuple(codebook.shape)}",
        )
        distances = [
            min(((vector - code) ** 2).sum().item() for code in before) for vector in vectors
        ]
        worst = sorted(range(len(vectors)), key=lambda index: -distances[index])
        for code in range(num_codes):
            if code in dead:
                expected = vectors[worst[dead.index(code)]]
                expect(
                    torch.allclose(given[code], expected),
                    f"unused code {code} did not get the right vector",
                )
            else:
                expect(
                    torch.equal(given[code], before[code]),
                    f"code {code} is in use and should stay",
                )


_CASES = ("encoder, at play", "encoder, frame by frame", "encoder, in training")
_DECODER = "decoder, in training"


def _predicted(choose):
    """An answer that says True where `choose` of the case says so, a place in (clips, T, N)."""

    def predict(case, clip, frame, place, shape):
        changes = torch.zeros(shape, dtype=torch.bool)
        changes[choose(case, clip, frame, place)] = True
        return changes

    return predict


def _what_changes(tokenizer, case, touched, shape):
    """Run it, once as it was and once touched, and see what differs, (clips, T, N) bool."""
    tokenizer.train(case.endswith("in training"))
    patch_size, generator = tokenizer.config.patch_size, torch.Generator().manual_seed(1)
    tokens = torch.randint(8, shape, generator=generator)
    other = tokens.clone()
    other[touched] = (tokens[touched] + 1) % 8
    if case == _DECODER:
        before, after = (unfold(tokenizer.decode(which), patch_size) for which in (tokens, other))
        return (before != after).any(dim=-1)
    paints = torch.rand(8, 3 * patch_size**2, generator=generator)
    found = []
    for which in (tokens, other):
        frames = fold(paints[which], patch_size, tokenizer.config.grid)
        if case == "encoder, frame by frame":
            frames = frames.flatten(0, 1)[:, None]
        found.append(tokenizer.encode_continuous(frames).view(*shape, -1))
    return (found[0] != found[1]).any(dim=-1)


@exercise(
    _predicted(lambda case, clip, frame, place: (clip, frame, place)),
    _predicted(lambda case, clip, frame, place: (clip, slice(frame, None), place)),
    _predicted(lambda case, clip, frame, place: (clip, slice(frame, None))),
    _predicted(
        lambda case, clip, frame, place: (
            (clip, frame) if "by frame" in case else (clip, slice(frame, None))
        )
    ),
    _predicted(
        lambda case, clip, frame, place: (
            ...
            if "training" in case
            else (clip, frame)
            if "by frame" in case
            else (clip, slice(frame, None))
        )
    ),
    _predicted(
        lambda case, clip, frame, place: (
            (clip,)
            if case == "encoder, in training"
            else (clip, frame)
            if "by frame" in case
            else (clip, slice(frame, None))
        )
    ),
)
def check_what_can_change(answer) -> None:
    """A function (case, clip, frame, place, shape) that predicts which vectors of the encoder, or
    patches of the decoder, change when one patch, or token, is touched: a boolean (clips, T, N).
    """
    shape, touched = (3, 5, 16), (1, 2, 6)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        stack = STTransformerConfig(num_blocks=1, width=16, num_heads=2)
        config = TokenizerConfig((16, 16), 4, stack, stack, QuantizerConfig(8))
        tokenizer = VideoTokenizer(config)
        for case in (*_CASES, _DECODER):
            given = torch.as_tensor(answer(case, *touched, shape))
            expect(
                given.shape == shape and given.dtype == torch.bool,
                f"a prediction is a boolean tensor of the shape {shape}, not one of "
                f"{given.dtype} and {tuple(given.shape)}",
            )
            happened = _what_changes(tokenizer, case, touched, shape)
            missed, idle = (happened & ~given).sum(), (given & ~happened).sum()
            expect(
                not missed and not idle,
                f"{case}: of {happened.numel()} places {int(happened.sum())} change; you missed "
                f"{int(missed)} of them, and named {int(idle)} that stay",
            )
