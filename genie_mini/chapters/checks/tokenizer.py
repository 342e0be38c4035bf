"""Exercises of the video tokenizer's chapter."""

import math

import torch

from genie_mini.chapters.checks import exercise, expect
from genie_mini.evaluation.metrics import psnr
from genie_mini.models.patches import unfold


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


@exercise(
    lambda frames, truth: (
        sum(psnr(one, other) for one, other in zip(frames, truth, strict=True)) / len(frames)
    ),
    lambda frames, truth: -20 * math.log10((frames - truth).square().mean()),
    lambda frames, truth: -10 * math.log((frames - truth).square().mean()),
    lambda frames, truth: -20 * math.log10((frames - truth).abs().mean()),
    lambda frames, truth: 10 * math.log10((frames - truth).square().mean()),
)
def check_psnr(answer) -> None:
    """A function (frames, truth) that gives the PSNR in dB of the mean squared error over
    everything.
    """
    generator = torch.Generator().manual_seed(0)
    exact = torch.zeros(2, 4, 4, 3)
    cases = [(exact + 0.1, exact, "frames that are off by 0.1 everywhere")]
    for noise in (0.02, 0.2):
        truth = torch.rand(3, 8, 8, 3, generator=generator)
        # another one in each frame
        amount = noise * torch.rand(3, 1, 1, 1, generator=generator)
        cases.append(
            (
                truth + amount * torch.randn(3, 8, 8, 3, generator=generator),
                truth,
                "noisy frames",
            )
        )
    for frames, truth, what in cases:
        given = answer(frames, truth)
        expected = psnr(frames, truth)
        expect(
            abs(float(given) - expected) < 0.01,
            f"{what} have {expected:.2f} dB, not {float(given):.2f}",
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


def _over_all(frames, tokens, patch_size):
    patches = unfold(frames, patch_size)
    rest = (patches[:, 1:] == patches[:, :-1]).all(dim=-1)
    return (rest & (tokens[:, 1:] != tokens[:, :-1])).float().mean()


def _where_pixels_move(frames, tokens, patch_size):
    patches = unfold(frames, patch_size)
    rest = (patches[:, 1:] == patches[:, :-1]).all(dim=-1)
    return (tokens[:, 1:] != tokens[:, :-1])[~rest].float().mean()


def _any_pixel_rests(frames, tokens, patch_size):
    patches = unfold(frames, patch_size)
    rest = (patches[:, 1:] == patches[:, :-1]).any(dim=-1)
    return (tokens[:, 1:] != tokens[:, :-1])[rest].float().mean()


@exercise(
    lambda frames, tokens, patch_size: (tokens[:, 1:] != tokens[:, :-1]).float().mean(),
    _over_all,
    _where_pixels_move,
    _any_pixel_rests,
)
def check_flicker_share(answer) -> None:
    """A function (frames, tokens, patch_size): of the tokens whose patch is as one frame before,
    the share that changed.
    """
    generator = torch.Generator().manual_seed(0)
    for batch, num_frames, size, patch_size in (
        (1, 2, 8, 4),
        (2, 5, 16, 4),
        (3, 4, 16, 8),
    ):
        side = size // patch_size
        patches = torch.rand(
            batch, 1, side, side, patch_size, patch_size, 3, generator=generator
        ).repeat(1, num_frames, 1, 1, 1, 1, 1)
        moves = torch.rand(batch, num_frames, side, side, generator=generator) < 0.4
        # at least one patch that moves and one that rests
        moves[0, 1, 0] = torch.arange(side) % 2 == 0
        patches[..., 0, 0, 0] += moves.cumsum(dim=1)  # one pixel is enough
        frames = patches.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, num_frames, size, size, 3)
        tokens = torch.randint(3, (batch, num_frames, side * side), generator=generator)
        changed = resting = 0
        for clip in range(batch):
            for t in range(1, num_frames):
                for place in range(side * side):
                    if not moves[clip, t].flatten()[place]:
                        resting += 1
                        changed += int(tokens[clip, t, place] != tokens[clip, t - 1, place])
        given = answer(frames, tokens, patch_size)
        right = abs(float(given) - changed / resting) < 1e-5
        expect(
            right,
            f"{resting} patches rest and {changed} of their tokens change: "
            f"{changed / resting:.3f}, not {float(given):.3f}",
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
