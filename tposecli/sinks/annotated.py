"""The video with the skeletons on it."""

from __future__ import annotations

from tposecli.draw import Draw
from tposecli.sinks.video import VideoSink
from tposecli.types import Result


class AnnotatedVideo:
    """Draws every frame's people on the frame's own pixels and encodes it: the last one to see a frame."""

    def __init__(self, video: VideoSink, draw: Draw) -> None:
        self.video = video
        self.draw = draw

    def write(self, result: Result) -> None:
        """Draw and encode one frame."""
        frame = result.frame
        self.video.write(self.draw.draw(frame.image, result.shown), frame.pts, frame.time_s)

    def close(self, complete: bool) -> None:
        """End the video under its own name, or leave what there is as ``NAME.partial.EXT``."""
        self.video.close(complete)
