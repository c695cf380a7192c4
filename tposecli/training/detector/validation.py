"""How good the person detector is: average precision, and recall at a precision, on annotated photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tposecli.detection.base import Detector
from tposecli.geometry.similarity import box_iou
from tposecli.training.detector.dataset import Photo
from tposecli.types import Boxes, Float32, Frame

MATCH = 0.5
Scored = tuple[float, bool]
"""Score of a box, and whether it is a person."""


@dataclass(frozen=True)
class DetectionMetrics:
    """What a detector reaches on a set of photos, IoU 0.5.

    Attributes:
        people: How many people counted.
        average_precision: COCO's 101-point mean of the precision.
        recall: At the wanted precision.
        threshold: The score at which that precision still holds; 1 where it is never reached.
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
        photos: Their people with an annotated ``area`` above ``min_area`` (square pixels) count; boxes on smaller
            people and in crowds are ignored. In photos that are not completely annotated the file's own boxes count.
        precision: At which the recall is asked for.
    """
    scored: list[Scored] = []
    people = 0
    for index, photo in enumerate(photos):
        boxes = detector.detect([Frame(photo.image, index)])[0]
        counted = np.array([person.area > min_area for person in photo.people], bool)
        truth = np.array([person.given for person in photo.people], np.float32).reshape(-1, 4)
        scored += judge(boxes, truth[counted], truth[~counted], photo.crowds)
        people += int(counted.sum())
    return figures(scored, people, precision)


def judge(boxes: Boxes, truth: Float32, ignored: Float32, crowds: Float32) -> list[Scored]:
    """Which boxes of a photo hit a person of ``truth`` (each once, best box first); ignored ones are left out."""
    free = np.ones(len(truth), bool)
    overlap = box_iou(boxes.xyxy, truth)
    spared = box_iou(boxes.xyxy, ignored).max(axis=1, initial=0) >= MATCH
    spared |= _part_inside(boxes.xyxy, crowds).max(axis=1, initial=0) >= MATCH
    scored: list[Scored] = []
    for row in np.argsort(-boxes.score, kind="stable"):
        candidates = np.where(free, overlap[row], 0)
        if len(truth) and candidates.max() >= MATCH:
            free[candidates.argmax()] = False
            scored.append((float(boxes.score[row]), True))
        elif not spared[row]:
            scored.append((float(boxes.score[row]), False))
    return scored


def _part_inside(boxes: Float32, regions: Float32) -> Float32:
    """(N, C) part of each box's own area that lies in each region."""
    left_top = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    return np.asarray(np.clip(right_bottom - left_top, 0, None).prod(axis=2) / np.maximum(area, 1e-9), np.float32)


def figures(scored: Sequence[Scored], people: int, precision: float) -> DetectionMetrics:
    """Sum up the judged boxes of all photos."""
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


Evaluation = Callable[[Detector], DetectionMetrics]
