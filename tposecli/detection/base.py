"""What every person detector does, and the choices common to all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tposecli.geometry.similarity import box_nms
from tposecli.types import Boxes, Frame


class Detector(Protocol):
    """Finds the people of several frames at once."""

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """One :class:`Boxes` for each frame, in order, best box first; frames may differ in size.

        Frames rather than bare pictures, because boxes read from a file are found by the frame's name or index.
        """
        ...


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """Which boxes of a detector are kept.

    Attributes:
        min_score: Boxes of a lower score go.
        nms: Boxes whose IoU with a better one exceeds this go.
        max_people: At most so many a frame, best first; None for all.
        min_size: Boxes whose longer side is under so many pixels go.
    """

    min_score: float = 0.3
    nms: float = 0.6
    max_people: int | None = None
    min_size: float = 0.0

    def __call__(self, boxes: Boxes, size_wh: tuple[int, int]) -> Boxes:
        """Clip to the frame, threshold, suppress duplicates, cut to the best ``max_people``."""
        limit = np.array([*size_wh, *size_wh], np.float32) - 1
        boxes = Boxes(np.clip(boxes.xyxy, 0, limit), boxes.score)
        sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
        boxes = boxes[(boxes.score >= self.min_score) & (sides.max(axis=1) >= self.min_size) & (sides.min(axis=1) > 0)]
        return boxes[box_nms(boxes.xyxy, boxes.score, self.nms)[: self.max_people]]


def same_size_batches(frames: Sequence[Frame], largest: int) -> list[list[int]]:
    """Positions of the frames that a net takes at once: all of one size, at most ``largest``, sizes as they appear."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for position, frame in enumerate(frames):
        sizes.setdefault(frame.size_wh, []).append(position)
    return [same[start : start + largest] for same in sizes.values() for start in range(0, len(same), largest)]
