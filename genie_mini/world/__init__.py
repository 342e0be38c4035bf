"""The world: a side-scrolling platformer, generated from seeds, that stands in for the videos Genie
was trained on.
"""

from genie_mini.world.environment import Platformer
from genie_mini.world.recording import Truth, random_actions, record
from genie_mini.world.simulation import ACTIONS, FRAMES_PER_SECOND, HELD_OUT_SEED, Simulation

__all__ = [
    "ACTIONS",
    "FRAMES_PER_SECOND",
    "HELD_OUT_SEED",
    "Platformer",
    "Simulation",
    "Truth",
    "random_actions",
    "record",
]
