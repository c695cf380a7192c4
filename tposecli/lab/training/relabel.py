"""Improve annotations with another model's keypoints: add faces and missing joints, and correct swapped sides.

The other model is trusted only where it is likely to be right. Joints of the face are added near the annotated head;
sides of arms and of legs are swapped only for upright people, if the other model's joints are clearly closer to those
of the opposite side; annotated joints are never moved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import read_json
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.utils.coco_records import find_person_category, record_id, used_categories
from tposecli.utils.errors import InputError
from tposecli.utils.files import check_output, write_text

Json = dict[str, Any]
Float64 = NDArray[np.float64]

ARMS: Final = (5, 6, 7, 8, 9, 10)
LEGS: Final = (11, 12, 13, 14, 15, 16)
FACE: Final = (0, 1, 2, 3, 4)
MIN_SCORE: Final = 0.3
"""Minimum score of a predicted joint."""
MIN_SCORE_TO_ADD: Final = 0.5
"""Minimum score of a predicted joint of the body to add it where the annotation has none."""
MAX_FACE_DISTANCE: Final = 0.75
"""Maximum distance of a joint of the face from the midpoint of neck and head top, in head lengths."""
TORSO_RATIO: Final = 0.25
"""Length of the torso relative to the longer side of the person's box."""
MIN_IMPROVEMENT: Final = 0.25
"""Sides are swapped if that brings the joints closer by at least this much on average, in torso lengths."""
MIN_SHARED_JOINTS: Final = 3
"""Number of joints that annotation and prediction must share for a decision about the sides."""
MIN_HEAD_HEIGHT: Final = 0.15
"""A person is upright if the head is above the hips by more than this share of the box's longer side."""


def relabel_file(annotations: Path, predictions: Path, output: Path, overwrite: bool = False) -> Counter[str]:
    """Write an improved copy of an annotation file, and return counts of the changes by kind.

    Args:
        annotations: The annotation file.
        predictions: COCO results of the other model on the same images.
        output: The file to write.
        overwrite: Whether it may be replaced.

    Raises:
        UsageError: An input does not exist, or the output does.
        InputError: A file does not have the expected format.
    """
    check_output(output, overwrite)
    data, results = read_json(annotations), read_json(predictions)
    if not isinstance(results, list):
        raise InputError(f"{predictions}: expected COCO results, a list of people with 'image_id' and 'keypoints'")
    try:
        improved, counts = relabel_annotations(data, results)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{annotations}, {predictions}: expected COCO keypoint annotations and results of 17 keypoints ({error!r})"
        ) from error
    write_text(output, json.dumps(improved))
    return counts


def relabel_annotations(data: Json, predictions: Sequence[Json]) -> tuple[Json, Counter[str]]:
    """Return the improved content of an annotation file, and counts of the changes by kind.

    Args:
        data: Content of a COCO keypoint file with one annotated person per image, and the fields ``neck`` and
            ``head_top`` of Leeds Sports Poses.
        predictions: COCO results of the other model for the annotated person's box in the same images.
    """
    counts: Counter[str] = Counter()
    person = find_person_category(data.get("categories"), used_categories(data["annotations"]), keypoints=True)
    by_image = {record_id(entry["image_id"], "image_id"): entry for entry in predictions}
    annotations, matched = [], 0
    for annotation in data["annotations"]:
        prediction = by_image.get(record_id(annotation["image_id"], "image_id"))
        category = record_id(annotation.get("category_id", person.id), "category_id")
        if category not in person.ids:
            counts[f"left as they are: of another category, {person.describe(category)}"] += 1
        elif prediction is None:
            counts["left as they are: no result for their image"] += 1
        else:
            matched += 1
            annotations.append(_relabel_person(annotation, prediction, counts))
            continue
        annotations.append(annotation)
    if annotations and not matched:
        reasons = "; ".join(f"{count} {what}" for what, count in counts.items())
        raise ValueError(f"no result belongs to any of the {len(annotations)} annotations ({reasons})")
    return {**data, "annotations": annotations}, counts


def _relabel_person(annotation: Json, prediction: Json, counts: Counter[str]) -> Json:
    """Return the annotation with improved keypoints."""
    joints = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    other = np.array(prediction["keypoints"], np.float64).reshape(-1, 3)
    torso = TORSO_RATIO * max(annotation["bbox"][2:])
    head = _head(annotation)
    if head is not None and _upright(joints, head, annotation["bbox"]):
        for name, group in (("arms", ARMS), ("legs", LEGS)):
            if _sides_swapped(joints, other, group, torso):
                partners = [MIRROR[joint] for joint in group]
                joints[list(group)] = joints[partners]
                counts[f"sides of the {name} swapped"] += 1
        _add(joints, other, [*ARMS, *LEGS], MIN_SCORE_TO_ADD, counts)
    if head is not None:
        length = float(np.linalg.norm(head[1] - head[0]))
        near = np.linalg.norm(other[:, :2] - head.mean(axis=0), axis=1) <= MAX_FACE_DISTANCE * length
        _add(joints, other, [joint for joint in FACE if near[joint]], MIN_SCORE, counts)
    return {**annotation, "keypoints": joints.ravel().tolist(), "num_keypoints": int((joints[:, 2] > 0).sum())}


def _head(annotation: Json) -> Float64 | None:
    """Return (2, 2) neck and head top; None if either is unknown."""
    if not annotation.get("neck") or not annotation.get("head_top"):
        return None
    return np.array([annotation["neck"], annotation["head_top"]], np.float64)


def _upright(joints: Float64, head: Float64, box: Sequence[float]) -> bool:
    """Return whether the head is well above the hips."""
    hips = joints[[11, 12]]
    hips = hips[hips[:, 2] > 0]
    return bool(len(hips)) and bool(hips[:, 1].mean() - head[1, 1] > MIN_HEAD_HEIGHT * max(box[2:]))


def _sides_swapped(joints: Float64, other: Float64, group: Sequence[int], torso: float) -> bool:
    """Return whether the other model's joints are clearly closer to those of the opposite side."""
    mine, partners = list(group), [MIRROR[joint] for joint in group]
    known = (joints[mine, 2] > 0) & (joints[partners, 2] > 0) & (other[mine, 2] >= MIN_SCORE)
    if known.sum() < MIN_SHARED_JOINTS:
        return False
    kept, swapped = (
        np.minimum(np.linalg.norm(joints[order, :2] - other[mine, :2], axis=1) / torso, 1)[known].mean()
        for order in (mine, partners)
    )
    return bool(swapped < kept - MIN_IMPROVEMENT)


def _add(joints: Float64, other: Float64, wanted: Sequence[int], score: float, counts: Counter[str]) -> None:
    """Copy predicted joints that are not annotated, in place."""
    for joint in wanted:
        if joints[joint, 2] == 0 and other[joint, 2] >= score:
            joints[joint] = (*other[joint, :2], 1)
            counts[f"{KEYPOINTS[joint]} added"] += 1
