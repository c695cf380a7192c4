"""Every annotated person of a clip with the pose that was found of them, as columns."""

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

ALIKE: Final = 0.3
"""OKS from which on a pose is taken for that of a person."""

SHOULDERS: Final = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]
HIPS: Final = [KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")]


@dataclass(frozen=True, eq=False, slots=True)
class Truth:
    """One frame as it is.

    Attributes:
        time_s: When it is shown.
        people: N people; joints that are labelled score 1, the others 0.
        area: (N,) square pixels.
    """

    time_s: float
    people: Poses
    area: Float64

    def alike(self, found: Poses) -> Float64:
        """(N, M) object keypoint similarity of the people and poses; labelled joints that were not found count as far.

        COCO's formula with the truth's area, or with its stand-in, 0.53 of the box, where there is none.
        """
        sides = self.people.boxes.xyxy[:, 2:] - self.people.boxes.xyxy[:, :2]
        area = np.where(np.isnan(self.area), AREA_OF_BOX * sides.prod(axis=1), self.area)
        weight = np.broadcast_to(self.people.score[:, None] > 0, (len(self.people), *found.score.shape))
        xy = np.where(found.score[:, :, None] > 0, found.xy.astype(np.float64), 1e9)
        size = np.broadcast_to(area[:, None], (len(self.people), len(found)))
        return weighted_oks(self.people.xy.astype(np.float64), xy, size, weight.astype(np.float64))


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """R people of all frames, by track and then by frame, each with the pose that was given to them.

    Attributes:
        frame: (R,) position of the frame.
        time_s: (R,) seconds.
        track: (R,) who it is.
        xy: (R, 17, 2) pixels; NaN where a joint is not labelled.
        found: (R, 17, 2) pixels; NaN where it was not found.
        height: (R,) of the box, pixels.
        side: (R,) longer side of the box, pixels.
        torso: (R,) from the middle of the shoulders to the middle of the hips, pixels; NaN where one is not labelled.
        oks: (R,) of person and pose, or of the pose with its sides exchanged, if that is more; 0 where there is none.
        given: (R,) id of the pose; ``UNTRACKED`` where it has none, or there is none.
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
        """(R, 17) pixels between the joint and where it was found; NaN where either is not known."""
        distance: Float64 = np.linalg.norm(self.found - self.xy, axis=2)
        return distance

    def windows(self, length: int) -> NDArray[np.intp]:
        """(W, length) rows of one person in so many frames that follow one another."""
        ends = np.arange(length - 1, len(self))
        rows = ends[:, None] - np.arange(length - 1, -1, -1)[None]
        first, last = rows[:, 0], rows[:, -1]
        whole = (self.track[first] == self.track[last]) & (self.frame[last] - self.frame[first] == length - 1)
        found: NDArray[np.intp] = rows[whole]
        return found


def paired(truth: Sequence[Truth], found: Sequence[Poses]) -> Pairs:
    """Give everybody a pose, no pose twice: the assignment in each frame with most OKS in all, 0.3 and more each.

    A pose whose sides are exchanged is still one of that person: it counts as what it would be if they were not.
    """
    parts = [_frame(place, *both) for place, both in enumerate(zip(truth, found, strict=True)) if len(both[0].people)]
    if not parts:
        nobody = np.zeros((0, len(KEYPOINTS), 2))
        none, no_ids = np.zeros(0), np.zeros(0, np.int64)
        return Pairs(no_ids, none, no_ids, nobody, nobody, none, none, none, none, no_ids)
    columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    pairs = Pairs(**columns)
    return pairs[np.lexsort((pairs.frame, pairs.track))]


def _exchanged(poses: Poses) -> Poses:
    """The same with left for right."""
    other = list(MIRROR)
    return replace(poses, xy=poses.xy[:, other], score=poses.score[:, other])


def _frame(place: int, truth: Truth, found: Poses) -> Mapping[str, NDArray[np.generic]]:
    """The columns of one frame."""
    people, count = truth.people, len(truth.people)
    alike = np.maximum(truth.alike(found), truth.alike(_exchanged(found)))
    rows, columns = linear_sum_assignment(np.where(alike >= ALIKE, alike, 0), maximize=True)
    rows, columns = rows[alike[rows, columns] >= ALIKE], columns[alike[rows, columns] >= ALIKE]
    xy = np.where(people.score[:, :, None] > 0, people.xy.astype(np.float64), np.nan)
    pose, oks = np.full_like(xy, np.nan), np.zeros(count)
    pose[rows] = np.where(found.score[columns][:, :, None] > 0, found.xy[columns].astype(np.float64), np.nan)
    oks[rows] = alike[rows, columns]
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
