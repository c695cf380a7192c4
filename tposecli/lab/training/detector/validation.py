"""Measure the person detector on annotated photos: average precision, and recall at a given precision, by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.detection.base import Detector
from tposecli.geometry.similarity import box_iou
from tposecli.lab.training.detector.dataset import Photo
from tposecli.types import Boxes, Float32, Frame

MATCH_IOU: Final = 0.5
IOUS: Final = tuple(float(iou) for iou in np.linspace(0.5, 0.95, 10))
"""The thresholds over which COCO averages the precision."""
AREAS: Final[Mapping[str, tuple[float, float]]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's ranges of the annotated area, square pixels."""
PRECISION: Final = 0.8
Scored = tuple[float, bool]
"""Score of a box, and whether it matches a person."""


@dataclass(frozen=True)
class DetectionMetrics:
    """The results of a detector on the people of one range of areas.

    Attributes:
        people: Number of people that count.
        average_precision: Mean over the IoU thresholds 0.5 to 0.95 of COCO's 101-point mean of the precision.
        at_50: The same at IoU 0.5 only.
        recall: Highest recall at the requested precision, IoU 0.5.
        threshold: Lowest score at which that precision still holds; 1 if it is never reached.
    """

    people: int
    average_precision: float
    at_50: float
    recall: float
    threshold: float


def evaluate(detector: Detector, photos: Sequence[Photo], precision: float = PRECISION) -> dict[str, DetectionMetrics]:
    """Measure a detector that returns its boxes down to low scores, for each of ``AREAS``.

    Args:
        detector: The detector.
        photos: Photos with the people to find, who are matched by the boxes given in the annotation file. Boxes in
            crowds are ignored; and for a range of areas, those on people and of areas outside it.
        precision: The precision for which the recall is reported.
    """
    found = [detector.detect([Frame(photo.image, index)])[0] for index, photo in enumerate(photos)]
    return {name: _measured(found, photos, limits, precision) for name, limits in AREAS.items()}


def _measured(
    found: Sequence[Boxes], photos: Sequence[Photo], limits: tuple[float, float], precision: float
) -> DetectionMetrics:
    scored: dict[float, list[Scored]] = {iou: [] for iou in IOUS}
    people = 0
    for boxes, photo in zip(found, photos, strict=True):
        counted = np.array([limits[0] <= person.area <= limits[1] for person in photo.people], bool)
        truth = np.array([person.given for person in photo.people], np.float32).reshape(-1, 4)
        for iou, matches in scored.items():
            matches += match_boxes(boxes, truth[counted], truth[~counted], photo.crowds, iou, limits)
        people += int(counted.sum())
    precisions = [average_precision(matches, people) for matches in scored.values()]
    recall, threshold = recall_at(scored[MATCH_IOU], people, precision)
    return DetectionMetrics(people, float(np.mean(precisions)), precisions[0], recall, threshold)


def match_boxes(
    boxes: Boxes,
    truth: Float32,
    ignored: Float32,
    crowds: Float32,
    iou: float = MATCH_IOU,
    limits: tuple[float, float] = AREAS["all"],
) -> list[Scored]:
    """Match the boxes of one photo, highest score first, to people who are each matched once.

    Args:
        boxes: Detected boxes.
        truth: (N, 4) boxes of people who count.
        ignored: (M, 4) boxes of people who do not; unmatched detections on them are left out.
        crowds: (C, 4) regions; unmatched detections inside them are left out.
        iou: Lowest overlap of a match.
        limits: Unmatched detections of another area, in square pixels, are left out.
    """
    free = np.ones(len(truth), bool)
    overlap = box_iou(boxes.xyxy, truth)
    area = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(axis=1)
    skipped = box_iou(boxes.xyxy, ignored).max(axis=1, initial=0) >= iou
    skipped |= _share_inside(boxes.xyxy, crowds).max(axis=1, initial=0) >= iou
    skipped |= (area < limits[0]) | (area > limits[1])
    scored: list[Scored] = []
    for row in np.argsort(-boxes.score, kind="stable"):
        candidates = np.where(free, overlap[row], 0)
        if len(truth) and candidates.max() >= iou:
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


def average_precision(scored: Sequence[Scored], people: int) -> float:
    """Return COCO's 101-point mean of the precision, from the matched boxes of all photos."""
    recall, exact, _ = _curve(scored, people)
    envelope = np.maximum.accumulate(exact[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.mean([envelope[i] if i < len(envelope) else 0.0 for i in at]))


def recall_at(scored: Sequence[Scored], people: int, precision: float) -> tuple[float, float]:
    """Return the highest recall at a precision, and the lowest score at which it still holds; 0 and 1 if never."""
    recall, exact, scores = _curve(scored, people)
    good = np.flatnonzero(exact >= precision)
    return (float(recall[good[-1]]), float(scores[good[-1]])) if len(good) else (0.0, 1.0)


def _curve(scored: Sequence[Scored], people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return recall, precision and score after each box, best box first."""
    ordered = sorted(scored, key=lambda item: -item[0])
    hits = np.cumsum([hit for _, hit in ordered], dtype=np.float64)
    return hits / max(people, 1), hits / np.arange(1, len(hits) + 1), np.array([score for score, _ in ordered])
