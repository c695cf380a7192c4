"""Metrics beyond COCO's ten: how well each keypoint is detected, and the distribution of OKS over people.

The similarity thresholds follow Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation", ICCV 2017: from 0.85 on, a keypoint is as good as a human annotation; below 0.5 it is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from tposecli.evaluation.coco.keypoint_set import Float64, KeypointSet, Record
from tposecli.geometry.keypoints import MIRROR
from tposecli.geometry.similarity import weighted_oks

FOUND: Final = 0.5
EXACT: Final = 0.85
MAX_POSES: Final = 20
"""Maximum number of poses per image, best first, as in the COCO API."""
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class KeypointFigures:
    """Metrics of one keypoint over all people in whom it is labelled; fractions 0..1, None if it is never labelled.

    Attributes:
        name: Name of the keypoint.
        labelled: Number of people in whom it is labelled.
        found: Fraction with a similarity of at least 0.5; 0 for people without a pose.
        exact: Fraction with a similarity of at least 0.85.
        swapped: Fraction that is missed and lies on the keypoint of the other side instead.
        similarity: Mean similarity.
    """

    name: str
    labelled: int
    found: float | None = None
    exact: float | None = None
    swapped: float | None = None
    similarity: float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Details:
    """Metrics by keypoint, and the number of people whose pose has an OKS of 0..0.1, 0.1..0.2, ... 0.9..1."""

    keypoints: list[KeypointFigures]
    histogram: list[int]


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    """N people with their poses: (N,) OKS; (N, K) similarity, whether swapped, and whether labelled."""

    oks: Float64
    similarity: Float64
    swapped: Any
    labelled: Any


def details(truth: KeypointSet, rows: Sequence[Record]) -> Details:
    """Match people and poses one to one in each image, maximizing the total OKS, and evaluate the pairs."""
    found: dict[int, list[Record]] = {}
    for row in sorted(rows, key=lambda row: -row["score"]):
        found.setdefault(row["image_id"], []).append(row)
    parts = [
        _pair(people, found.get(image.id, [])[:MAX_POSES], truth.sigmas)
        for image in truth.images
        if (people := [person for person in truth.people.get(image.id, ()) if _counts(person)])
    ]
    if not parts:
        return Details([KeypointFigures(name, 0) for name in truth.names], [0] * BINS)
    pairs = _Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Pairs.__slots__))
    counts, _ = np.histogram(np.minimum(pairs.oks, 1), BINS, (0, 1))
    return Details([_figures(pairs, k, name) for k, name in enumerate(truth.names)], counts.tolist())


def _counts(person: Record) -> bool:
    return person["num_keypoints"] > 0 and not person["iscrowd"]


def _pair(people: Sequence[Record], poses: Sequence[Record], sigmas: Float64) -> _Pairs:
    """Match the people of one image with poses."""
    points = np.array([person["keypoints"] for person in people], np.float64).reshape(len(people), -1, 3)
    xy, labelled = points[:, :, :2], points[:, :, 2] > 0
    area = np.array([person["area"] for person in people], np.float64)
    oks, similarity = np.zeros(len(people)), np.zeros(labelled.shape)
    swapped = np.zeros(labelled.shape, bool)
    if poses:
        found = np.array([pose["keypoints"] for pose in poses], np.float64).reshape(len(poses), -1, 3)[:, :, :2]
        weight = np.broadcast_to(labelled[None], (len(poses), *labelled.shape)).astype(np.float64)
        oks_matrix = weighted_oks(found, xy, np.broadcast_to(area, (len(poses), len(people))), weight, sigmas)
        pose, person = linear_sum_assignment(oks_matrix, maximize=True)
        oks[person] = oks_matrix[pose, person]
        similarity[person] = _similarity(found[pose], xy[person], area[person], sigmas)
        if len(sigmas) == len(MIRROR):
            other = list(MIRROR)
            opposite = _similarity(found[pose], xy[person][:, other], area[person], sigmas)
            swapped[person] = labelled[person][:, other] & (opposite >= FOUND) & (similarity[person] < FOUND)
    return _Pairs(oks, similarity, swapped, labelled)


def _similarity(found: Float64, xy: Float64, area: Float64, sigmas: Float64) -> Float64:
    """Return the (N, K) similarity of each keypoint."""
    distance = ((found - xy) ** 2).sum(axis=2)
    return np.asarray(np.exp(-distance / (2 * sigmas) ** 2 / (area[:, None] + np.spacing(1)) / 2), np.float64)


def _figures(pairs: _Pairs, keypoint: int, name: str) -> KeypointFigures:
    labelled = pairs.labelled[:, keypoint]
    if not labelled.any():
        return KeypointFigures(name, 0)
    similarity = pairs.similarity[labelled, keypoint]
    shares = similarity >= FOUND, similarity >= EXACT, pairs.swapped[labelled, keypoint], similarity
    return KeypointFigures(name, int(labelled.sum()), *(float(share.mean()) for share in shares))
