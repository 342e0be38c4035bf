"""What the latent action model compares frames with, and what its decoder moves them by, when it is
told of no game.
"""

import pytest
import torch

from genie_mini.models.matching import CELLS, RADIUS, REACH, KernelWarp, Matching, cell_size
from genie_mini.models.patches import fold

SIZES = [((32, 32), 4), ((64, 64), 8), ((64, 96), 8)]
SIDE = 2 * RADIUS + 1


def pictures(image_size, seed=0):
    return torch.rand(2, *image_size, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("image_size, patch_size", SIZES)
@pytest.mark.parametrize("down, right", [(0, 0), (2, -1), (-3, 3)])
def test_the_best_fit_is_where_the_picture_came_from(image_size, patch_size, down, right):
    grid = tuple(side // patch_size for side in image_size)
    before = pictures(image_size)
    cell = cell_size(image_size)
    frames = before.roll((down * cell[0], right * cell[1]), dims=(1, 2))
    costs = Matching(image_size, grid, 8).costs(frames, before)[:, 0]
    best = costs.argmin(dim=1)[:, 4:-4, 4:-4]  # away from the edges, which came from outside
    assert (best == (RADIUS - down) * SIDE + RADIUS - right).all()
    assert costs.shape == (2, SIDE**2, 2 * grid[0], 2 * grid[1])


def test_coarser_scales_see_longer_ways():
    before = pictures((8, 8)).repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    frames = before.roll(8, dims=2)  # eight cells: two of the third scale
    costs = Matching((32, 32), (8, 8), 8).costs(frames, before)[:, 2]
    best = costs.argmin(dim=1)[:, 4:-4, 8:-4]
    assert (best == RADIUS * SIDE + RADIUS - 2).all()


def test_many_frames_are_compared_as_each_of_them_alone():
    frames, before = torch.rand(2, 40, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    matching = Matching((32, 32), (8, 8), 8)
    alone = [matching.costs(*pair) for pair in zip(frames.split(1), before.split(1), strict=True)]
    assert torch.equal(matching.costs(frames, before), torch.cat(alone))


def test_matching_forgets_how_much_all_places_differ():
    """A picture that gets brighter everywhere moves nowhere."""
    matching = Matching((32, 32), (8, 8), 8)
    frames = torch.full((1, 32, 32, 3), 0.5)
    assert torch.allclose(matching(frames, frames), matching(frames, frames + 0.2), atol=1e-5)


@pytest.mark.parametrize("image_size, patch_size", SIZES)
@pytest.mark.parametrize("down, right", [(0, 0), (3, -2), (-REACH, REACH)])
def test_a_kernel_of_one_place_moves_the_picture(image_size, patch_size, down, right):
    rows, columns = (side // patch_size for side in image_size)
    warp, frames = KernelWarp(5, image_size, patch_size), pictures(image_size)
    with torch.no_grad():
        warp.to_kernels.bias.fill_(0)
        warp.to_kernels.bias[[REACH - down, 3 * REACH + 1 - right]] = 100.0
        moved = warp(torch.zeros(2, rows * columns, 5), frames)
    moved = fold(moved[:, None], patch_size, (rows, columns))[:, 0]
    height, width = cell_size(image_size)
    expected = frames.roll((down * height, right * width), dims=(1, 2))
    top, left = REACH * height, REACH * width
    assert torch.allclose(
        moved[:, top:-top, left:-left], expected[:, top:-top, left:-left], atol=1e-6
    )
    assert 0 <= moved.min() and moved.max() <= 1, "and repeats the edges"


def test_each_patch_moves_by_its_own_kernels():
    warp, frames = KernelWarp(1, (32, 32), 4), pictures((32, 32))
    x = torch.zeros(2, 64, 1)
    before = warp(x, frames)
    with torch.no_grad():
        warp.to_kernels.weight.copy_(torch.randn(2 * (2 * REACH + 1), 1))
    x[0, 5] = 1
    changed = (warp(x, frames) != before).any(dim=-1)
    assert changed[0, 5] and changed.sum() == 1


def test_cells_are_about_a_32nd_of_the_side():
    assert cell_size((32, 32)) == (1, 1) and cell_size((16, 8)) == (1, 1)
    assert cell_size((64, 160)) == (2, 5) and cell_size((90, 90)) == (3, 3)
    assert CELLS == 32
