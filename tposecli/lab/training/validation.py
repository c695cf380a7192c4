"""Validate a net in training: AP on ground-truth boxes, computed as by ``tpose eval``, and PCK@0.2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tposecli.evaluation.coco.average_precision import score_poses
from tposecli.evaluation.coco.boxes import truth_boxes
from tposecli.evaluation.coco.keypoint_set import Record, SetImage
from tposecli.evaluation.coco.results import result_rows
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.inference.backends.eager import Eager
from tposecli.inference.device_worker import DeviceWorker
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.lab.training.data_sources import ValidationSet
from tposecli.lab.training.dataset import read_training_image
from tposecli.models.pose_net import PoseNet
from tposecli.types import Boxes, Float32, Frame

PCK_THRESHOLD = 0.2
"""A joint is correct within this distance of its annotation, relative to the torso's length or the joints' extent."""
TORSO = ("left_shoulder", "right_hip")
GROUP = 16
"""Number of images estimated together."""


@dataclass(frozen=True)
class ValidationMetrics:
    """The results of a net on a validation set.

    Attributes:
        people: Number of people measured.
        ap: COCO's AP with ground-truth boxes; None if no person in the set counts for it.
        ap50: Likewise at OKS 0.5.
        pck: Share of the joints that are correct within ``PCK_THRESHOLD``; None if no joint can be judged.
        by_joint: Likewise for each kind of joint, left and right together.
    """

    people: int
    ap: float | None
    ap50: float | None
    pck: float | None
    by_joint: dict[str, float]

    def line(self, name: str) -> str:
        """Return the results as a line of text."""
        joints = " ".join(f"{joint} {value:.2f}" for joint, value in self.by_joint.items())
        figures = (f"{label} {_shown(value)}" for label, value in (("AP", self.ap), ("AP .5", self.ap50)))
        return (
            f"{name}: {self.people} people, {', '.join(figures)}, PCK@{PCK_THRESHOLD:g} {_shown(self.pck)} ({joints})"
        )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class InTrainingEstimator(PoseEstimator):
    """The regular estimator around a net that is still in training and has no weights file."""

    def __init__(self, net: PoseNet, runtime: Runtime) -> None:
        self.net, self.runtime, self.flip_test, self.attention = net, runtime.settled("torch"), False, None
        self.workers = [DeviceWorker(net, Eager(net), runtime.device)]


def measure(net: PoseNet, runtime: Runtime, check: ValidationSet) -> ValidationMetrics:
    """Measure a net on a set with ground-truth boxes, without flip test; leaves the net in evaluation mode."""
    estimator = InTrainingEstimator(net.eval(), runtime)
    aspect = net.input_hw[1] / net.input_hw[0]
    people = list(_people(check))
    rows: list[Record] = []
    hits: list[Float32] = []
    for start in range(0, len(people), GROUP):
        group = people[start : start + GROUP]
        frames = [Frame(read_training_image(check.images / image.name), n) for n, (image, _, _) in enumerate(group)]
        results = estimator.estimate(frames, [boxes for _, boxes, _ in group])
        for (image, _, truth), result in zip(group, results, strict=True):
            rows += result_rows((image.id, check.truth.category), result.poses, aspect, check.truth.sigmas)
            hits += [_hits(xy, joints, check.layout) for xy, joints in zip(result.poses.xy, truth, strict=True)]
    scores = score_poses(check.truth, rows).figures
    table = np.array(hits, np.float32).reshape(-1, len(check.layout.names))
    return ValidationMetrics(len(table), scores[0], scores[1], _mean(table), _by_joint(table, check.layout))


def _people(check: ValidationSet) -> Iterator[tuple[SetImage, Boxes, list[Float32]]]:
    """Yield the images with people to measure: their boxes as in the evaluation, and their (K, 3) annotated joints."""
    for image in check.truth.images:
        found: list[tuple[Boxes, Float32]] = []
        for person in check.truth.people.get(image.id, ()):
            alone = truth_boxes(replace(check.truth, images=(image,), people={image.id: [person]}))
            if alone:
                found.append((alone[image.id], np.array(person["keypoints"], np.float32).reshape(-1, 3)))
        if found:
            corners = np.concatenate([boxes.corners for boxes, _ in found])
            scores = np.concatenate([boxes.score for boxes, _ in found])
            boxes = Boxes(corners.astype(np.float32), scores, corners)
            yield image, boxes, [joints for _, joints in found]


def _hits(xy: Float32, joints: Float32, layout: KeypointLayout) -> Float32:
    """Return (K,) 1 for correct joints, 0 for wrong ones, NaN for those that cannot be judged."""
    names, known = layout.names, joints[:, 2] > 0
    reference = 0.0
    if set(TORSO) <= set(names):
        shoulder, hip = (names.index(name) for name in TORSO)
        if known[shoulder] and known[hip]:
            reference = float(np.linalg.norm(joints[shoulder, :2] - joints[hip, :2]))
    elif known.any():
        reference = float(np.ptp(joints[known, :2], axis=0).max())
    if reference == 0:
        return np.full(len(names), np.nan, np.float32)
    near = np.linalg.norm(xy - joints[:, :2], axis=1) < PCK_THRESHOLD * reference
    return np.where(known, near, np.nan).astype(np.float32)


def _mean(hits: Float32) -> float | None:
    return None if np.isnan(hits).all() else float(np.nanmean(hits))


def _by_joint(hits: Float32, layout: KeypointLayout) -> dict[str, float]:
    """Return the mean for each kind of joint that is annotated at all."""
    kinds: dict[str, list[int]] = {}
    for joint, name in enumerate(layout.names):
        kinds.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(joint)
    means = {kind: _mean(hits[:, joints]) for kind, joints in kinds.items()}
    return {kind: mean for kind, mean in means.items() if mean is not None}
