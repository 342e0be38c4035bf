"""Patches are tokens where what changes in films is among the patches of other films."""

import pytest
import torch
from short_runs import CONFIG

from genie_mini.training.config import PATCH_SHARES
from genie_mini.training.patch_choice import PatchView, choose_patches, count_patches, view_patches

WORLD = torch.randint(256, (40, 48), generator=torch.Generator().manual_seed(0)) / 255


class Films:
    """Pictures of 16 patches, the lower half of which stand still; of the others, new ones of every
    frame, so many are none of `WORLD`.
    """

    def __init__(self, strange):
        self.strange = strange

    def batch(self, num_clips, num_frames, key):
        generator = torch.Generator().manual_seed(hash(tuple(key)) % 2**31)
        # Two frames in a row share no patch.
        parity = torch.arange(num_frames)[:, None] % 2
        chosen = 2 * torch.randint(20, (num_clips, num_frames, 16), generator=generator) + parity
        patches = WORLD[chosen]
        patches[:, :, 8:] = patches[:, :1, 8:]
        noise = torch.rand(num_clips, num_frames, self.strange, 48, generator=generator)
        patches[:, :, : self.strange] = (noise * 255).round() / 255
        clips = patches.view(num_clips, num_frames, 4, 4, 4, 4, 3).transpose(3, 4)
        return clips.reshape(num_clips, num_frames, 16, 16, 3)


@pytest.mark.parametrize("strange", [0, 2, 4, 6])
def test_the_share_of_what_changes_that_was_seen_elsewhere_decides(strange):
    patches = count_patches(Films(0), 4, seed=0)
    view = view_patches(patches, Films(strange), 4, seed=0)
    assert view.changed == pytest.approx(1 - strange / 8)
    assert view.exact == pytest.approx(1 - strange / 16)
    assert view.fits == (strange < 4)
    assert (view.psnr > 100) == (strange == 0)


def test_a_world_in_which_nothing_changes_tells_nothing():
    class Still(Films):
        def batch(self, num_clips, num_frames, key):
            return super().batch(num_clips, 1, key).expand(-1, num_frames, -1, -1, -1)

    patches = count_patches(Still(0), 4, seed=0)
    view = view_patches(patches, Still(0), 4, seed=0)
    assert (view.changed, view.exact, view.fits) == (0, 1, False)


def test_the_figures_are_told_in_one_line():
    told = str(PatchView(changed=0.9375, exact=0.9742, psnr=43.51))
    assert "93.8%" in told and "97.4%" in told and "43.5 dB" in told and "\n" not in told


def test_the_codes_are_the_patches_of_the_films_and_the_networks_fit_them(make_genie):
    patches = count_patches(Films(0), 4, seed=0)
    genie, config = choose_patches(make_genie(), CONFIG, patches)
    assert genie.config.dynamics.num_codes == genie.config.tokenizer.quantizer.num_codes == 40
    assert {tuple(code) for code in genie.tokenizer.patches.tolist()} == {
        tuple(patch) for patch in (WORLD * 255).round().int().tolist()
    }
    assert config.shares == PATCH_SHARES
    again, _ = choose_patches(make_genie(), CONFIG, patches)
    for name, tensor in genie.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    frames = Films(0).batch(3, 2, [5])
    assert torch.equal(genie.tokenizer.decode(genie.tokenizer.encode(frames)), frames)


def test_a_world_of_too_many_patches_keeps_the_most_frequent():
    assert len(count_patches(Films(1), 4, seed=0)) == 2**11
