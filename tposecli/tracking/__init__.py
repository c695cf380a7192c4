"""Track people from frame to frame: assign each a persistent id."""

from tposecli.tracking.options import TrackOptions
from tposecli.tracking.tracker import Tracker

__all__ = ["TrackOptions", "Tracker"]
