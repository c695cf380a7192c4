"""Detection on every n-th frame, and interpolation of the boxes in between.

Groups of frames are independent: the detector always runs on the first and the last frame of a group, so boxes never
depend on frames of another group, and a run can resume at any group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from tposecli.detection.base import Detector
from tposecli.geometry.similarity import Indices, box_iou, matched
from tposecli.types import Boxes, Frame

MIN_IOU: Final = 0.2
"""Boxes with a smaller IoU are not the same person."""


def key_positions(count: int, every: int) -> list[int]:
    """Return the positions of the detector's frames in a group: 0, ``every``, 2 ``every``, ... and ``count`` - 1.

    Raises:
        ValueError: ``every`` is under 1 or ``count`` under 0.
    """
    if every < 1 or count < 0:
        raise ValueError(f"expected every >= 1 and count >= 0, got every {every} and count {count}")
    return sorted({*range(0, count, every), count - 1}) if count else []


def detect_group(detector: Detector, frames: Sequence[Frame], every: int) -> list[Boxes]:
    """Return the boxes of each frame of a group, with a single call of the detector.

    Where the frame size changes, the detector runs on the frames on both sides of the change too.

    Args:
        detector: Runs on every ``every``-th frame and the last; boxes in between are interpolated, by ``time_s`` where
            that increases, else by position.
        frames: A group, in order.
        every: Interval in frames; 1 for all frames.
    """
    if not frames:
        return []
    keys = {*key_positions(len(frames), every)}
    for position, (first, second) in enumerate(pairwise(frames)):
        if first.size_wh != second.size_wh:
            keys |= {position, position + 1}
    seen = sorted(keys)
    found = dict(zip(seen, detector.detect([frames[position] for position in seen]), strict=True))
    for start, end in pairwise(seen):
        fractions = _fractions([frame.time_s for frame in frames[start : end + 1]])
        for position in range(start + 1, end):
            found[position] = interpolate(found[start], found[end], fractions[position - start])
    return [found[position] for position in range(len(frames))]


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
