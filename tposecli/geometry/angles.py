"""Joint angles in the picture plane, by the conventions of Sports2D (Pagnon, Kim and HunMin, JOSS 2024).

Flexion of knee and elbow is 0 for a straight limb; of the hip, between trunk and thigh, 0 standing upright; of the
shoulder, between trunk and upper arm, 0 for a hanging arm. The trunk's inclination is counted from the horizontal, 90
upright. Sports2D gives flexion a sign by the direction that a person faces; here it is 0 to 180. Ankles need a foot,
which COCO's 17 keypoints do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout

Point = tuple[int, ...]
"""Keypoints whose mean is meant."""
Direction = tuple[Point, Point]
"""From one point to another."""


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle between two directions of the body, or between one and the horizontal.

    Attributes:
        name: As in ``left_knee``.
        first: From where to where.
        second: The other one; None for the horizontal.
    """

    name: str
    first: Direction
    second: Direction | None

    @property
    def joints(self) -> tuple[int, ...]:
        """The keypoints that it needs, each once."""
        points = [*self.first, *(self.second or ())]
        return tuple(sorted({joint for point in points for joint in point}))


def _of(*names: str) -> Point:
    return tuple(KEYPOINTS.index(name) for name in names)


_NECK: Final = _of("left_shoulder", "right_shoulder")
_PELVIS: Final = _of("left_hip", "right_hip")


def _of_side(side: str) -> tuple[Angle, ...]:
    shoulder, elbow, wrist, hip, knee, ankle = (
        _of(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    )
    trunk = _NECK, _PELVIS
    return (
        Angle(f"{side}_knee", (hip, knee), (knee, ankle)),
        Angle(f"{side}_hip", trunk, (hip, knee)),
        Angle(f"{side}_elbow", (shoulder, elbow), (elbow, wrist)),
        Angle(f"{side}_shoulder", trunk, (shoulder, elbow)),
    )


ANGLES: Final = (*_of_side("left"), *_of_side("right"), Angle("trunk", (_PELVIS, _NECK), None))
"""What the 17 keypoints of COCO can say."""


def angles_of(layout: KeypointLayout) -> tuple[Angle, ...]:
    """Return the angles of a keypoint set: all of them for COCO's, none for others."""
    return ANGLES if layout.is_coco else ()


def joint_angles(xy: NDArray[np.floating], angles: tuple[Angle, ...] = ANGLES) -> NDArray[np.float64]:
    """Return the (N, A) angles in degrees of people with keypoints (N, K, 2); NaN where two points coincide."""
    values = [_angle(xy.astype(np.float64), angle) for angle in angles]
    return np.stack(values, axis=1) if values else np.zeros((len(xy), 0))


def _angle(xy: NDArray[np.float64], angle: Angle) -> NDArray[np.float64]:
    first = _direction(xy, angle.first)
    if angle.second is None:
        found = np.degrees(np.arctan2(-first[:, 1], first[:, 0]))
        length = np.hypot(*first.T)
    else:
        second = _direction(xy, angle.second)
        cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        found = np.degrees(np.arctan2(np.abs(cross), (first * second).sum(axis=1)))
        length = np.minimum(np.hypot(*first.T), np.hypot(*second.T))
    return np.where(length > 0, found, np.nan)


def _direction(xy: NDArray[np.float64], direction: Direction) -> NDArray[np.float64]:
    start, end = (xy[:, list(point)].mean(axis=1) for point in direction)
    return np.asarray(end - start)
