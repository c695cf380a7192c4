"""Measure the person detector on annotated photos: average precision, and recall at a given precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tposecli.detection.base import Detector
from tposecli.geometry.similarity import box_iou
from tposecli.training.detector.dataset import Photo
from tposecli.types import Boxes, Float32, Frame

MATCH_IOU = 0.5
Scored = tuple[float, bool]
"""Score of a box, and whether it matches a person."""


@dataclass(frozen=True)
class DetectionMetrics:
    """The results of a detector on a set of photos, at IoU 0.5.

    Attributes:
        people: Number of people that count.
        average_precision: COCO's 101-point mean of the precision.
        recall: Highest recall at the requested precision.
        threshold: Lowest score at which that precision still holds; 1 if it is never reached.
    """

    people: int
    average_precision: float
    recall: float
    threshold: float


def evaluate(
    detector: Detector, photos: Sequence[Photo], min_area: float = 0.0, precision: float = 0.7
) -> DetectionMetrics:
    """Measure a detector that returns its boxes down to low scores.

    Args:
        detector: The detector.
        photos: Photos whose people of an annotated area above ``min_area`` count; boxes on smaller people and in crowds
            are ignored. People are matched by the boxes given in the annotation file.
        min_area: Square pixels.
        precision: The precision for which the recall is reported.
    """
    scored: list[Scored] = []
    people = 0
    for index, photo in enumerate(photos):
        boxes = detector.detect([Frame(photo.image, index)])[0]
        counted = np.array([person.area > min_area for person in photo.people], bool)
        truth = np.array([person.given for person in photo.people], np.float32).reshape(-1, 4)
        scored += match_boxes(boxes, truth[counted], truth[~counted], photo.crowds)
        people += int(counted.sum())
    return figures(scored, people, precision)


def match_boxes(boxes: Boxes, truth: Float32, ignored: Float32, crowds: Float32) -> list[Scored]:
    """Match the boxes of one photo, highest score first, to people who are each matched once.

    Args:
        boxes: Detected boxes.
        truth: (N, 4) boxes of people who count.
        ignored: (M, 4) boxes of people who do not; unmatched detections on them are left out.
        crowds: (C, 4) regions; unmatched detections inside them are left out.
    """
    free = np.ones(len(truth), bool)
    overlap = box_iou(boxes.xyxy, truth)
    skipped = box_iou(boxes.xyxy, ignored).max(axis=1, initial=0) >= MATCH_IOU
    skipped |= _share_inside(boxes.xyxy, crowds).max(axis=1, initial=0) >= MATCH_IOU
    scored: list[Scored] = []
    for row in np.argsort(-boxes.score, kind="stable"):
        candidates = np.where(free, overlap[row], 0)
        if len(truth) and candidates.max() >= MATCH_IOU:
            free[candidates.argmax()] = False
            scored.append((float(boxes.score[row]), True))
        elif not skipped[row]:
            scored.append((float(boxes.score[row]), False))
    return scored


def _share_inside(boxes: Float32, regions: Float32) -> Float32:
    """Return the (N, C) shares of each box's own area that lie in each region."""
    left_top = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    return np.asarray(np.clip(right_bottom - left_top, 0, None).prod(axis=2) / np.maximum(area, 1e-9), np.float32)


def figures(scored: Sequence[Scored], people: int, precision: float) -> DetectionMetrics:
    """Compute the metrics from the matched boxes of all photos."""
    ordered = sorted(scored, key=lambda item: -item[0])
    hits = np.cumsum([hit for _, hit in ordered], dtype=np.float64)
    exact = hits / np.arange(1, len(hits) + 1)
    recall = hits / max(people, 1)
    envelope = np.maximum.accumulate(exact[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    average = float(np.mean([envelope[i] if i < len(envelope) else 0.0 for i in at]))
    good = np.nonzero(exact >= precision)[0]
    last = int(good[-1]) if len(good) else -1
    reached = float(recall[last]) if last >= 0 else 0.0
    return DetectionMetrics(people, average, reached, ordered[last][0] if last >= 0 else 1.0)
