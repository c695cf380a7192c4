"""Person boxes for an evaluation: from the ground truth, or from a file of detections, as the authors use them.

After ``lib/dataset/coco.py`` of Simple Baselines (Xiao et al., ECCV 2018), HRNet and TransPose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tposecli.detection.factory import AUTO_BUNDLED, BUNDLED_WEIGHTS, digest_of_argument
from tposecli.evaluation.coco.job import DETECTIONS, DETECTOR, TRUTH, EvalJob
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, SetImage, numbers, read_json
from tposecli.evaluation.coco.problems import INVALID, NO_SIZE, OTHER_DETECTION, UNKNOWN_DETECTION, Problems
from tposecli.geometry.crop import as_xyxy
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.hub.datasets.coco import DETECTION_PAGES, PUBLISHED, detections_file
from tposecli.types import Boxes, Frame
from tposecli.utils.coco_records import COCO_PERSON, Id, record_id, used_categories
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import sha256_of

Row = tuple[list[float], float]
"""Left, top, width, height in pixels, and score."""


@dataclass(frozen=True, slots=True)
class BoxChoice:
    """The boxes that an evaluation uses.

    Attributes:
        kind: ``detections``, ``gt`` or ``detector``.
        label: Description for reports.
        by_image: Boxes by image id, in the order in which the authors' results list the images; None for ``detector``.
        rows: The detections as COCO results, for the AP of the boxes; None unless read from a file.
        sha256: Digest of the box file, or of the bundled detector's weights; None if there is neither.
        published: Published AP of the boxes, if this is a published file.
    """

    kind: str
    label: str
    by_image: Mapping[int, Boxes] | None = None
    rows: Sequence[Record] | None = None
    sha256: str | None = None
    published: str | None = None


class KnownBoxes:
    """A detector that looks boxes up by image; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(self, images: Sequence[SetImage], by_image: Mapping[int, Boxes]) -> None:
        self._images = images
        self._by_image = by_image

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of each frame, in the order of their source."""
        return [self._by_image[self._images[frame.index].id] for frame in frames]


def choose_boxes(job: EvalJob, truth: KeypointSet, problems: Problems) -> BoxChoice:
    """Return the boxes that ``--boxes`` stands for.

    Raises:
        UsageError: The choice is missing, the file does not exist, or the set has no ground truth to take boxes from.
        InputError: The file does not contain detections.
    """
    if job.boxes == DETECTOR:
        name = job.detector.name
        weights = bundled_file(BUNDLED_WEIGHTS) if name == AUTO_BUNDLED else None
        digest = digest_of_argument(name) if weights is None else sha256_of(weights)
        return BoxChoice(DETECTOR, f"of the detector {name}", sha256=digest)
    if job.boxes == TRUTH:
        if not truth.has_truth:
            raise UsageError(f"{truth.title}: no annotations of people; use --boxes detections or --boxes detector")
        return BoxChoice(TRUTH, "ground truth", truth_boxes(truth))
    return _detected(_detections_path(job), truth, problems)


def truth_boxes(truth: KeypointSet) -> dict[int, Boxes]:
    """Return the annotated boxes, clipped to the image, without crowds and people who have no keypoints."""
    return {
        image: boxes_of([(box, 1.0) for _, box in people]) for image, people in boxed_people(truth).items() if people
    }


def boxed_people(truth: KeypointSet) -> dict[int, list[tuple[Record, list[float]]]]:
    """Return the people whose boxes :func:`truth_boxes` gives, each with its box (left, top, width, height)."""
    return {
        image.id: [
            (person, box)
            for person in truth.people.get(image.id, ())
            if not person["iscrowd"] and person["area"] > 0 and max(person["keypoints"], default=0) != 0
            if (box := _clipped(person["bbox"], image.size_wh)) is not None
        ]
        for image in truth.images
    }


def boxes_of(rows: Sequence[Row]) -> Boxes:
    """Return boxes in the order of their source, in double precision, so that crops equal the authors'."""
    xyxy = as_xyxy([box for box, _ in rows])
    return Boxes(xyxy.astype(np.float32), np.array([score for _, score in rows], np.float32), xyxy)


def _clipped(box: Sequence[float], size_wh: tuple[float, float]) -> list[float] | None:
    """Return left, top, width, height clipped to the image; None if the box lies outside."""
    left, top = max(0, box[0]), max(0, box[1])
    right = min(size_wh[0] - 1, left + max(0, box[2] - 1))
    bottom = min(size_wh[1] - 1, top + max(0, box[3] - 1))
    if right < left or bottom < top:
        return None
    return [left, top, right - left + 1, bottom - top + 1]


def _detections_path(job: EvalJob) -> Path:
    """Return the file of detections: the given one, or the published one in the authors' layout."""
    data = job.data
    if job.boxes not in (None, DETECTIONS):
        return Path(str(job.boxes)).expanduser()
    path = None if data.annotations is not None else detections_file(data.folder, data.coco or "")
    if path is None:
        raise UsageError(
            f"{data.annotations or data.coco}: no detections are published for this set; choose with --boxes whose "
            "keypoints to estimate: gt, detector, or a file of detections"
        )
    if not path.is_file():
        raise UsageError(
            f"{path}: the file of published boxes is missing; {DETECTION_PAGES}; put it there, or use --boxes gt, "
            "--boxes detector or --boxes FILE"
        )
    return path


def _detected(path: Path, truth: KeypointSet, problems: Problems) -> BoxChoice:
    """Read a file of detections; images are ordered by their first appearance in it."""
    if not path.is_file():
        raise UsageError(f"--boxes {path}: no such file; expected detections, gt, detector, or a file")
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of detections (image_id, category_id, bbox, score)")
    by_image: dict[int, list[Row]] = {}
    person = _categories(entries, truth)
    for number, entry in enumerate(entries, start=1):
        try:
            row, image = _detection(entry), truth.number_of(entry["image_id"])
            category = record_id(entry["category_id"], "category_id")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            problems.add(INVALID, f"detection {number} of {path.name}")
            continue
        if category not in person:
            problems.note(OTHER_DETECTION, f"detection {number}, {truth.person.describe(category)}")
        elif row is None:
            continue
        elif image is None:
            problems.add(UNKNOWN_DETECTION, f"image {entry['image_id']}")
        elif min(row[0][2:]) <= 0:
            problems.add(NO_SIZE, f"detection {number}, image {entry['image_id']}")
        else:
            by_image.setdefault(image, []).append(row)
    if entries and not by_image:
        reasons = "; ".join(problems.lines()) or f"none is of {truth.person.title}"
        raise InputError(
            f"{path}: none of its {len(entries)} detections belongs to the set ({reasons}); name those of this set"
        )
    return _choice(path, {image: rows for image, rows in by_image.items() if image in truth.ids}, truth)


def _categories(entries: Sequence[Any], truth: KeypointSet) -> frozenset[Id]:
    """Return the categories of the detections of people: the set's, else COCO's if the set has no other use for it."""
    used = used_categories(entries)
    if not used & truth.person.ids and COCO_PERSON in used and COCO_PERSON not in truth.person.names:
        return frozenset({COCO_PERSON})
    return truth.person.ids


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
    """Return the box and score of a detection; None if its score is negative."""
    score = entry["score"]
    numbers([score], 1)
    box = numbers(entry["bbox"], 4)
    return (box, float(score)) if score >= 0 else None
