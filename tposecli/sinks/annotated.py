"""Videos annotated with skeletons."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.video import VideoOut
from tposecli.types import Image, Result
from tposecli.utils.threads import BackgroundWorker
from tposecli.utils.timings import Timings


def draw_result(result: Result, draw: SkeletonDrawer, side_by_side: bool = False, keep: bool = True) -> Image:
    """Return (H, W or 2W, 3) uint8 RGB: the frame with its people drawn.

    Args:
        result: Frame and people.
        draw: Draws the people.
        side_by_side: Put the original frame to the left of the drawn one.
        keep: Leave the frame's own pixels unchanged; False draws in place, for the last sink that uses the frame.
    """
    source = result.frame.image
    image = draw.draw(source.copy() if keep or side_by_side else source, result.final, result.frame.time_s)
    return np.hstack([source, image]) if side_by_side else image


MAX_WAITING: Final = 4
"""Frames that may wait for the encoder."""


class AnnotatedVideo:
    """Draws people in place on every frame, hence must be the last sink, and encodes in a background thread."""

    def __init__(
        self, video: VideoOut, draw: SkeletonDrawer, side_by_side: bool = False, timings: Timings | None = None
    ) -> None:
        self.video = video
        self.draw = draw
        self.side_by_side = side_by_side
        self.timings = timings or Timings()
        self._encoding = BackgroundWorker(self._encode, MAX_WAITING, "encode")

    def write(self, result: Result) -> None:
        """Draw one frame and queue it for encoding."""
        with self.timings.measure("draw"):
            image = draw_result(result, self.draw, self.side_by_side, keep=False)
        self._encoding.put((image, result.frame.pts, result.frame.time_s, result.frame.duration_s))

    def follow(self, result: Result) -> None:
        """Take a frame that is not written, for what later ones show of it, such as trails."""
        self.draw.follow(result.final, result.frame.time_s)

    def close(self, complete: bool) -> None:
        """Publish the video under its own name, or leave what was written as ``NAME.partial.EXT``."""
        try:
            self._encoding.finish()
        except BaseException:
            self.video.close(False)
            raise
        self.video.close(complete)

    def _encode(self, frame: tuple[Image, int | None, float, float | None]) -> None:
        with self.timings.measure("encode"):
            self.video.write(*frame)
