"""The networks: what Genie is made of, each from a paper's page, none knowing of the platformer."""

from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.latent_action import LatentActionConfig, LatentActionModel
from genie_mini.models.quantizer import Quantizer, QuantizerConfig
from genie_mini.models.st_transformer import STTransformer, STTransformerConfig
from genie_mini.models.tokenizer import TokenizerConfig, VideoTokenizer

__all__ = [
    "DynamicsConfig",
    "DynamicsModel",
    "LatentActionConfig",
    "LatentActionModel",
    "Quantizer",
    "QuantizerConfig",
    "STTransformer",
    "STTransformerConfig",
    "TokenizerConfig",
    "VideoTokenizer",
]
