"""People whose boxes the caller gives, or finds with a detector of his own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tposecli.types import Boxes, Frame
from tposecli.utils.protocols import require_methods

BoxesLike: TypeAlias = Boxes | ArrayLike
"""``Boxes``, or (N, 4) left, top, right, bottom in pixels, or (N, 5) with a score in 0..1 as the last column."""


def as_boxes(value: BoxesLike, title: str = "boxes") -> Boxes:
    """Return boxes from an array, checked.

    Args:
        value: ``Boxes``; (N, 4) or (4,) left, top, right, bottom in frame pixels; or (N, 5) with scores, which are 1
            otherwise.
        title: What they are, for messages.

    Raises:
        ValueError: The shape, the order of the corners or a number is wrong; the message says which row.
    """
    if isinstance(value, Boxes):
        return value
    try:
        table = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{title}: expected an array (N, 4) of left, top, right, bottom ({error})") from error
    if not table.size:
        return Boxes.empty()
    table = table[None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] not in (4, 5):
        raise ValueError(f"{title}: expected (N, 4) left, top, right, bottom, or (N, 5) with scores, got {table.shape}")
    corners, scores = table[:, :4], table[:, 4] if table.shape[1] == 5 else np.ones(len(table))
    for row, (box, score) in enumerate(zip(corners, scores, strict=True)):
        if not np.isfinite(box).all() or not 0 <= score <= 1:
            raise ValueError(f"{title}, row {row}: expected finite pixels and a score from 0 to 1, got {table[row]}")
        if box[2] <= box[0] or box[3] <= box[1]:
            raise ValueError(
                f"{title}, row {row}: expected left, top, right, bottom with right > left and bottom > top, got {box}; "
                "for x, y, width, height add x to the width and y to the height"
            )
    return Boxes(corners.astype(np.float32), scores.astype(np.float32), corners)


class GivenBoxes:
    """A detector that returns the boxes that it was given.

    Args:
        boxes: By the frame's index, as a sequence or a mapping; a mapping may have names of images as keys, too, and
            frames that it lacks show nobody.

    Raises:
        ValueError: Boxes are not as :func:`as_boxes` takes them.
    """

    def __init__(self, boxes: Sequence[BoxesLike] | Mapping[Any, BoxesLike]) -> None:
        items = boxes.items() if isinstance(boxes, Mapping) else enumerate(boxes)
        self._boxes = {key: as_boxes(value, f"boxes of frame {key!r}") for key, value in items}
        self._may_lack = isinstance(boxes, Mapping)

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of each frame.

        Raises:
            ValueError: There are none for a frame.
        """
        return [self._of(frame) for frame in frames]

    def _of(self, frame: Frame) -> Boxes:
        found = self._boxes.get(frame.index, self._boxes.get(frame.name))
        if found is None and not self._may_lack:
            raise ValueError(f"boxes: {len(self._boxes)} given, none for frame {frame.index}; give an array per frame")
        return Boxes.empty() if found is None else found


class CustomDetector:
    """A caller's own detector, whose answers are checked; it may return arrays as :func:`as_boxes` takes them.

    Raises:
        TypeError: It has no method ``detect``.
    """

    def __init__(self, detector: Any) -> None:
        require_methods("detector", detector, ("detect(frames)",), "tposecli.Detector")
        self._detector, self._name = detector, type(detector).__name__

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of each frame, best first.

        Raises:
            TypeError: The answer is no list.
            ValueError: The answer does not fit the frames, or boxes are wrong.
        """
        answer = self._detector.detect(frames)
        if not isinstance(answer, Sequence | np.ndarray):
            raise TypeError(f"{self._name}.detect: expected a list of boxes, got {type(answer).__name__}")
        if len(answer) != len(frames):
            raise ValueError(f"{self._name}.detect: expected boxes of {len(frames)} frames, got {len(answer)}")
        found = [
            as_boxes(boxes, f"{self._name}.detect, frame {frame.index}")
            for frame, boxes in zip(frames, answer, strict=True)
        ]
        return [boxes[np.argsort(-boxes.score, kind="stable")] for boxes in found]
