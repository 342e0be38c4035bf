"""Playing: a Gymnasium environment, a server for the browser, and the player of notebooks and
pages.
"""

from genie_mini.play.environment import GenieEnv
from genie_mini.play.prompts import as_prompt, level_picture

__all__ = ["GenieEnv", "as_prompt", "level_picture"]
