"""Experiments on a trained Genie: what it remembers, for how long, at what price, and where it
looks.
"""

from genie_mini.studies.tables import EXPERIMENTS, run_experiment

__all__ = ["EXPERIMENTS", "run_experiment"]
