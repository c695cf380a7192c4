"""Detected people and their keypoints, each with the truth about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tposecli.evaluation.coco.keypoint_set import Float64, KeypointSet, Record
from tposecli.geometry.crop import as_xyxy
from tposecli.geometry.similarity import box_iou
from tposecli.hub.checkpoints.calibration import TORSO
from tposecli.types import Poses

MIN_IOU: Final = 0.5
IN_CROWD: Final = 0.5
"""Share of a box in a crowd's from which nobody can say whether it shows a person."""
SHOULDERS, HIPS = [5, 6], [11, 12]


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """D detections and J keypoints.

    Attributes:
        box_score: (D,) scores of the boxes.
        score: (D, K) scores of the keypoints.
        person: (D,) whether there is a person.
        image: (D,) position of the image in the set.
        joint_score: (J,) scores.
        right: (J,) whether the keypoint lies where the joint is.
        joint_image: (J,) position of the image.
    """

    box_score: Float64
    score: Float64
    person: NDArray[np.bool_]
    image: NDArray[np.intp]
    joint_score: Float64
    right: NDArray[np.bool_]
    joint_image: NDArray[np.intp]


def samples_of(truth: KeypointSet, found: Sequence[tuple[int, Poses]]) -> Samples:
    """Return the samples of the poses of a set, given by the images' positions in it."""
    parts = [_of_image(truth, index, poses) for index, poses in found if len(poses)]
    if not parts:
        none = np.zeros(0)
        empty = none.astype(np.bool_), none.astype(np.intp)
        return Samples(none, np.zeros((0, truth.keypoints)), *empty, none, *empty)
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in Samples.__slots__))


def _of_image(truth: KeypointSet, index: int, poses: Poses) -> Samples:
    """Return the samples of one image."""
    everybody = truth.people.get(truth.images[index].id, ())
    people = [person for person in everybody if not person["iscrowd"]]
    overlap = box_iou(poses.boxes.xyxy, as_xyxy([person["bbox"] for person in people]).astype(np.float32))
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= MIN_IOU
    pairs = list(zip(rows[good].tolist(), columns[good].tolist(), strict=True))
    matched = np.zeros(len(poses), np.bool_)
    matched[rows[good]] = True
    told = matched | ~_in_crowd(poses, [person for person in everybody if person["iscrowd"]])
    joints = [_joints(people[column], poses.xy[row], poses.score[row]) for row, column in pairs]
    joint_score = np.concatenate([np.zeros(0), *(score for score, _ in joints)])
    right = np.concatenate([np.zeros(0, np.bool_), *(hit for _, hit in joints)])
    return Samples(
        poses.boxes.score[told].astype(np.float64),
        poses.score[told].astype(np.float64),
        matched[told],
        np.full(told.sum(), index, np.intp),
        joint_score,
        right,
        np.full(len(right), index, np.intp),
    )


def _in_crowd(poses: Poses, crowds: Sequence[Record]) -> NDArray[np.bool_]:
    """Return the (N,) mask of boxes that lie mostly in the box of a crowd."""
    mask = np.zeros(len(poses), np.bool_)
    boxes = poses.boxes.xyxy.astype(np.float64)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9)
    for left, top, right, bottom in as_xyxy([crowd["bbox"] for crowd in crowds]):
        width = np.minimum(boxes[:, 2], right) - np.maximum(boxes[:, 0], left)
        height = np.minimum(boxes[:, 3], bottom) - np.maximum(boxes[:, 1], top)
        mask |= np.maximum(width, 0) * np.maximum(height, 0) > IN_CROWD * area
    return mask


def _joints(person: Record, xy: Any, score: Any) -> tuple[Float64, NDArray[np.bool_]]:
    """Return scores of the annotated joints of one person, and whether each is right; none without a torso."""
    true = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    labelled = true[:, 2] > 0
    if len(true) <= max(HIPS) or not labelled[SHOULDERS + HIPS].all():
        return np.zeros(0), np.zeros(0, np.bool_)
    torso = np.linalg.norm(true[SHOULDERS, :2].mean(axis=0) - true[HIPS, :2].mean(axis=0))
    near = np.linalg.norm(xy - true[:, :2], axis=1) <= TORSO * torso
    return score[labelled].astype(np.float64), near[labelled]
