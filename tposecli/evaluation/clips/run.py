"""Compare poses with the ground truth: all metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tposecli.evaluation.clips.keypoint_metrics import KeypointMetrics, Swaps, count_swaps, keypoint_metrics
from tposecli.evaluation.clips.load import ClipData, load
from tposecli.evaluation.clips.matching import Pairs, match_people
from tposecli.evaluation.clips.motion_metrics import MotionDerivatives, MotionMetrics, motion_derivatives
from tposecli.evaluation.clips.tracking_metrics import TrackingMetrics, tracking_metrics
from tposecli.evaluation.coco.average_precision import Scores, score_poses
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.pipeline.postprocess import PostOptions
from tposecli.types import UNTRACKED, Poses


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """Poses, and the ground truth to compare them with."""

    given: PoseInput
    truth: Path


@dataclass(frozen=True, slots=True)
class PartScore:
    """Metrics of one keypoint, or of one person.

    Attributes:
        name: Name of the keypoint or person.
        accuracy: Keypoint accuracy.
        motion: Quality of motion.
        frames: Number of frames with the person; None for keypoints.
        found: Number of those in which the person was detected; None for keypoints.
        ids: Number of ids that the person was assigned; None for keypoints.
    """

    name: str
    accuracy: KeypointMetrics
    motion: MotionMetrics
    frames: int | None = None
    found: int | None = None
    ids: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """All metrics of one variant of the poses.

    Attributes:
        label: Name of the variant.
        people: Number of annotated person instances in all frames.
        found: Number of those with a matched pose.
        poses: Number of poses.
        oks: The figures of the COCO API.
        accuracy: Keypoint accuracy.
        swaps: Swaps of left and right.
        motion: Quality of motion.
        identity: Tracking metrics; None without ids, or without the package ``trackers``.
        keypoints: Metrics of each keypoint.
        tracks: Metrics of each person.
    """

    label: str
    people: int
    found: int
    poses: int
    oks: Scores
    accuracy: KeypointMetrics
    swaps: Swaps
    motion: MotionMetrics
    identity: TrackingMetrics | None
    keypoints: list[PartScore]
    tracks: list[PartScore]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        poses: Name of the pose file.
        truth: Name of the ground truth file.
        frames: Number of frames compared.
        left_out: Number of ground truth frames that the journal does not contain.
        stills: Whether the frames are unrelated images.
        scores: Metrics of each variant of the poses.
    """

    poses: str
    truth: str
    frames: int
    left_out: int
    stills: bool
    scores: list[Score]


def compare(job: ScoreJob, options: PostOptions) -> Comparison:
    """Compare poses with the ground truth.

    Raises:
        InputError: A file is missing or damaged, or the two do not belong to the same frames.
    """
    clip = load(job.given, job.truth, options)
    coco = _coco_truth(job.truth, clip.ids)
    scores = [_score(label, clip, poses, coco) for label, poses in clip.columns.items()]
    return Comparison(job.given.path.name, job.truth.name, len(clip.truth), clip.left_out, clip.stills, scores)


def _coco_truth(path: Path, ids: Sequence[int]) -> KeypointSet:
    """Return the ground truth of these images as the COCO API needs it."""
    whole = load_set(DataChoice(coco=None, annotations=path), Problems())
    wanted = set(ids)
    return replace(whole, images=tuple(image for image in whole.images if image.id in wanted))


def _score(label: str, clip: ClipData, found: Sequence[Poses], coco: KeypointSet) -> Score:
    pairs = match_people(clip.truth, found)
    derivatives = None if clip.stills else motion_derivatives(pairs)
    return Score(
        label,
        len(pairs),
        int((pairs.oks > 0).sum()),
        sum(map(len, found)),
        score_poses(coco, _rows(clip.ids, found, coco.category)),
        keypoint_metrics(pairs),
        count_swaps(pairs),
        _motion(derivatives),
        None if clip.stills else tracking_metrics(clip.truth, found),
        [_of_keypoint(pairs, derivatives, keypoint) for keypoint in range(len(KEYPOINTS))],
        [] if clip.stills else [_of_track(pairs[pairs.track == track]) for track in np.unique(pairs.track)],
    )


def _motion(derivatives: MotionDerivatives | None, keypoint: int | None = None) -> MotionMetrics:
    return MotionMetrics(None, None, None, None, None) if derivatives is None else derivatives.metrics(keypoint)


def _of_keypoint(pairs: Pairs, derivatives: MotionDerivatives | None, keypoint: int) -> PartScore:
    return PartScore(KEYPOINTS[keypoint], keypoint_metrics(pairs, keypoint), _motion(derivatives, keypoint))


def _of_track(pairs: Pairs) -> PartScore:
    found, ids = pairs.oks > 0, pairs.given[pairs.given != UNTRACKED]
    name = f"person {pairs.track[0]}"
    return PartScore(
        name,
        keypoint_metrics(pairs),
        motion_derivatives(pairs).metrics(),
        len(pairs),
        int(found.sum()),
        len(np.unique(ids)),
    )


def _rows(ids: Sequence[int], found: Sequence[Poses], category: int) -> list[dict[str, object]]:
    """Return the poses as COCO results."""
    rows: list[dict[str, object]] = []
    for image_id, poses in zip(ids, found, strict=True):
        numbers = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2).reshape(len(poses), 3 * len(KEYPOINTS))
        for keypoints, score in zip(numbers.tolist(), poses.person_score.tolist(), strict=True):
            rows.append({"image_id": image_id, "category_id": category, "keypoints": keypoints, "score": score})
    return rows
