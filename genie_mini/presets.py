"""The sizes that have names: from one that trains in minutes to the paper's ten billion
parameters.
"""

from dataclasses import dataclass

from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.tokenizer import TokenizerConfig


@dataclass(frozen=True)
class GenieConfig:
    """Everything that fixes the shapes of a Genie's three networks."""

    tokenizer: TokenizerConfig
    latent_action: LatentActionConfig
    dynamics: DynamicsConfig


def _stack(num_blocks, width, num_heads, head_width=None):
    return {
        "num_blocks": num_blocks,
        "width": width,
        "num_heads": num_heads,
        "head_width": head_width,
    }


def pocket() -> GenieConfig:
    """32x32 pixels, patches of 4: trains in a quarter of an hour on two cores."""
    return GenieConfig(
        TokenizerConfig((32, 32), 4, _stack(2, 96, 3), _stack(3, 96, 3), QuantizerConfig(512)),
        LatentActionConfig((32, 32), 4, _stack(2, 64, 2), _stack(2, 64, 2)),
        DynamicsConfig((8, 8), 512, _stack(4, 96, 3)),
    )


def mini() -> GenieConfig:
    """64x64 pixels, patches of 8: the weights that ship with the package."""
    return GenieConfig(
        TokenizerConfig((64, 64), 8, _stack(2, 128, 4), _stack(3, 128, 4), QuantizerConfig(1024)),
        LatentActionConfig((64, 64), 8, _stack(2, 96, 3), _stack(2, 128, 4)),
        DynamicsConfig((8, 8), 1024, _stack(4, 128, 2)),
    )


def coinrun() -> GenieConfig:
    """The paper's CoinRun study (Appendix F, Tables 15 to 17): 64x64 pixels, patches of 4."""
    eight = _stack(8, 512, 8)
    return GenieConfig(
        TokenizerConfig((64, 64), 4, eight, eight, QuantizerConfig(1024)),
        LatentActionConfig((64, 64), 4, eight, eight, quantizer=QuantizerConfig(6)),
        DynamicsConfig((16, 16), 1024, _stack(12, 512, 8), num_actions=6),
    )


def paper() -> GenieConfig:
    """The full Genie (Tables 5, 7 and 12): 160x90 pixels; for torch's meta device.

    The paper says 10.7 billion parameters; counted like this they are 10.1 billion.

    90 is not a multiple of the patches of 4 and 16: heights are rounded up to 92 and 96, as padding
    would do. An ST block counts as two of the paper's layers, the reading under which the published
    totals come out.
    """
    return GenieConfig(
        TokenizerConfig(
            (92, 160), 4, _stack(6, 512, 8, 64), _stack(10, 1024, 16, 64), QuantizerConfig(1024)
        ),
        LatentActionConfig((96, 160), 16, _stack(10, 1024, 16, 64), _stack(10, 1024, 16, 64)),
        DynamicsConfig((23, 40), 1024, _stack(24, 5120, 36, 128)),
    )


PRESETS = {"pocket": pocket, "mini": mini, "coinrun": coinrun, "paper": paper}
