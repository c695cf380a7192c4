"""The video with the skeletons on it."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.video import VideoOut
from tposecli.types import Image, Result
from tposecli.utils.threads import BackgroundWorker
from tposecli.utils.timings import Timings


def painted(result: Result, draw: SkeletonDrawer, side_by_side: bool = False, keep: bool = True) -> Image:
    """(H, W or 2W, 3) uint8 RGB: the frame with its people, to the right of the frame itself if ``side_by_side``.

    Args:
        result: Frame and people.
        draw: Draws them.
        side_by_side: Both next to each other.
        keep: Leave the frame's own pixels as they are; off for the last one who needs them.
    """
    source = result.frame.image
    image = draw.draw(source.copy() if keep or side_by_side else source, result.final, result.frame.time_s)
    return np.hstack([source, image]) if side_by_side else image


LAG: Final = 4
"""Frames that wait for the encoder."""


class AnnotatedVideo:
    """Draws every frame's people on the frame's own pixels, and encodes a little behind: the last to see a frame."""

    def __init__(
        self, video: VideoOut, draw: SkeletonDrawer, side_by_side: bool = False, timings: Timings | None = None
    ) -> None:
        self.video = video
        self.draw = draw
        self.side_by_side = side_by_side
        self.timings = timings or Timings()
        self._encoding = BackgroundWorker(self._encode, LAG, "encode")

    def write(self, result: Result) -> None:
        """Draw one frame and have it encoded."""
        with self.timings.measure("draw"):
            image = painted(result, self.draw, self.side_by_side, keep=False)
        self._encoding.put((image, result.frame.pts, result.frame.time_s))

    def close(self, complete: bool) -> None:
        """End the video under its own name, or leave what there is as ``NAME.partial.EXT``."""
        try:
            self._encoding.finish()
        except BaseException:
            self.video.close(False)
            raise
        self.video.close(complete)

    def _encode(self, picture: tuple[Image, int | None, float]) -> None:
        with self.timings.measure("encode"):
            self.video.write(*picture)
