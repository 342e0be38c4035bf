"""`genie-mini` as a process of its own whose training takes a second; `torchrun` starts it."""

import sys
from dataclasses import replace

import pytest
from conftest import make_training_small

from genie_mini.cli import main
from genie_mini.training.config import TRAINING_PRESETS

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        make_training_small(patch)
        pocket = replace(TRAINING_PRESETS["pocket"], batch_size=2, dynamics_batch_size=2)
        patch.setitem(TRAINING_PRESETS, "pocket", pocket)
        sys.exit(main())
