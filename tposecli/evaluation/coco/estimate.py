"""Pose estimation for an evaluation: the images of a set pass through the same pipeline as video frames."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from tposecli.detection.base import Detector
from tposecli.detection.factory import build_detector
from tposecli.evaluation.coco.boxes import BoxChoice, KnownBoxes
from tposecli.evaluation.coco.job import EvalJob
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, images_path
from tposecli.evaluation.coco.problems import MISSING, UNREADABLE, WRONG_SIZE, Problems
from tposecli.evaluation.coco.results import result_rows
from tposecli.evaluation.coco.resume import EvalJournal, eval_journal_path
from tposecli.formats.journal.provenance import header
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.hub.datasets.coco import download_hint
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.options import ModelChoice
from tposecli.inference.runtime import runtime_for
from tposecli.pipeline.job import Watcher
from tposecli.pipeline.stream import Stages, group_frames, run
from tposecli.pipeline.summary import Summary
from tposecli.sources.image_store import ImageStore, open_images
from tposecli.sources.images import decode_image
from tposecli.types import Frame, Poses, SourceInfo
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.locks import output_locks


class EvalImages:
    """Images of a set as frames. EXIF orientation is ignored, as COCO's annotations do.

    An image that cannot be decoded is recorded and skipped. A frame's index is its position in the set.

    Attributes:
        info: Metadata of the set.
    """

    def __init__(
        self, store: ImageStore, truth: KeypointSet, images: Sequence[tuple[int, str]], problems: Problems
    ) -> None:
        """Set the images to read.

        Args:
            store: Where they are.
            truth: The set.
            images: Position in the set and name of each.
            problems: Records those that cannot be decoded.
        """
        self._store, self._truth = store, truth
        self._images = images
        self._problems = problems
        self.info = SourceInfo(truth.title, frames=len(images))

    @property
    def expected(self) -> int:
        """Number of images, readable or not."""
        return len(self._images)

    def __iter__(self) -> Iterator[Frame]:
        for index, name in self._images:
            try:
                image = decode_image(self._store.read(name), name, honour_exif=False)
            except InputError:
                self._problems.add(UNREADABLE, name)
                continue
            yield Frame(image, index, name=name)

    def check_size(self, frame: Frame) -> None:
        """Record an image whose size contradicts the annotations."""
        listed = self._truth.images[frame.index].size_wh
        if math.isfinite(max(listed)) and frame.size_wh != listed:
            sizes = [f"{width:g}x{height:g}" for width, height in (frame.size_wh, listed)]
            self._problems.add(WRONG_SIZE, f"{frame.name}: {sizes[0]}, annotated as {sizes[1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: no file stays open between two images."""


@dataclass(frozen=True, slots=True)
class MeasuredPoses:
    """The poses of a set.

    Attributes:
        rows: Results in the authors' schema and order.
        boxes: The detections, for the AP of the boxes; None for ground truth.
        summary: Counts and times.
        estimator: The pose estimator.
        facts: Header of the journal, for provenance.
        journal: The journal; to be removed once all outputs are written.
        poses: Positions of images in the set, and their poses as measured.
    """

    rows: list[Record]
    boxes: Sequence[Record] | None
    summary: Summary
    estimator: PoseEstimator
    facts: dict[str, Any]
    journal: EvalJournal
    poses: Sequence[tuple[int, Poses]]


def measure(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, problems: Problems, watcher: Watcher) -> MeasuredPoses:
    """Estimate the poses of the people in the boxes, continuing an interrupted run.

    Raises:
        UsageError: The set has other keypoints than the model, or there is an unfinished run with other options.
        InputError: None of the images exists; or, with ``strict``, one is missing or damaged.
        WeightsError: The model cannot be loaded.
    """
    folder = images_path(job.data)
    store = open_images(folder, download_hint(folder))
    todo = _present(store, truth, boxes, problems)
    estimator = _estimator(job.model)
    if truth.keypoints != len(estimator.layout):
        raise UsageError(
            f"{truth.title}: its people have {truth.keypoints} keypoints, the model predicts "
            f"{len(estimator.layout)}; score results of another program with --results"
        )
    detector = _detector(job, truth, boxes, estimator)
    facts = _facts(job, truth, boxes, estimator)
    stages = Stages(detector, estimator)
    path, summary = eval_journal_path(job.outputs.results, facts), Summary(truth.title, stills=True)
    with (
        output_locks([path]),
        closing(EvalJournal(path, facts, group_frames(estimator.runtime), job.outputs)) as journal,
    ):
        source = EvalImages(store, truth, [item for item in todo if item[0] not in journal.poses], problems)
        poses = dict(journal.poses)
        try:
            poses.update(_stream(source, replace(stages, record=journal.record), watcher, summary))
        except BaseException as error:
            error.add_note("the same command continues from here")
            raise
    order = [index for index, _ in todo if index in poses and len(poses[index])]
    found = [(index, _exact(poses[index], truth, boxes, index)) for index in order]
    detected = boxes.rows if boxes.by_image is not None else _box_rows(truth, found)
    return MeasuredPoses(_rows(truth, found, estimator), detected, summary, estimator, facts, journal, found)


def _present(store: ImageStore, truth: KeypointSet, boxes: BoxChoice, problems: Problems) -> list[tuple[int, str]]:
    """Return position and name of the images to read, in the order of the results, and record the missing ones."""
    position = {image.id: index for index, image in enumerate(truth.images)}
    wanted = list(position.values()) if boxes.by_image is None else [position[image] for image in boxes.by_image]
    named = [(index, truth.images[index].name) for index in wanted]
    there = [item for item in named if store.has(item[1])]
    if named and not there:
        raise InputError(f"none of the {len(named)} images exists, for example {named[0][1]}; check the folder")
    for _, name in named:
        if not store.has(name):
            problems.add(MISSING, name)
    return there


def _estimator(choice: ModelChoice) -> PoseEstimator:
    """Return the pose estimator, in single precision unless another one was requested."""
    runtime = runtime_for(choice, exact=True)
    return PoseEstimator(resolve(choice.model, choice.weights, choice.downloads), None, runtime, choice.flip_test)


def _detector(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator) -> Detector:
    if boxes.by_image is not None:
        return KnownBoxes(truth.images, boxes.by_image)
    return build_detector(job.detector, estimator.runtime, job.model.downloads)


def _facts(job: EvalJob, truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator) -> dict[str, Any]:
    """Return the header of the journal: everything that the poses depend on."""
    chosen = {
        "command": job.command,
        "boxes": boxes.kind,
        "boxes_sha256": boxes.sha256,
        "detector": asdict(job.detector) if boxes.by_image is None else None,
    }
    return header(SourceInfo(truth.title), truth.sha256, estimator, chosen)


def _stream(source: EvalImages, stages: Stages, watcher: Watcher, summary: Summary) -> dict[int, Poses]:
    """Run the images through the pipeline; return poses by position in the set."""
    start = time.perf_counter()
    poses: dict[int, Poses] = {}
    watcher.begin(source.info, source.expected)
    with closing(run(source, stages)) as results:
        for result in results:
            poses[result.frame.index] = result.poses
            source.check_size(result.frame)
            summary.frames += 1
            summary.people += len(result.poses)
            watcher.seen(result)
    summary.seconds = stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
    return poses


def _exact(poses: Poses, truth: KeypointSet, boxes: BoxChoice, index: int) -> Poses:
    """Return poses with their original boxes, which a journal rounds."""
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
    """Return the detected boxes as COCO results."""
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
