"""From decoded frames to upright RGB with square pixels."""

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
"""A greater ratio of a pixel's sides is taken for a mistake of the file."""


def square_wh(frame: av.video.frame.VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels: the shorter side of the pixels is stretched, so that no line is lost.

    Args:
        frame: As decoded.
        aspect: Width of a pixel by its height; None or 0 where nobody says.
    """
    width, height = frame.width, frame.height
    if not aspect or not Fraction(1, MAX_STRETCH) <= aspect <= MAX_STRETCH:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


class Pixels:
    """Makes (H, W, 3) uint8 RGB of frames, all of one size: that of the first.

    Attributes:
        upright: How the first frame must be turned, and all are.
        size_wh: Width and height of what comes out.
        stretched: The pixels were not square.
        mapped: Some frame was of high dynamic range.
    """

    def __init__(self, first: av.video.frame.VideoFrame, square: tuple[int, int]) -> None:
        """Fix the size.

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
        """Whether a frame has the first one's size."""
        return (frame.width, frame.height) == self._coded_wh

    def of(self, frame: av.video.frame.VideoFrame) -> Image:
        """(H, W, 3) uint8 RGB, upright and contiguous, owned by nobody else."""
        if ToneMap.needed(frame):
            self.mapped = True
            transfer = int(frame.color_trc)
            if transfer not in self._tones:
                self._tones[transfer] = ToneMap(transfer)
            frame = self._tones[transfer].map(frame)
        width, height = self._square_wh
        rgb = self._reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        image = np.asarray(rgb.to_ndarray(), np.uint8)
        if rgb is frame:  # the decoder may still refer to these pixels
            image = image.copy()
        return self.upright.apply(image)
