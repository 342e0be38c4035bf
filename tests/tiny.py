"""An untrained Genie, small enough for tests: 32x32 pixels, 16 tokens a frame."""

import torch

from genie_mini.genie import Genie
from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.patch_tokenizer import PatchTokenizer
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig
from genie_mini.presets import GenieConfig

# A name for each latent action of `tiny_genie`.
NAMES = ["left", "left", "right", "right", "jump", "jump", "nothing", "nothing"]


def tiny_genie(seed=0, codebook="learnt", min_p=0.0, keeps_detail=False):
    """A Genie whose weights are the seed's, and its patches if it has some; in evaluation mode."""
    torch.manual_seed(seed)
    stack = STTransformerConfig(num_blocks=1, width=16, num_heads=2)
    config = GenieConfig(
        TokenizerConfig(
            (32, 32),
            8,
            stack,
            stack,
            QuantizerConfig(32),
            codebook=codebook,
            keeps_detail=keeps_detail,
        ),
        LatentActionConfig((32, 32), 8, stack, stack),
        DynamicsConfig((4, 4), 32, stack, min_p=min_p),
    )
    genie = Genie(config).eval()
    if isinstance(genie.tokenizer, PatchTokenizer):
        genie.tokenizer.patches.random_(256)
        torch.nn.init.normal_(genie.tokenizer.to_patch.weight, std=0.1)
    return genie
