"""Who is who from frame to frame."""

from tposecli.track.options import TrackOptions
from tposecli.track.tracker import Tracker

__all__ = ["TrackOptions", "Tracker"]
