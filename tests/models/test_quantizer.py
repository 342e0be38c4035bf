"""The quantiser: nearest by cosine, gradients that pass, and codes that stay in use."""

import pytest
import torch
import torch.nn.functional as F

from genie_mini.models.quantizer import Quantizer, QuantizerConfig

CODES, WIDTH = 24, 8


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return Quantizer(QuantizerConfig(CODES, WIDTH, reset_after=3))


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(1)
    lengths = 10 ** torch.linspace(-2, 2, 200)
    return torch.randn(200, WIDTH, generator=generator) * lengths[:, None]


def test_nearest_is_the_most_similar_direction(quantizer, vectors):
    with torch.no_grad():  # lengths must not count, neither the codes' nor the vectors'
        quantizer.codebook.mul_(torch.linspace(0.1, 10, CODES)[:, None])
        similarity = F.cosine_similarity(vectors[:, None], quantizer.codebook[None], dim=-1)
    best = similarity.argmax(dim=-1)
    assert best.unique().numel() > CODES / 2
    assert torch.equal(quantizer.nearest(vectors), best)
    assert torch.equal(quantizer(vectors)[1], best)


def test_shapes_are_kept(quantizer, vectors):
    codes, indices, loss = quantizer(vectors.view(4, 5, 10, WIDTH))
    assert codes.shape == (4, 5, 10, WIDTH) and indices.shape == (4, 5, 10) and loss.shape == ()
    assert indices.dtype == torch.int64


def test_lookup_then_nearest_gives_the_number_back(quantizer):
    numbers = torch.arange(CODES)
    codes = quantizer.lookup(numbers)
    assert torch.equal(quantizer.nearest(codes), numbers)
    torch.testing.assert_close(codes.square().mean(dim=-1), torch.ones(CODES))


def test_forward_returns_the_codes_that_lookup_gives(quantizer, vectors):
    codes, indices, _ = quantizer(vectors)
    torch.testing.assert_close(codes, quantizer.lookup(indices))


def test_the_gradient_passes_as_if_nothing_had_been_rounded(quantizer, vectors):
    direction = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(2))
    rounded = vectors.clone().requires_grad_()
    (quantizer(rounded)[0] * direction).sum().backward()
    unrounded = vectors.clone().requires_grad_()
    (F.normalize(unrounded, dim=-1) * WIDTH**0.5 * direction).sum().backward()
    assert unrounded.grad.any()
    torch.testing.assert_close(rounded.grad, unrounded.grad)


def test_the_codes_get_no_gradient_from_what_is_made_of_them(quantizer, vectors):
    quantizer(vectors.requires_grad_())[0].square().sum().backward()
    assert vectors.grad is not None
    assert quantizer.codebook.grad is None or not quantizer.codebook.grad.any()


def test_the_loss_moves_codes_to_vectors_and_vectors_to_codes(quantizer, vectors):
    vectors = F.normalize(vectors, dim=-1).requires_grad_()
    _, indices, loss = quantizer(vectors)
    loss.backward()
    chosen = torch.bincount(indices, minlength=CODES) > 0
    assert torch.equal(quantizer.codebook.grad.any(dim=-1), chosen), (
        "the chosen codes get a gradient, the others none"
    )
    assert vectors.grad.any()
    with torch.no_grad():
        quantizer.codebook -= 1e-3 * quantizer.codebook.grad
        vectors -= 1e-3 * vectors.grad
    assert quantizer(vectors)[2] < loss


def test_the_loss_is_zero_where_vectors_are_codes(quantizer):
    codes = quantizer.lookup(torch.arange(CODES)).detach()
    assert quantizer(codes)[2].item() == pytest.approx(0, abs=1e-10)
    assert quantizer(-codes)[2].item() > 0.1


def directions(codebook):
    return F.normalize(codebook.detach(), dim=-1)


def test_dead_codes_move_to_the_data_and_live_ones_stay(quantizer, vectors):
    before = quantizer.codebook.detach().clone()
    indices = torch.arange(len(vectors)) % 4  # only four codes are chosen
    assert quantizer.reset_dead_codes(vectors, indices) == CODES - 4
    assert torch.equal(quantizer.codebook[:4], before[:4])
    similarity = directions(quantizer.codebook)[4:] @ F.normalize(vectors, dim=-1).t()
    torch.testing.assert_close(similarity.amax(dim=-1), torch.ones(CODES - 4))
    lengths = quantizer.codebook.detach().norm(dim=-1)
    # a code that was moved learns as fast as another
    torch.testing.assert_close(lengths, before.norm(dim=-1))


def test_a_code_is_dead_only_after_as_many_batches_as_agreed(quantizer, vectors):
    everyone = torch.arange(len(vectors)) % CODES
    assert quantizer.reset_dead_codes(vectors, everyone) == 0
    only_zero = torch.zeros_like(everyone)
    assert [quantizer.reset_dead_codes(vectors, only_zero) for _ in range(4)] == [
        0,
        0,
        CODES - 1,
        0,
    ]


def test_dead_codes_can_outnumber_the_vectors(quantizer, vectors):
    few = vectors[:2]
    assert quantizer.reset_dead_codes(few, torch.zeros(2, dtype=torch.int64)) == CODES - 1
    assert quantizer.codebook.isfinite().all()


def test_reset_codes_prefer_badly_described_vectors(quantizer):
    with torch.no_grad():
        quantizer.codebook[0] = torch.eye(WIDTH)[0]
    well, badly = torch.eye(WIDTH)[0], -torch.eye(WIDTH)[0]
    vectors = torch.stack([well] * 9 + [badly]).repeat(100, 1)
    quantizer.reset_dead_codes(vectors, torch.zeros(1000, dtype=torch.int64))
    moved_to_bad = (directions(quantizer.codebook)[1:] @ badly > 0.99).float().mean()
    assert moved_to_bad > 0.5, "one vector in ten is bad, and these draw most of the codes"


def test_the_age_of_codes_is_saved_with_the_weights(quantizer, vectors):
    quantizer.reset_dead_codes(vectors, torch.zeros(len(vectors), dtype=torch.int64))
    assert torch.equal(quantizer.state_dict()["age"], quantizer.age)


def groups(sizes):
    """Vectors about as many axes as there are sizes, so many each, and the number of each's."""
    generator = torch.Generator().manual_seed(3)
    kinds = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    vectors = torch.eye(WIDTH)[kinds] + 0.1 * torch.randn(len(kinds), WIDTH, generator=generator)
    return vectors * (0.1 + torch.rand(len(kinds), 1, generator=generator)), kinds


def test_codes_that_are_spread_part_what_shared_a_code():
    quantizer = Quantizer(QuantizerConfig(4, WIDTH))
    vectors, kinds = groups([90, 30, 10, 10])
    with torch.no_grad():  # one code has all, the others lie away from everything
        quantizer.codebook.copy_(-torch.ones(4, WIDTH))
        quantizer.codebook[2] = torch.ones(WIDTH)
    assert quantizer.nearest(vectors).unique().numel() == 1
    quantizer.spread(vectors.view(14, 10, WIDTH))
    codes = quantizer.nearest(vectors)
    assert [codes[kinds == kind].unique().numel() for kind in range(4)] == [1] * 4
    assert codes.unique().numel() == 4
    for kind, code in zip(kinds.unique(), codes[[0, 90, 120, 130]], strict=True):
        middle = F.normalize(F.normalize(vectors[kinds == kind], dim=-1).mean(dim=0), dim=0)
        torch.testing.assert_close(directions(quantizer.codebook)[code], middle)


def test_codes_are_spread_alike_from_one_seed_and_keep_their_length(quantizer, vectors):
    lengths, books = quantizer.codebook.detach().norm(dim=-1), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        quantizer.spread(vectors)
        books.append(quantizer.codebook.detach().clone())
    assert torch.equal(books[0], books[1]) and not torch.equal(books[0], books[2])
    torch.testing.assert_close(books[0].norm(dim=-1), lengths)


def test_more_codes_than_vectors_can_be_spread(quantizer, vectors):
    quantizer.spread(vectors[:2])
    assert quantizer.codebook.isfinite().all()
    similarity = directions(quantizer.codebook) @ F.normalize(vectors[:2], dim=-1).t()
    torch.testing.assert_close(similarity.amax(dim=-1), torch.ones(CODES))
