"""The video with the skeletons on it, and what is hidden of it first."""

from __future__ import annotations

from tposecli.draw import Draw
from tposecli.sinks.video import VideoSink
from tposecli.types import Result
from tposecli.veil import blur_heads


class AnnotatedVideo:
    """Draws every frame's people on the frame's own pixels and encodes it: the last one to see a frame."""

    def __init__(self, video: VideoSink, draw: Draw) -> None:
        self.video = video
        self.draw = draw

    def write(self, result: Result) -> None:
        """Draw and encode one frame."""
        frame = result.frame
        self.video.write(self.draw.draw(frame.image, result.shown, frame.time_s), frame.pts, frame.time_s)

    def close(self, complete: bool) -> None:
        """End the video under its own name, or leave what there is as ``NAME.partial.EXT``."""
        self.video.close(complete)


class HiddenHeads:
    """Blurs every head on the frame's own pixels, for all sinks after it; people not found stay as they are."""

    def write(self, result: Result) -> None:
        """Blur the heads of one frame."""
        blur_heads(result.frame.image, result.shown)

    def close(self, complete: bool) -> None:
        """Nothing is kept."""
