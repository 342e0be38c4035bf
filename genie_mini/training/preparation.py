"""How the networks of a run compute: translated, in less memory, divided among processes. None of
it changes what they learn.
"""

from genie_mini.files import PARTS
from genie_mini.genie import Genie
from genie_mini.models.st_transformer import STTransformer
from genie_mini.training.config import TrainingConfig
from genie_mini.training.distributed import divide


def prepare(genie: Genie, config: TrainingConfig) -> None:
    """Make the networks compute as the config says, in place."""
    lengths = config.tokenizer_steps, config.latent_action_steps, config.dynamics_steps
    for part, steps in zip(PARTS, lengths, strict=True):
        network = getattr(genie, part)
        network.num_parts = config.gradient_accumulation
        stacks = (module for module in network.modules() if isinstance(module, STTransformer))
        for stack in stacks:
            stack.recompute = config.activation_checkpointing
            for block in stack.blocks:
                if config.compile and steps:  # what learns: that is where the time goes
                    block.compile()
    divide(genie, config.shards)
