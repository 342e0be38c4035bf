"""Scores of a Genie on levels it never saw. The simulator's true actions and positions are used
here, and score only.
"""

from genie_mini.evaluation.action_map import action_map
from genie_mini.evaluation.metrics import Score, psnr
from genie_mini.evaluation.scores import evaluate

__all__ = ["Score", "action_map", "evaluate", "psnr"]
