"""Who is who from frame to frame."""

from tposecli.tracking.options import TrackOptions
from tposecli.tracking.tracker import Tracker

__all__ = ["TrackOptions", "Tracker"]
