"""Conversion of decoded frames to upright RGB with square pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av.video.frame
import av.video.reformatter
import numpy as np

from tposecli.sources.container import DisplayTransform
from tposecli.sources.filters import ToneMap
from tposecli.types import Image

MAX_STRETCH: Final = 8
"""A larger pixel aspect ratio is treated as an error in the file."""


def square_wh(frame: av.video.frame.VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height with square pixels; one side is stretched, so that no pixel row or column is lost.

    Args:
        frame: The decoded frame.
        aspect: Width of a pixel divided by its height; None or 0 if unknown.
    """
    width, height = frame.width, frame.height
    if not aspect or not Fraction(1, MAX_STRETCH) <= aspect <= MAX_STRETCH:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


class FrameConverter:
    """Converts frames to (H, W, 3) uint8 RGB, all in the size of the first one.

    Attributes:
        upright: Rotation of the first frame, applied to all.
        size_wh: Width and height of the converted frames.
        stretched: Whether the pixels were not square.
        mapped: Whether a frame was HDR.
    """

    def __init__(self, first: av.video.frame.VideoFrame, square: tuple[int, int]) -> None:
        """Fix the output size.

        Args:
            first: The first frame.
            square: Its width and height with square pixels.
        """
        self._coded_wh = first.width, first.height
        self._square_wh = square
        self.upright = DisplayTransform.of(first)
        self.size_wh = self.upright.size_wh(*square)
        self.stretched = square != self._coded_wh
        self.mapped = False
        self._tones: dict[int, ToneMap] = {}
        self._reformatter = av.video.reformatter.VideoReformatter()

    def fits(self, frame: av.video.frame.VideoFrame) -> bool:
        """Return whether a frame has the size of the first one."""
        return (frame.width, frame.height) == self._coded_wh

    def to_rgb(self, frame: av.video.frame.VideoFrame) -> Image:
        """Return (H, W, 3) uint8 RGB pixels, upright, contiguous and not shared with the decoder."""
        if ToneMap.needed(frame):
            self.mapped = True
            transfer = int(frame.color_trc)
            if transfer not in self._tones:
                self._tones[transfer] = ToneMap(transfer)
            frame = self._tones[transfer].map(frame)
        width, height = self._square_wh
        rgb = self._reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        image = np.asarray(rgb.to_ndarray(), np.uint8)
        if rgb is frame:  # The decoder may still refer to these pixels.
            image = image.copy()
        return self.upright.apply(image)
