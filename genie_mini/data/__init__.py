"""Where clips to train on come from: the platformer, or one's own videos. Pictures only, never
actions.
"""

from genie_mini.data.platformer import PlatformerVideos
from genie_mini.data.video_files import VideoFolder
from genie_mini.data.videos import Videos

__all__ = ["PlatformerVideos", "VideoFolder", "Videos"]
