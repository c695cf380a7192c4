"""The net's part of an evaluation: the images of a set through the same stream as the frames of a video."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from tposecli.detection.base import Detector
from tposecli.detection.factory import build_detector
from tposecli.evaluation.coco.boxes import BoxChoice, KnownBoxes
from tposecli.evaluation.coco.image_store import EvalImages, ImageStore, open_images
from tposecli.evaluation.coco.job import EvalJob
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, images_path
from tposecli.evaluation.coco.problems import MISSING, Problems
from tposecli.evaluation.coco.results import result_rows
from tposecli.evaluation.coco.resume import WorkFile, work_path
from tposecli.formats.journal.provenance import header
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.job import ModelChoice, Summary, Watcher
from tposecli.pipeline.stream import Stages, group_frames, run
from tposecli.types import Poses, SourceInfo
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.locks import output_locks


@dataclass(frozen=True, slots=True)
class MeasuredPoses:
    """What the net says of a set.

    Attributes:
        rows: Results in the authors' schema and order.
        boxes: What was detected, for the boxes' own AP; None for ground truth.
        summary: How long it took.
        estimator: The net.
        facts: The work file's header, for provenance.
        work: The poses as measured; to be removed once everything is written.
    """

    rows: list[Record]
    boxes: Sequence[Record] | None
    summary: Summary
    estimator: PoseEstimator
    facts: dict[str, Any]
    work: WorkFile


def measure(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, problems: Problems, watcher: Watcher) -> MeasuredPoses:
    """Find the poses of the people in the boxes, going on with what an interrupted run has left.

    Raises:
        UsageError: The set has other keypoints than the net, or an unfinished run of another kind is in the way.
        InputError: None of the pictures is there; or, with ``strict``, one is missing or damaged.
        WeightsError: The net cannot be loaded.
    """
    store = open_images(images_path(job.data))
    todo = _present(store, truth, boxes, problems)
    estimator = _estimator(job.model)
    if truth.keypoints != len(estimator.layout):
        raise UsageError(
            f"{truth.title}: its people have {truth.keypoints} keypoints, the model finds "
            f"{len(estimator.layout)}; score results of another program with --results"
        )
    detector = _detector(job, truth, boxes, estimator)
    facts = _facts(job, truth, boxes, estimator)
    stages = Stages(detector, estimator)
    path, summary = work_path(job.outputs.results, facts), Summary(truth.title)
    with output_locks([path]), closing(WorkFile(path, facts, group_frames(estimator.runtime), job.outputs)) as work:
        source = EvalImages(store, truth.title, [item for item in todo if item[0] not in work.poses], problems)
        poses = dict(work.poses)
        try:
            poses.update(_stream(source, replace(stages, record=work.record), watcher, summary))
        except BaseException as error:
            error.add_note("the same command goes on from here")
            raise
    order = [index for index, _ in todo if index in poses and len(poses[index])]
    found = [(index, _exact(poses[index], truth, boxes, index)) for index in order]
    detected = boxes.rows if boxes.by_image is not None else _box_rows(truth, found)
    return MeasuredPoses(_rows(truth, found, estimator), detected, summary, estimator, facts, work)


def _present(store: ImageStore, truth: KeypointSet, boxes: BoxChoice, problems: Problems) -> list[tuple[int, str]]:
    """Position and name of the images to read, in the order of the results; the missing ones are taken note of."""
    position = {image.id: index for index, image in enumerate(truth.images)}
    wanted = list(position.values()) if boxes.by_image is None else [position[image] for image in boxes.by_image]
    named = [(index, truth.images[index].name) for index in wanted]
    there = [item for item in named if store.has(item[1])]
    if named and not there:
        raise InputError(f"none of the {len(named)} pictures is there, for example {named[0][1]}; check the folder")
    for _, name in named:
        if not store.has(name):
            problems.add(MISSING, name)
    return there


def _estimator(choice: ModelChoice) -> PoseEstimator:
    """The net, in single precision unless another was asked for."""
    runtime = choice.runtime(exact=True)
    return PoseEstimator(resolve(choice.model, choice.weights, choice.downloads), None, runtime, choice.flip_test)


def _detector(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator) -> Detector:
    if boxes.by_image is not None:
        return KnownBoxes(truth.images, boxes.by_image)
    return build_detector(job.detector, estimator.runtime.device, job.model.downloads)


def _facts(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator) -> dict[str, Any]:
    """The work file's header: everything that the poses depend on."""
    chosen = {
        "command": job.command,
        "boxes": boxes.kind,
        "boxes_sha256": boxes.sha256,
        "detector": asdict(job.detector) if boxes.by_image is None else None,
    }
    return header(SourceInfo(truth.title), truth.sha256, estimator, chosen)


def _stream(source: EvalImages, stages: Stages, watcher: Watcher, summary: Summary) -> dict[int, Poses]:
    """Run the images through the net; poses by position in the set."""
    start = time.perf_counter()
    poses: dict[int, Poses] = {}
    watcher.begin(source.info, source.expected)
    with closing(run(source, stages)) as results:
        for result in results:
            poses[result.frame.index] = result.poses
            summary.frames += 1
            summary.people += len(result.poses)
            watcher.seen(result)
    summary.seconds = stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
    return poses


def _exact(poses: Poses, truth: KeypointSet, boxes: BoxChoice, index: int) -> Poses:
    """Poses with their boxes as the source has them, which a work file rounds."""
    if boxes.by_image is None:
        return poses
    return Poses(boxes.by_image[truth.images[index].id], poses.xy, poses.score)


def _rows(truth: KeypointSet, found: Sequence[tuple[int, Poses]], estimator: PoseEstimator) -> list[Record]:
    height, width = estimator.net.input_hw
    rows: list[Record] = []
    for index, poses in found:
        rows += result_rows((truth.images[index].id, truth.category), poses, width / height, truth.sigmas)
    return rows


def _box_rows(truth: KeypointSet, found: Sequence[tuple[int, Poses]]) -> list[Record]:
    """What the detector found, as COCO has it."""
    return [
        {
            "image_id": truth.images[index].id,
            "category_id": truth.category,
            "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
            "score": float(score),
        }
        for index, poses in found
        for box, score in zip(poses.boxes.xyxy, poses.boxes.score, strict=True)
    ]
