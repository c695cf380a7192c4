"""Whose keypoints are looked for: the truth's own boxes, or those of a file of detections, as the authors take them.

After ``lib/dataset/coco.py`` of Simple Baselines (Xiao et al., ECCV 2018), HRNet and TransPose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.detection.factory import BUNDLED_WEIGHTS
from tposecli.evaluation.coco.job import DETECTIONS, DETECTOR, TRUTH, EvalJob
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, SetImage, numbers, read_json
from tposecli.evaluation.coco.problems import NO_SIZE, SENSELESS, UNKNOWN_DETECTION, Problems
from tposecli.geometry.crop import as_xyxy
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.hub.datasets.coco import DETECTION_PAGES, PUBLISHED, detections_file
from tposecli.types import Boxes, Frame
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import sha256_of

OWN: Final = ("auto", "bundled")
"""Names of the detector that comes with the program."""

Row = tuple[list[float], float]
"""Left, top, width, height, in pixels, and score."""


@dataclass(frozen=True, slots=True)
class BoxChoice:
    """Which boxes an evaluation uses.

    Attributes:
        kind: ``detections``, ``gt`` or ``detector``.
        label: For people: which boxes these are.
        by_image: By image id, in the order in which the authors' results name the images; None for ``detector``.
        rows: What was detected, for the boxes' own AP; None where that is not to be had from a file.
        sha256: Digest of the file of boxes, or of the bundled detector's weights; None where there is neither.
        published: AP of the boxes as published, if this is a published file.
    """

    kind: str
    label: str
    by_image: Mapping[int, Boxes] | None = None
    rows: Sequence[Record] | None = None
    sha256: str | None = None
    published: str | None = None


class KnownBoxes:
    """Looks boxes up by a frame's position in the set; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(self, images: Sequence[SetImage], by_image: Mapping[int, Boxes]) -> None:
        self._images = images
        self._by_image = by_image

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """The boxes of every frame, in the order of their source."""
        return [self._by_image[self._images[frame.index].id] for frame in frames]


def choose_boxes(job: EvalJob, truth: KeypointSet, problems: Problems) -> BoxChoice:
    """The boxes that ``--boxes`` stands for.

    Raises:
        UsageError: It does not say which, there is no such file, or the set has no truth to take boxes from.
        InputError: The file holds no detections.
    """
    if job.boxes == DETECTOR:
        own = job.detector.name in OWN
        weights = bundled_file(BUNDLED_WEIGHTS) if own else None
        label = f"of the detector {'bundled' if own else job.detector.name}"
        return BoxChoice(DETECTOR, label, sha256=None if weights is None else sha256_of(weights))
    if job.boxes == TRUTH:
        if not truth.has_truth:
            raise UsageError(f"{truth.title}: holds no annotations of people; take --boxes detections or detector")
        return BoxChoice(TRUTH, "ground truth", truth_boxes(truth))
    return _detected(_file(job), truth, problems)


def truth_boxes(truth: KeypointSet) -> dict[int, Boxes]:
    """The boxes of the annotated people, clipped to the image; crowds and people without any keypoint are left out."""
    found: dict[int, Boxes] = {}
    for image in truth.images:
        people = [
            person
            for person in truth.people.get(image.id, ())
            if not person["iscrowd"] and person["area"] > 0 and max(person["keypoints"], default=0) != 0
        ]
        boxes = [box for person in people if (box := _clipped(person["bbox"], image.size_wh)) is not None]
        if boxes:
            found[image.id] = boxes_of([(box, 1.0) for box in boxes])
    return found


def boxes_of(rows: Sequence[Row]) -> Boxes:
    """Boxes in the order of their source, in double precision, so that crops equal the authors'."""
    xyxy = as_xyxy([box for box, _ in rows])
    return Boxes(xyxy.astype(np.float32), np.array([score for _, score in rows], np.float32), xyxy)


def _clipped(box: Sequence[float], size_wh: tuple[float, float]) -> list[float] | None:
    """Left, top, width, height inside the image; None for a box that lies outside."""
    left, top = max(0, box[0]), max(0, box[1])
    right = min(size_wh[0] - 1, left + max(0, box[2] - 1))
    bottom = min(size_wh[1] - 1, top + max(0, box[3] - 1))
    if right < left or bottom < top:
        return None
    return [left, top, right - left + 1, bottom - top + 1]


def _file(job: EvalJob) -> Path:
    """The file of detections: named, or the published one in the authors' layout."""
    data = job.data
    if job.boxes not in (None, DETECTIONS):
        return Path(str(job.boxes)).expanduser()
    path = None if data.annotations is not None else detections_file(data.folder, data.coco or "")
    if path is None:
        raise UsageError(
            f"{data.annotations or data.coco}: no detections are published for this set; say with --boxes whose people "
            "to look for: gt, detector, or a file of detections"
        )
    if not path.is_file():
        raise UsageError(
            f"{path}: the file of published boxes is missing; {DETECTION_PAGES}. Put it there, or take --boxes gt, "
            "--boxes detector or --boxes FILE"
        )
    return path


def _detected(path: Path, truth: KeypointSet, problems: Problems) -> BoxChoice:
    """The detections in a file, images in the order in which the file first names them."""
    if not path.is_file():
        raise UsageError(f"--boxes {path}: no such file; known besides files: detections, gt, detector")
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of detections (image_id, category_id, bbox, score)")
    by_image: dict[int, list[Row]] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            row = _detection(entry)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(SENSELESS, f"detection {number} of {path.name}")
            continue
        if row is None:
            continue
        if entry["image_id"] not in truth.known:
            problems.add(UNKNOWN_DETECTION, f"image {entry['image_id']}")
        elif min(row[0][2:]) <= 0:
            problems.add(NO_SIZE, f"detection {number}, image {entry['image_id']}")
        else:
            by_image.setdefault(entry["image_id"], []).append(row)
    return _choice(path, {image: rows for image, rows in by_image.items() if image in truth.ids}, truth)


def _choice(path: Path, by_image: Mapping[int, Sequence[Row]], truth: KeypointSet) -> BoxChoice:
    boxes = {image: boxes_of(rows) for image, rows in by_image.items()}
    flat = [
        {"image_id": image, "category_id": truth.category, "bbox": box, "score": score}
        for image, rows in by_image.items()
        for box, score in rows
    ]
    published = next((ap for name, ap in PUBLISHED.values() if name == path.name), None)
    label = f"detected, {path.name}" + (f" (published AP {published})" if published else "")
    return BoxChoice(DETECTIONS, label, boxes, flat, sha256_of(path), published)


def _detection(entry: Any) -> Row | None:
    """The box and score of a detection; None if it is not of a person, or its score is below 0."""
    score, image = entry["score"], entry["image_id"]
    if isinstance(image, bool) or not isinstance(image, int):
        raise ValueError("image_id is no whole number")
    numbers([score], 1)
    box = numbers(entry["bbox"], 4)
    return (box, float(score)) if entry["category_id"] == 1 and score >= 0 else None
