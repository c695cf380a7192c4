"""Detection on every n-th frame, or where it is needed, and interpolation of the boxes in between.

Groups of frames are independent: the detector always runs on the first and the last frame of a group, so boxes never
depend on frames of another group, and a run can resume at any group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from tposecli.detection.base import Detector
from tposecli.detection.factory import AUTO
from tposecli.geometry.similarity import Indices, box_iou, matched
from tposecli.types import Boxes, Frame

MIN_IOU: Final = 0.2
"""Boxes with a smaller IoU are not the same person."""

LONGEST: Final = 8
"""``auto``: frames from one that the detector sees to the next, where everybody moves steadily."""
HALVED: Final = 4
"""``auto``: unsteady intervals longer than this are halved; in others the detector sees every frame."""
SURE_SCORE: Final = 0.5
STEADY_IOU: Final = 0.7
EXPECTED_IOU: Final = 0.8
APART_IOU: Final = 0.05
"""``auto``: people scored at least ``SURE_SCORE`` move steadily if no two of them overlap more than ``APART_IOU``, and
the boxes of each at both ends of an interval overlap by ``STEADY_IOU``, or a box is half-way where one is expected."""


def interval(every: int | str) -> int:
    """Return the longest interval between frames that the detector sees; ``auto`` stands for ``LONGEST``."""
    return LONGEST if isinstance(every, str) else every


def key_positions(count: int, every: int) -> list[int]:
    """Return the positions of the detector's frames in a group: 0, ``every``, 2 ``every``, ... and ``count`` - 1.

    Raises:
        ValueError: ``every`` is under 1 or ``count`` under 0.
    """
    if every < 1 or count < 0:
        raise ValueError(f"expected every >= 1 and count >= 0, got every {every} and count {count}")
    return sorted({*range(0, count, every), count - 1}) if count else []


def detect_group(detector: Detector, frames: Sequence[Frame], every: int | str) -> list[Boxes]:
    """Return the boxes of each frame of a group, with as few calls of the detector as possible.

    Where the frame size changes, the detector runs on the frames on both sides of the change too.

    Args:
        detector: Runs on every ``every``-th frame and the last; boxes in between are interpolated, by ``time_s`` where
            that increases, else by position.
        frames: A group, in order.
        every: Interval in frames; 1 for all frames, ``auto`` for ``LONGEST`` and, where somebody enters, leaves, meets
            others, moves abruptly or is found with a low score, more often.
    """
    if not frames:
        return []
    keys = {*key_positions(len(frames), interval(every))}
    for position, (first, second) in enumerate(pairwise(frames)):
        if first.size_wh != second.size_wh:
            keys |= {position, position + 1}
    found: dict[int, Boxes] = {}
    while keys:
        asked = sorted(keys)
        found |= zip(asked, detector.detect([frames[position] for position in asked]), strict=True)
        keys = _looked_at_more_closely(found) if every == AUTO else set()
    for start, end in pairwise(sorted(found)):
        fractions = _fractions([frame.time_s for frame in frames[start : end + 1]])
        for position in range(start + 1, end):
            found[position] = interpolate(found[start], found[end], fractions[position - start])
    return [found[position] for position in range(len(frames))]


def _looked_at_more_closely(found: dict[int, Boxes]) -> set[int]:
    """Return the frames that the detector must see besides, since people do not move steadily around them."""
    seen = sorted(found)
    steady = {(start, end) for start, end in pairwise(seen) if _are_same(found[start], found[end], STEADY_IOU)}
    for start, middle, end in zip(seen, seen[1:], seen[2:], strict=False):
        if middle - start == end - middle and _are_same(found[start], found[end], MIN_IOU):
            expected = interpolate(found[start], found[end], 0.5)
            if _are_same(expected, found[middle], EXPECTED_IOU):
                steady |= {(start, middle), (middle, end)}
    positions: set[int] = set()
    for start, end in pairwise(seen):
        if (start, end) not in steady:
            positions |= {(start + end) // 2} if end - start > HALVED else {*range(start + 1, end)}
    return positions


def _are_same(one: Boxes, other: Boxes, min_iou: float) -> bool:
    """Return whether the same people, each alone, are in both, with so much overlap."""
    if any(np.triu(box_iou(boxes.xyxy, boxes.xyxy), 1).max(initial=0) > APART_IOU for boxes in (one, other)):
        return False
    one, other = one[one.score >= SURE_SCORE], other[other.score >= SURE_SCORE]
    first, second = _matched(one, other)
    overlap = box_iou(one.xyxy, other.xyxy)[first, second]
    return len(first) == len(one) == len(other) and bool((overlap >= min_iou).all())


def interpolate(before: Boxes, after: Boxes, fraction: float) -> Boxes:
    """Return the boxes at ``fraction`` of the way from one frame to another, best first.

    Overlapping boxes of the two frames are matched such that the sum of their IoU is greatest; corners and score are
    interpolated linearly. An unmatched box stays unchanged in the half of the interval next to its own frame; the exact
    middle belongs to the earlier frame.

    Args:
        before: Boxes of the earlier frame.
        after: Boxes of the later frame.
        fraction: 0 for the earlier frame, 1 for the later.
    """
    first, second = _matched(before, after)
    start = np.column_stack([before.xyxy, before.score])[first].astype(np.float64)
    end = np.column_stack([after.xyxy, after.score])[second].astype(np.float64)
    moved = start + (end - start) * fraction
    alone, partners = (before, first) if fraction <= 0.5 else (after, second)
    rest = alone[np.setdiff1d(np.arange(len(alone)), partners)]
    score = np.concatenate([moved[:, 4].astype(np.float32), rest.score])
    together = Boxes(np.concatenate([moved[:, :4].astype(np.float32), rest.xyxy]), score)
    return together[np.argsort(-score, kind="stable")]


def _matched(before: Boxes, after: Boxes) -> tuple[Indices, Indices]:
    """Return the indices of matched boxes in the two frames, equally many."""
    iou = box_iou(before.xyxy, after.xyxy)
    iou = np.where(iou >= MIN_IOU, iou, 0)
    first, second = matched(iou)
    overlapping = iou[first, second] > 0
    return first[overlapping], second[overlapping]


def _fractions(times_s: Sequence[float]) -> list[float]:
    """Return the position of each frame between the first and the last, 0 to 1."""
    steps = np.asarray(times_s, np.float64)
    if not (np.isfinite(steps).all() and (np.diff(steps) > 0).all()):
        steps = np.arange(len(times_s), dtype=np.float64)
    fractions: list[float] = ((steps - steps[0]) / (steps[-1] - steps[0])).tolist()
    return fractions
