"""The sizes that have names: from one that trains in minutes to the paper's ten billion
parameters.
"""

import math
from dataclasses import dataclass, replace

from genie_mini.contract import check_config
from genie_mini.errors import GenieError
from genie_mini.models.dynamics import DynamicsConfig
from genie_mini.models.latent_action import LatentActionConfig
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.st_transformer import STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig
from genie_mini.world.simulation import FRAMES_PER_SECOND

FRAME_RATES = (0.1, 240.0)  # lowest and highest, frames a second


@dataclass(frozen=True)
class GenieConfig:
    """Everything that fixes the shapes of a Genie's three networks, which must fit each other.

    Their pictures are of one size; that of the latent action model may be rounded up to its
    patches, as the paper's is, which serves to count parameters but not to play.

    Attributes:
        tokenizer, latent_action, dynamics: of the networks.
        frames_per_second: of the films that they learn from, so also of play.
    """

    tokenizer: TokenizerConfig
    latent_action: LatentActionConfig
    dynamics: DynamicsConfig
    frames_per_second: float = float(FRAMES_PER_SECOND)

    def __post_init__(self) -> None:
        check_config(self, frames_per_second=FRAME_RATES)
        tokenizer, latent_action, dynamics = self.tokenizer, self.latent_action, self.dynamics
        patch = latent_action.patch_size
        padded = tuple(math.ceil(side / patch) * patch for side in tokenizer.image_size)
        for name, own, others in (
            ("dynamics.grid", dynamics.grid, tokenizer.grid),
            ("dynamics.num_codes", dynamics.num_codes, tokenizer.quantizer.num_codes),
            ("dynamics.num_actions", dynamics.num_actions, latent_action.quantizer.num_codes),
            ("latent_action.image_size", latent_action.image_size, padded),
        ):
            if own != others:
                raise GenieError(f"{name} is {own}, but the other networks need {others}")

    def with_patches(self, num_codes: int) -> "GenieConfig":
        """The same sizes with tokens that are so many patches (`models.patch_tokenizer`)."""
        quantizer = replace(self.tokenizer.quantizer, num_codes=num_codes)
        return replace(
            self,
            tokenizer=replace(self.tokenizer, quantizer=quantizer, codebook="patches"),
            dynamics=replace(self.dynamics, num_codes=num_codes),
        )


def pocket() -> GenieConfig:
    """32x32 pixels, patches of 4: trains in half an hour on a laptop."""
    return GenieConfig(
        tokenizer=TokenizerConfig(
            image_size=(32, 32),
            patch_size=4,
            encoder=STTransformerConfig(num_blocks=2, width=96, num_heads=3),
            decoder=STTransformerConfig(num_blocks=3, width=96, num_heads=3),
            quantizer=QuantizerConfig(num_codes=512),
            # Half an hour is too short for a codebook that holds the grain of every film.
            keeps_detail=True,
        ),
        latent_action=LatentActionConfig(
            image_size=(32, 32),
            patch_size=4,
            encoder=STTransformerConfig(num_blocks=2, width=64, num_heads=2),
            decoder=STTransformerConfig(num_blocks=2, width=64, num_heads=2),
            # In half an hour two frames alone do not show what pushes a thing.
            sees_surprise=True,
        ),
        dynamics=DynamicsConfig(
            grid=(8, 8),
            num_codes=512,
            transformer=STTransformerConfig(num_blocks=4, width=96, num_heads=3),
            # A trial run of its own guesses would take a third of the time of a short training.
            scheduled_sampling=0.0,
            # Half an hour leaves much in the tails: without them a frame is nearer to the truth.
            min_p=0.1,
        ),
    )


def mini() -> GenieConfig:
    """64x64 pixels, patches of 8. The weights that ship are of these sizes, but older: they neither
    keep detail nor see surprise, which their world does not need.
    """
    return GenieConfig(
        tokenizer=TokenizerConfig(
            image_size=(64, 64),
            patch_size=8,
            encoder=STTransformerConfig(num_blocks=2, width=128, num_heads=4),
            decoder=STTransformerConfig(num_blocks=3, width=128, num_heads=4),
            quantizer=QuantizerConfig(num_codes=1024),
            keeps_detail=True,
        ),
        latent_action=LatentActionConfig(
            image_size=(64, 64),
            patch_size=8,
            encoder=STTransformerConfig(num_blocks=2, width=96, num_heads=3),
            decoder=STTransformerConfig(num_blocks=2, width=128, num_heads=4),
            sees_surprise=True,
        ),
        dynamics=DynamicsConfig(
            grid=(8, 8),
            num_codes=1024,
            transformer=STTransformerConfig(num_blocks=4, width=128, num_heads=2),
            min_p=0.1,
        ),
    )


def coinrun() -> GenieConfig:
    """The paper's CoinRun study (Appendix F, Tables 15 to 17): 64x64 pixels, patches of 4."""
    eight = STTransformerConfig(num_blocks=8, width=512, num_heads=8)
    return GenieConfig(
        tokenizer=TokenizerConfig(
            image_size=(64, 64),
            patch_size=4,
            encoder=eight,
            decoder=eight,
            quantizer=QuantizerConfig(num_codes=1024),
        ),
        latent_action=LatentActionConfig(
            image_size=(64, 64),
            patch_size=4,
            encoder=eight,
            decoder=eight,
            quantizer=QuantizerConfig(num_codes=6),
        ),
        dynamics=DynamicsConfig(
            grid=(16, 16),
            num_codes=1024,
            transformer=STTransformerConfig(num_blocks=12, width=512, num_heads=8),
            num_actions=6,
        ),
    )


def paper() -> GenieConfig:
    """The full Genie (Tables 5, 7 and 12): 160x90 pixels; for torch's meta device.

    The paper says 10.7 billion parameters; counted like this they are 10.1 billion.

    90 is not a multiple of the patches of 4 and 16: heights are rounded up to 92 and 96, as padding
    would do. An ST block counts as two of the paper's layers, the reading under which the published
    totals come out.
    """
    latent_action = STTransformerConfig(num_blocks=10, width=1024, num_heads=16, head_width=64)
    return GenieConfig(
        tokenizer=TokenizerConfig(
            image_size=(92, 160),
            patch_size=4,
            encoder=STTransformerConfig(num_blocks=6, width=512, num_heads=8, head_width=64),
            decoder=STTransformerConfig(num_blocks=10, width=1024, num_heads=16, head_width=64),
            quantizer=QuantizerConfig(num_codes=1024),
        ),
        latent_action=LatentActionConfig(
            image_size=(96, 160), patch_size=16, encoder=latent_action, decoder=latent_action
        ),
        dynamics=DynamicsConfig(
            grid=(23, 40),
            num_codes=1024,
            transformer=STTransformerConfig(
                num_blocks=24, width=5120, num_heads=36, head_width=128
            ),
        ),
    )


PRESETS = {"pocket": pocket, "mini": mini, "coinrun": coinrun, "paper": paper}
