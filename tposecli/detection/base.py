"""The interface of person detectors, and the box filter common to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tposecli.geometry.similarity import box_nms
from tposecli.types import Boxes, Frame


class Detector(Protocol):
    """Finds the people in several frames at once."""

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the :class:`Boxes` of each frame, in order, best box first; frames may differ in size.

        It takes frames and not just images because boxes from a file are looked up by the frame's name or index.
        """
        ...


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """Which boxes of a detector are kept.

    Attributes:
        min_score: Boxes scoring below this are discarded.
        nms: IoU above which the lower-scoring box is discarded.
        max_people: Maximum number of boxes per frame, best first; None for all.
        min_size: Boxes whose longer side is shorter than this many pixels are discarded.
    """

    min_score: float = 0.3
    nms: float = 0.6
    max_people: int | None = None
    min_size: float = 0.0

    def __call__(self, boxes: Boxes, size_wh: tuple[int, int]) -> Boxes:
        """Clip to the frame, apply the thresholds, suppress duplicates, keep the best ``max_people``."""
        limit = np.array([*size_wh, *size_wh], np.float32) - 1
        boxes = Boxes(np.clip(boxes.xyxy, 0, limit), boxes.score)
        sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
        boxes = boxes[(boxes.score >= self.min_score) & (sides.max(axis=1) >= self.min_size) & (sides.min(axis=1) > 0)]
        return boxes[box_nms(boxes.xyxy, boxes.score, self.nms)[: self.max_people]]


def same_size_batches(frames: Sequence[Frame], max_batch: int) -> list[list[int]]:
    """Return the positions of frames that share a batch: all of one size, at most ``max_batch``."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for position, frame in enumerate(frames):
        sizes.setdefault(frame.size_wh, []).append(position)
    return [same[start : start + max_batch] for same in sizes.values() for start in range(0, len(same), max_batch)]
