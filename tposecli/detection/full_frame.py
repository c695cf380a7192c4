"""No detection: every frame has one person, who fills it. Only on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tposecli.detection.base import BoxFilter
from tposecli.types import Boxes, Frame


class FullFrame:
    """One box of the whole frame, score 1; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(self, box_filter: BoxFilter | None = None) -> None:
        """Store the filter; frames smaller than its minimum size have no box."""
        self._filter = box_filter or BoxFilter()

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the whole of each frame, from the centre of its first pixel to that of its last."""
        return [self._whole(*frame.size_wh) for frame in frames]

    def _whole(self, width: int, height: int) -> Boxes:
        corners = np.array([[0, 0, width - 1, height - 1]], np.float32)
        return self._filter(Boxes(corners, np.ones(1, np.float32)), (width, height))
