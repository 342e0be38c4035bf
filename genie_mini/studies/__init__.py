"""Experiments on a trained Genie: what it remembers, for how long, at what price, and where it
looks. And one that trains latent action models, to see what each part of ours is worth.
"""

from genie_mini.studies.tables import EXPERIMENTS, run_experiment

__all__ = ["EXPERIMENTS", "run_experiment"]
