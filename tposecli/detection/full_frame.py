"""No detector at all: everybody is taken to fill the frame. Only for those who ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tposecli.detection.base import BoxFilter
from tposecli.types import Boxes, Frame


class FullFrame:
    """One box of the whole frame, score 1; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(self, box_filter: BoxFilter | None = None) -> None:
        """Take the filter that every detector takes; frames under its smallest size have no box."""
        self._filter = box_filter or BoxFilter()

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """The whole of each frame, from the centre of its first pixel to that of its last."""
        return [self._whole(*frame.size_wh) for frame in frames]

    def _whole(self, width: int, height: int) -> Boxes:
        corners = np.array([[0, 0, width - 1, height - 1]], np.float32)
        return self._filter(Boxes(corners, np.ones(1, np.float32)), (width, height))
