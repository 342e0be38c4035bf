"""Training in two phases, as in the paper: the tokenizer; then latent actions and dynamics
together.
"""

from genie_mini.training.config import TRAINING_PRESETS, TrainingConfig
from genie_mini.training.trainer import Interrupted, train

__all__ = ["Interrupted", "TRAINING_PRESETS", "TrainingConfig", "train"]
