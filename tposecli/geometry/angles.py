"""Joint and segment angles in the picture plane.

Joint angles are flexion, as the International Society of Biomechanics counts it for knee, hip and elbow (Wu et al.,
J. Biomech. 35, 2002 and 38, 2005; the knee after Grood and Suntay, 1983): 0 in the anatomical position, for a straight
limb, an upright hip and a hanging arm; flexion is positive, extension beyond 0 negative. One camera sees their
projection onto the picture plane only, so they are those of the sagittal plane if a person is seen from the side, and
otherwise none that ISB names.

Segment angles are those of Sports2D (Pagnon and Kim, JOSS 2024): anticlockwise from the horizontal to the right, from
the proximal end to the distal one: -90 for a leg or arm that hangs down, 90 for an upright trunk. Which way flexion
turns depends on where a person faces, see ``facing.py``; from the front or from behind there is no such direction, and
flexion has no sign. Ankle angles need a foot, which COCO's 17 keypoints do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout

Float64 = NDArray[np.float64]

Point = tuple[int, ...]
"""Keypoints whose mean is meant."""
Direction = tuple[Point, Point]
"""From one point to another."""

LEAST: Final = -90.0
"""Flexion is between this and 270 degrees: no joint extends so far, and an arm overhead passes 180 without a jump."""


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle between two directions of the body, or between one and the horizontal.

    Attributes:
        name: As in ``left_knee``.
        first: From where to where.
        second: The other one; None for the horizontal.
        turn: 1 if the second direction turns clockwise in the picture when the joint of a person who faces right is
            flexed, else -1; 0 for segments.
    """

    name: str
    first: Direction
    second: Direction | None
    turn: int = 0

    @property
    def joints(self) -> tuple[int, ...]:
        """The keypoints that it needs, each once."""
        points = [*self.first, *(self.second or ())]
        return tuple(sorted({joint for point in points for joint in point}))

    @property
    def is_segment(self) -> bool:
        """Whether it is counted from the horizontal."""
        return self.second is None

    @property
    def vertex(self) -> int | None:
        """The keypoint at which it lies; None for segments."""
        return KEYPOINTS.index(self.name) if self.name in KEYPOINTS else None


def _of(*names: str) -> Point:
    return tuple(KEYPOINTS.index(name) for name in names)


_NECK: Final = _of("left_shoulder", "right_shoulder")
_PELVIS: Final = _of("left_hip", "right_hip")
PELVIS: Final = _PELVIS
"""The hips, whose middle stands for the pelvis."""


def _of_side(side: str) -> tuple[tuple[Angle, ...], tuple[Angle, ...]]:
    shoulder, elbow, wrist, hip, knee, ankle = (
        _of(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    )
    trunk = _NECK, _PELVIS
    joints = (
        Angle(f"{side}_knee", (hip, knee), (knee, ankle), 1),
        Angle(f"{side}_hip", trunk, (hip, knee), -1),
        Angle(f"{side}_elbow", (shoulder, elbow), (elbow, wrist), -1),
        Angle(f"{side}_shoulder", trunk, (shoulder, elbow), -1),
    )
    segments = (
        Angle(f"{side}_shank", (knee, ankle), None),
        Angle(f"{side}_thigh", (hip, knee), None),
        Angle(f"{side}_arm", (shoulder, elbow), None),
        Angle(f"{side}_forearm", (elbow, wrist), None),
    )
    return joints, segments


_LEFT, _RIGHT = _of_side("left"), _of_side("right")
_TRUNK: Final = Angle("trunk", (_PELVIS, _NECK), None)

JOINT_ANGLES: Final = (*_LEFT[0], *_RIGHT[0])
SEGMENT_ANGLES: Final = (
    *_LEFT[1],
    *_RIGHT[1],
    _TRUNK,
    Angle("pelvis", (_of("right_hip"), _of("left_hip")), None),
    Angle("shoulders", (_of("right_shoulder"), _of("left_shoulder")), None),
)
ALL_ANGLES: Final = (*JOINT_ANGLES, *SEGMENT_ANGLES)
"""What the 17 keypoints of COCO can say."""
ANGLES: Final = (*JOINT_ANGLES, _TRUNK)
"""Those that a report shows."""


def angles_of(layout: KeypointLayout) -> tuple[Angle, ...]:
    """Return the angles of a keypoint set that a report shows: none for others than COCO's."""
    return ANGLES if layout.is_coco else ()


def joint_angles(
    xy: NDArray[np.floating], angles: tuple[Angle, ...] = ANGLES, facing: NDArray[np.integer] | None = None
) -> Float64:
    """Return the (N, A) angles in degrees of people with keypoints (N, K, 2); NaN where two points coincide.

    Args:
        xy: Pixels.
        angles: Which ones.
        facing: (N,) 1 for people who face right, -1 for left, 0 for neither: flexion is then 0 to 180, without sign.
            None for 0.
    """
    sides = np.zeros(len(xy)) if facing is None else np.asarray(facing, np.float64)
    values = [_angle(xy.astype(np.float64), angle, sides) for angle in angles]
    return np.stack(values, axis=1) if values else np.zeros((len(xy), 0))


def sure_angles(
    xy: NDArray[np.floating],
    score: NDArray[np.floating],
    facing: NDArray[np.integer],
    angles: tuple[Angle, ...] = ALL_ANGLES,
    min_score: float = 0.2,
) -> Float64:
    """Return the (N, A) angles as :func:`joint_angles`; NaN where a keypoint that one needs scores below ``min_score``.

    Args:
        xy: (N, K, 2) pixels.
        score: (N, K).
        facing: (N,) as there.
        angles: Which ones.
        min_score: Smallest score of a keypoint that counts as seen.
    """
    values = joint_angles(xy, angles, facing)
    seen = [(score[:, list(angle.joints)] >= min_score).all(axis=1) for angle in angles]
    return np.where(np.stack(seen, axis=1), values, np.nan) if seen else values


def rates(values: Float64, time_s: Float64) -> Float64:
    """Return the (T, A) changes a second of (T, A) values at (T,) times.

    They are central differences over the frames before and after, one-sided at the edges of gaps; NaN in gaps, and
    for values whose neighbours are both missing.
    """
    step = np.diff(time_s)[:, None]
    between = np.diff(values, axis=0)
    pad = np.full((1, values.shape[1]), np.nan)
    before, after = np.concatenate([pad, between]), np.concatenate([between, pad])
    waited, waits = np.concatenate([[[np.nan]], step]), np.concatenate([step, [[np.nan]]])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(
            np.isnan(before),
            after / waits,
            np.where(np.isnan(after), before / waited, (before + after) / (waited + waits)),
        )
    return np.where(np.isnan(values) | ~np.isfinite(found), np.nan, found)


def angular_rates(values: Float64, time_s: Float64) -> Float64:
    """Return the (T, A) angular speeds, degrees a second, as :func:`rates`; a step over 180 degrees is a turn back."""
    known = ~np.isnan(values)
    steady = values.copy()
    for column in range(values.shape[1]):
        steady[known[:, column], column] = np.unwrap(values[known[:, column], column], period=360)
    return rates(steady, time_s)


def _angle(xy: Float64, angle: Angle, facing: Float64) -> Float64:
    first = _direction(xy, angle.first)
    if angle.second is None:
        found = np.degrees(np.arctan2(-first[:, 1], first[:, 0]))
        length = np.hypot(*first.T)
    else:
        second = _direction(xy, angle.second)
        cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        turned = np.degrees(np.arctan2(cross, (first * second).sum(axis=1)))
        signed = turned * angle.turn * facing
        found = np.where(facing == 0, np.abs(turned), np.where(signed < LEAST, signed + 360, signed))
        length = np.minimum(np.hypot(*first.T), np.hypot(*second.T))
    return np.where(length > 0, found, np.nan)


def _direction(xy: Float64, direction: Direction) -> Float64:
    start, end = (xy[:, list(point)].mean(axis=1) for point in direction)
    return np.asarray(end - start)
