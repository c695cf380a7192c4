"""Poses against the truth: everything that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tposecli.evaluation.clips.keypoint_metrics import KeypointMetrics, Swaps, accuracy, swaps
from tposecli.evaluation.clips.load import load
from tposecli.evaluation.clips.matching import Pairs, Truth, paired
from tposecli.evaluation.clips.motion_metrics import MotionMetrics, Moves, moves
from tposecli.evaluation.clips.tracking_metrics import TrackingMetrics, identity
from tposecli.evaluation.coco.coco_api import Scores, score_poses
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.pipeline.postprocess import PostOptions
from tposecli.types import UNTRACKED, Poses


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """Poses, and the truth about them."""

    given: PoseInput
    truth: Path


@dataclass(frozen=True, slots=True)
class Part:
    """Figures of one keypoint, or of one person.

    Attributes:
        name: Of it.
        frames: In how many frames the person is; None for keypoints.
        found: In how many of them the person was found; None for keypoints.
        ids: How many ids the person was given; None for keypoints.
    """

    name: str
    accuracy: KeypointMetrics
    motion: MotionMetrics
    frames: int | None = None
    found: int | None = None
    ids: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """All figures of one kind of poses.

    Attributes:
        people: Annotated people in all frames.
        found: How many of them have a pose.
        poses: How many poses there are.
        oks: The COCO API's figures.
        identity: None without ids, or without the package that counts.
        keypoints: One for each keypoint.
        tracks: One for each person.
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
    keypoints: list[Part]
    tracks: list[Part]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found out.

    Attributes:
        poses: Name of the file.
        truth: Name of the file.
        frames: How many were compared.
        left_out: Frames of the truth that a journal does not hold.
        stills: They do not follow one another in time.
    """

    poses: str
    truth: str
    frames: int
    left_out: int
    stills: bool
    scores: list[Score]


def compare(job: ScoreJob, options: PostOptions) -> Comparison:
    """Measure.

    Raises:
        InputError: A file is missing, damaged, or not of the other's frames.
    """
    clip = load(job.given, job.truth, options)
    known = _known(job.truth, clip.ids)
    scores = [_score(label, clip.truth, poses, known, clip.stills) for label, poses in clip.columns.items()]
    return Comparison(job.given.path.name, job.truth.name, len(clip.truth), clip.left_out, clip.stills, scores)


def _known(path: Path, ids: Sequence[int]) -> tuple[KeypointSet, Sequence[int]]:
    """The truth as the COCO API wants it, of these images."""
    whole = load_set(DataChoice(coco=None, annotations=path), Problems())
    wanted = set(ids)
    return replace(whole, images=tuple(image for image in whole.images if image.id in wanted)), ids


def _score(
    label: str, truth: Sequence[Truth], found: Sequence[Poses], known: tuple[KeypointSet, Sequence[int]], stills: bool
) -> Score:
    pairs = paired(truth, found)
    moved = None if stills else moves(pairs)
    return Score(
        label,
        len(pairs),
        int((pairs.oks > 0).sum()),
        sum(map(len, found)),
        score_poses(known[0], _rows(known, found)),
        accuracy(pairs),
        swaps(pairs),
        _motion(moved),
        None if stills else identity(truth, found),
        [_of_keypoint(pairs, moved, keypoint) for keypoint in range(len(KEYPOINTS))],
        [] if stills else [_of_track(pairs[pairs.track == track]) for track in np.unique(pairs.track)],
    )


def _motion(moved: Moves | None, keypoint: int | None = None) -> MotionMetrics:
    return MotionMetrics(None, None, None, None, None) if moved is None else moved.motion(keypoint)


def _of_keypoint(pairs: Pairs, moved: Moves | None, keypoint: int) -> Part:
    return Part(KEYPOINTS[keypoint], accuracy(pairs, keypoint), _motion(moved, keypoint))


def _of_track(pairs: Pairs) -> Part:
    found, ids = pairs.oks > 0, pairs.given[pairs.given != UNTRACKED]
    name = f"person {pairs.track[0]}"
    return Part(name, accuracy(pairs), moves(pairs).motion(), len(pairs), int(found.sum()), len(np.unique(ids)))


def _rows(known: tuple[KeypointSet, Sequence[int]], found: Sequence[Poses]) -> list[dict[str, object]]:
    """Results as the COCO API wants them."""
    rows: list[dict[str, object]] = []
    for image_id, poses in zip(known[1], found, strict=True):
        numbers = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2).reshape(len(poses), 3 * len(KEYPOINTS))
        for keypoints, score in zip(numbers.tolist(), poses.person_score.tolist(), strict=True):
            rows.append(
                {"image_id": image_id, "category_id": known[0].category, "keypoints": keypoints, "score": score}
            )
    return rows
