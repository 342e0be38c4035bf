"""Tiny untrained models that the tests share: 16x16 pixels, 16 tokens a frame, 32 codes, one or two blocks."""

import pytest
import torch

from genie_mini.dynamics import DynamicsConfig
from genie_mini.genie import Genie
from genie_mini.latent_action import LatentActionConfig
from genie_mini.presets import GenieConfig
from genie_mini.quantizer import QuantizerConfig
from genie_mini.tokenizer import TokenizerConfig


def tiny_config(size=16, patch_size=4, num_codes=32, context=6, num_blocks=1):
    stack = {"num_blocks": num_blocks, "width": 16, "num_heads": 2}
    grid = (size // patch_size, size // patch_size)
    return GenieConfig(
        TokenizerConfig((size, size), patch_size, stack, stack, QuantizerConfig(num_codes, code_width=8)),
        LatentActionConfig(
            (size, size),
            patch_size,
            stack,
            stack,
            stem_channels=4,
            quantizer=QuantizerConfig(8, code_width=8),
        ),
        DynamicsConfig(grid, num_codes, stack, context=context),
    )


@pytest.fixture(scope="session")
def make_genie():
    """Build a Genie from a seed, in evaluation mode; stirred, no weight is zero, so that no path through it is dead."""

    def make(seed=0, stirred=True, **sizes):
        torch.manual_seed(seed)
        genie = Genie(tiny_config(**sizes))
        for parameter in genie.parameters():
            if stirred and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
        return genie.eval()

    return make


@pytest.fixture
def genie(make_genie):
    return make_genie()


@pytest.fixture(scope="session")
def make_clips():
    """Build clips (clips, frames, size, size, 3): coloured noise, of which the lower half stands still."""

    def make(num_clips=2, num_frames=5, size=16, seed=0):
        generator = torch.Generator().manual_seed(seed)
        clips = torch.rand(num_clips, num_frames, size, size, 3, generator=generator)
        clips[:, :, size // 2 :] = clips[:, :1, size // 2 :]
        return clips

    return make


@pytest.fixture
def clips(make_clips):
    return make_clips()
