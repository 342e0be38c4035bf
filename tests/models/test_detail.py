"""Detail of a picture that tokens lose: where it is put back, and where not."""

import pytest
import torch

from genie_mini.models.detail import Detail


@pytest.fixture
def detail():
    """A picture whose tokens lose a tenth everywhere."""
    picture = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    return Detail(picture, picture - 0.1)


def test_a_frame_that_is_drawn_as_the_picture_was_becomes_the_picture(detail):
    torch.testing.assert_close(detail.put_back(detail.drawn), detail.picture, atol=1e-6, rtol=0)


def test_what_changed_by_far_more_than_was_lost_stays_as_it_is_drawn(detail):
    moved = detail.drawn.clone()
    moved[2:4, 2:4] = 1.0
    restored = detail.put_back(moved)
    assert (restored - moved)[2:4, 2:4].abs().max() < 0.02
    elsewhere = torch.ones(8, 8, dtype=torch.bool)
    elsewhere[2:4, 2:4] = False
    torch.testing.assert_close(restored[elsewhere], detail.picture[elsewhere])


def test_a_change_as_large_as_the_loss_takes_half_of_it_back(detail):
    restored = detail.put_back(detail.drawn + 0.1)
    torch.testing.assert_close(restored, detail.drawn + 0.15, atol=1e-6, rtol=0)


def test_of_a_picture_that_lost_nothing_nothing_is_put_back(detail):
    frames = torch.rand(5, 8, 8, 3)
    assert torch.equal(Detail(detail.picture, detail.picture).put_back(frames), frames)


def test_frames_stay_in_range():
    bright = Detail(torch.ones(2, 2, 3), torch.full((2, 2, 3), 0.5))
    assert bright.put_back(torch.full((2, 2, 3), 0.7)).max() <= 1
