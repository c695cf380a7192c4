"""Match annotated people with poses in every frame; the result is a table of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tposecli.evaluation.coco.keypoint_set import AREA_OF_BOX
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.geometry.similarity import weighted_oks
from tposecli.types import UNTRACKED, Poses

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

MIN_OKS: Final = 0.3
"""Minimum OKS of a pose and the person it is matched with."""

SHOULDERS: Final = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]
HIPS: Final = [KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")]


@dataclass(frozen=True, eq=False, slots=True)
class Truth:
    """Ground truth of one frame.

    Attributes:
        time_s: Presentation time in seconds.
        people: N people; labelled joints have score 1, the others 0.
        area: (N,) area of each person in square pixels.
    """

    time_s: float
    people: Poses
    area: Float64

    def oks(self, found: Poses) -> Float64:
        """Return the (N, M) OKS of people and poses; undetected labelled joints count as far away.

        This is COCO's formula with the annotated area or, if there is none, its substitute: 0.53 times the area of the
        box.
        """
        sides = self.people.boxes.xyxy[:, 2:] - self.people.boxes.xyxy[:, :2]
        area = np.where(np.isnan(self.area), AREA_OF_BOX * sides.prod(axis=1), self.area)
        weight = np.broadcast_to(self.people.score[:, None] > 0, (len(self.people), *found.score.shape))
        xy = np.where(found.score[:, :, None] > 0, found.xy.astype(np.float64), 1e9)
        size = np.broadcast_to(area[:, None], (len(self.people), len(found)))
        return weighted_oks(self.people.xy.astype(np.float64), xy, size, weight.astype(np.float64))


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """R person instances of all frames, sorted by track and then by frame, each with its matched pose.

    Attributes:
        frame: (R,) index of the frame.
        time_s: (R,) seconds.
        track: (R,) id of the person.
        xy: (R, 17, 2) annotated joints, pixels; NaN if not labelled.
        found: (R, 17, 2) detected joints, pixels; NaN if not detected.
        height: (R,) height of the box, pixels.
        side: (R,) longer side of the box, pixels.
        torso: (R,) distance from mid-shoulder to mid-hip, pixels; NaN if one of them is not labelled.
        oks: (R,) OKS of the pose, or of the mirrored pose if that is higher; 0 without a pose.
        given: (R,) track id of the pose; ``UNTRACKED`` if it has none, or there is no pose.
    """

    frame: Int64
    time_s: Float64
    track: Int64
    xy: Float64
    found: Float64
    height: Float64
    side: Float64
    torso: Float64
    oks: Float64
    given: Int64

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: Int64 | Mask) -> Self:
        return type(self)(*(getattr(self, name)[index] for name in self.__slots__))

    @property
    def error(self) -> Float64:
        """(R, 17) error of each joint in pixels; NaN if it is not labelled or not detected."""
        distance: Float64 = np.linalg.norm(self.found - self.xy, axis=2)
        return distance

    def windows(self, length: int) -> NDArray[np.intp]:
        """Return (W, length) row indices of one person in ``length`` consecutive frames."""
        ends = np.arange(length - 1, len(self))
        rows = ends[:, None] - np.arange(length - 1, -1, -1)[None]
        first, last = rows[:, 0], rows[:, -1]
        whole = (self.track[first] == self.track[last]) & (self.frame[last] - self.frame[first] == length - 1)
        found: NDArray[np.intp] = rows[whole]
        return found


def match_people(truth: Sequence[Truth], found: Sequence[Poses]) -> Pairs:
    """Match people and poses one to one in each frame, maximizing the total OKS, with at least 0.3 per match.

    A pose whose left and right are swapped still belongs to its person: it is matched by the OKS of its mirror image.
    """
    parts = [
        _match_frame(place, *both) for place, both in enumerate(zip(truth, found, strict=True)) if len(both[0].people)
    ]
    if not parts:
        no_joints = np.zeros((0, len(KEYPOINTS), 2))
        none, no_ids = np.zeros(0), np.zeros(0, np.int64)
        return Pairs(no_ids, none, no_ids, no_joints, no_joints, none, none, none, none, no_ids)
    columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    pairs = Pairs(**columns)
    return pairs[np.lexsort((pairs.frame, pairs.track))]


def _mirrored(poses: Poses) -> Poses:
    """Return poses with left and right exchanged."""
    other = list(MIRROR)
    return replace(poses, xy=poses.xy[:, other], score=poses.score[:, other])


def _match_frame(place: int, truth: Truth, found: Poses) -> Mapping[str, NDArray[np.generic]]:
    """Return the columns of one frame."""
    people, count = truth.people, len(truth.people)
    similarity = np.maximum(truth.oks(found), truth.oks(_mirrored(found)))
    rows, columns = linear_sum_assignment(np.where(similarity >= MIN_OKS, similarity, 0), maximize=True)
    rows, columns = rows[similarity[rows, columns] >= MIN_OKS], columns[similarity[rows, columns] >= MIN_OKS]
    xy = np.where(people.score[:, :, None] > 0, people.xy.astype(np.float64), np.nan)
    pose, oks = np.full_like(xy, np.nan), np.zeros(count)
    pose[rows] = np.where(found.score[columns][:, :, None] > 0, found.xy[columns].astype(np.float64), np.nan)
    oks[rows] = similarity[rows, columns]
    given = np.full(count, UNTRACKED)
    given[rows] = found.track_id[columns]
    sides = (people.boxes.xyxy[:, 2:] - people.boxes.xyxy[:, :2]).astype(np.float64)
    torso = np.linalg.norm(xy[:, SHOULDERS].mean(axis=1) - xy[:, HIPS].mean(axis=1), axis=1)
    return {
        "frame": np.full(count, place),
        "time_s": np.full(count, truth.time_s),
        "track": people.track_id,
        "xy": xy,
        "found": pose,
        "height": np.maximum(sides[:, 1], 1),
        "side": np.maximum(sides.max(axis=1), 1),
        "torso": torso,
        "oks": oks,
        "given": given,
    }
