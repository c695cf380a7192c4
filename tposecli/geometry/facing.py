"""Where people face: left, right, or neither; flexion and extension are told apart by it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.angles import ALL_ANGLES, Angle, sure_angles
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.geometry.motion_options import AngleOptions
from tposecli.types import UNTRACKED, Poses

SIDES: Final = {"left": -1, "right": 1, "front": 0}
NAMES: Final = {-1: "left", 1: "right", 0: ""}

SIDEWAYS: Final = 0.08
"""A nose that is so much before or behind the ears, in lengths of the trunk, says where a person faces."""
NARROW, BROAD = 0.45, 0.6
"""Shoulders narrower than this, in lengths of the trunk, are seen from the side; broader ones from front or back."""
SLOW_S: Final = 0.2
"""Time constant over which both are averaged, seconds."""

_NOSE, _EARS = KEYPOINTS.index("nose"), [KEYPOINTS.index(f"{side}_ear") for side in ("left", "right")]
_SHOULDERS, _HIPS = ([KEYPOINTS.index(f"{side}_{part}") for side in ("left", "right")] for part in ("shoulder", "hip"))


@dataclass(slots=True)
class _Seen:
    """What was seen of one person so far: averages, and what follows from them."""

    time_s: float
    nose: float = math.nan
    breadth: float = math.nan
    side: int = 0

    def look(self, nose: float, breadth: float, time_s: float) -> int:
        """Take the next frame and return where the person faces."""
        weight = 1 - math.exp(-max(time_s - self.time_s, 0) / SLOW_S)
        self.time_s = time_s
        self.nose, self.breadth = _mixed(self.nose, nose, weight), _mixed(self.breadth, breadth, weight)
        if self.breadth > BROAD:
            self.side = 0
        elif self.breadth < NARROW and abs(self.nose) > SIDEWAYS:
            self.side = 1 if self.nose > 0 else -1
        return self.side


def _mixed(before: float, now: float, weight: float) -> float:
    if math.isnan(before) or math.isnan(now):
        return now if math.isnan(before) else before
    return before + weight * (now - before)


@dataclass(slots=True)
class AngleReader:
    """The angles of the people of one source, frame by frame; what was seen before decides where they face.

    The nose is before the ears. Who turns the head to the camera still faces where the shoulders point; who has shown
    no side yet faces neither, as do people who are seen from the front or from behind.

    Attributes:
        options: How.
        angles: Which ones.
    """

    options: AngleOptions = field(default_factory=AngleOptions)
    angles: tuple[Angle, ...] = ALL_ANGLES
    _people: dict[int, _Seen] = field(default_factory=dict)

    def read(self, poses: Poses, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the (N, A) angles of a frame in degrees, NaN where they cannot be told, and (N,) facing: -1, 0, 1."""
        facing = self.facing(poses, time_s)
        return sure_angles(poses.xy, poses.score, facing, self.angles, self.options.min_score), facing

    def facing(self, poses: Poses, time_s: float) -> NDArray[np.int64]:
        """Return (N,) where people face: -1 left, 1 right, 0 neither."""
        if self.options.facing != "auto":
            return np.full(len(poses), SIDES[self.options.facing], np.int64)
        noses, breadths = _evidence(poses, self.options.min_score)
        found = np.zeros(len(poses), np.int64)
        for row, person in enumerate(poses.track_id.tolist()):
            seen = _Seen(time_s) if person == UNTRACKED else self._people.setdefault(person, _Seen(time_s))
            found[row] = seen.look(float(noses[row]), float(breadths[row]), time_s)
        return found


def _evidence(poses: Poses, min_score: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N,) how far the nose is right of the ears, and the breadth of the shoulders, in trunks; NaN: not seen."""
    xy, seen = poses.xy.astype(np.float64), poses.score >= min_score
    trunk = np.hypot(*(xy[:, _SHOULDERS].mean(axis=1) - xy[:, _HIPS].mean(axis=1)).T)
    trunk = np.where(seen[:, [*_SHOULDERS, *_HIPS]].all(axis=1) & (trunk > 0), trunk, np.nan)
    ears, count = seen[:, _EARS], seen[:, _EARS].sum(axis=1)
    middle = np.where(ears, xy[:, _EARS, 0], 0).sum(axis=1) / np.maximum(count, 1)
    nose = np.where(seen[:, _NOSE] & (count > 0), xy[:, _NOSE, 0] - middle, np.nan)
    return nose / trunk, np.abs(xy[:, _SHOULDERS[0], 0] - xy[:, _SHOULDERS[1], 0]) / trunk
