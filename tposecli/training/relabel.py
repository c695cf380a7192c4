"""Annotations made better with another model's keypoints: faces added, sides that were mixed up set right.

A second opinion is asked only where it is likely to be right. Faces are taken over near the annotated head; sides of
arms and of legs are exchanged only for people who are upright, where the other model's joints lie clearly nearer to
those of the other side; joints that were annotated are never moved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.evaluation.coco.keypoint_set import read_json
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.utils.errors import InputError
from tposecli.utils.files import write_text

Json = dict[str, Any]
Float64 = NDArray[np.float64]

ARMS: Final = (5, 6, 7, 8, 9, 10)
LEGS: Final = (11, 12, 13, 14, 15, 16)
FACE: Final = (0, 1, 2, 3, 4)
SURE: Final = 0.3
"""Score from which on the other model's joint counts."""
SURE_OF_UNSEEN: Final = 0.5
"""Score from which on a joint of the body is added that nobody annotated."""
REACH: Final = 0.75
"""How far a joint of the face may lie from the middle between neck and head top, in lengths of the head."""
TORSO: Final = 0.25
"""Length of a torso, as a part of the longer side of the person's box."""
CLEARLY: Final = 0.25
"""So much nearer, in torsos, must joints lie on average when the sides are exchanged."""
FEWEST: Final = 3
"""Joints that both must know, to judge the sides."""
UPRIGHT: Final = 0.15
"""The head is higher than the hips by more than this part of the longer side of the box."""


def relabel_file(annotations: Path, opinions: Path, output: Path) -> Counter[str]:
    """Write the annotation file anew with another model's help; how often what was done.

    Raises:
        UsageError: A file is not there.
        InputError: It is not what it should be.
    """
    data, results = read_json(annotations), read_json(opinions)
    if not isinstance(results, list):
        raise InputError(f"{opinions}: expected COCO results, a list of people with 'image_id' and 'keypoints'")
    try:
        improved, counts = relabelled(data, results)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{annotations}, {opinions}: expected COCO keypoint annotations and results of 17 keypoints ({error!r})"
        ) from error
    write_text(output, json.dumps(improved))
    return counts


def relabelled(data: Json, opinions: Sequence[Json]) -> tuple[Json, Counter[str]]:
    """The annotation file's content with another model's help, and how often what was done.

    Args:
        data: A COCO keypoint file, one annotated person an image; ``neck`` and ``head_top`` as in Leeds Sports Poses.
        opinions: COCO results for the same images, the other model's answer to the annotated person's box.
    """
    counts: Counter[str] = Counter()
    by_image: Mapping[int, Json] = {entry["image_id"]: entry for entry in opinions}
    annotations = []
    for annotation in data["annotations"]:
        opinion = by_image.get(annotation["image_id"])
        annotations.append(annotation if opinion is None else _improved(annotation, opinion, counts))
    return {**data, "annotations": annotations}, counts


def _improved(annotation: Json, opinion: Json, counts: Counter[str]) -> Json:
    """The annotation, its keypoints improved."""
    joints = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    other = np.array(opinion["keypoints"], np.float64).reshape(-1, 3)
    torso = TORSO * max(annotation["bbox"][2:])
    head = _head(annotation)
    if head is not None and _upright(joints, head, annotation["bbox"]):
        for name, group in (("arms", ARMS), ("legs", LEGS)):
            if _mixed_up(joints, other, group, torso):
                partners = [MIRROR[joint] for joint in group]
                joints[list(group)] = joints[partners]
                counts[f"sides of the {name} exchanged"] += 1
        _add(joints, other, [*ARMS, *LEGS], SURE_OF_UNSEEN, counts)
    if head is not None:
        length = float(np.linalg.norm(head[1] - head[0]))
        near = np.linalg.norm(other[:, :2] - head.mean(axis=0), axis=1) <= REACH * length
        _add(joints, other, [joint for joint in FACE if near[joint]], SURE, counts)
    return {**annotation, "keypoints": joints.ravel().tolist(), "num_keypoints": int((joints[:, 2] > 0).sum())}


def _head(annotation: Json) -> Float64 | None:
    """(2, 2) neck and head top; None where either is unknown."""
    if not annotation.get("neck") or not annotation.get("head_top"):
        return None
    return np.array([annotation["neck"], annotation["head_top"]], np.float64)


def _upright(joints: Float64, head: Float64, box: Sequence[float]) -> bool:
    """Whether the head is well above the hips."""
    hips = joints[[11, 12]]
    hips = hips[hips[:, 2] > 0]
    return bool(len(hips)) and bool(hips[:, 1].mean() - head[1, 1] > UPRIGHT * max(box[2:]))


def _mixed_up(joints: Float64, other: Float64, group: Sequence[int], torso: float) -> bool:
    """Whether the other model's joints lie clearly nearer to those of the other side."""
    mine, partners = list(group), [MIRROR[joint] for joint in group]
    known = (joints[mine, 2] > 0) & (joints[partners, 2] > 0) & (other[mine, 2] >= SURE)
    if known.sum() < FEWEST:
        return False
    kept, swapped = (
        np.minimum(np.linalg.norm(joints[order, :2] - other[mine, :2], axis=1) / torso, 1)[known].mean()
        for order in (mine, partners)
    )
    return bool(swapped < kept - CLEARLY)


def _add(joints: Float64, other: Float64, wanted: Sequence[int], score: float, counts: Counter[str]) -> None:
    """Take over joints that nobody annotated, in place."""
    for joint in wanted:
        if joints[joint, 2] == 0 and other[joint, 2] >= score:
            joints[joint] = (*other[joint, :2], 1)
            counts[f"{KEYPOINTS[joint]} added"] += 1
