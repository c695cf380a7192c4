"""People as sets of points to compare: the keypoints, plus two corners of the box for when keypoints are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.geometry.similarity import Float64
from tposecli.types import Poses

CORNERS: Final = 2
"""Points of the box that follow the keypoints: its top-left and bottom-right corners."""

LIMB_WEIGHT: Final = {"elbow": 0.45, "wrist": 0.15, "knee": 0.45, "ankle": 0.15}
"""Weights of limb keypoints in the body's position, relative to trunk and head: limbs also move on their own."""

LIMB_TOLERANCE_GROWTH: Final = {"elbow": 1.0, "wrist": 1.6, "knee": 1.0, "ankle": 1.6}
"""Relative growth of the tolerances of limb keypoints while a person is out of sight."""

TRUNK_TOLERANCE_GROWTH: Final = 0.3
"""Likewise for keypoints of the trunk and the head."""


@dataclass(frozen=True, eq=False, slots=True)
class Anatomy:
    """Per-point constants of a body with K keypoints and P = K + ``CORNERS`` points.

    Attributes:
        weight: (P,) weight of each point in the body's position.
        tolerance: (K,) squared OKS tolerance of each keypoint, relative to the area.
        tolerance_growth: (K,) squared relative growth of the tolerance while a person is out of sight.
    """

    weight: Float64
    tolerance: Float64
    tolerance_growth: Float64

    @classmethod
    def from_layout(cls, layout: KeypointLayout) -> Anatomy:
        """Return the constants for bodies with these keypoints."""
        parts = [layout.part(joint) for joint in range(len(layout))]
        return cls(
            np.array([LIMB_WEIGHT.get(part, 1.0) for part in parts] + [1.0] * CORNERS),
            (2 * np.array(layout.sigmas)) ** 2,
            np.array([LIMB_TOLERANCE_GROWTH.get(part, TRUNK_TOLERANCE_GROWTH) for part in parts]) ** 2,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Bodies:
    """The N people of one frame.

    Attributes:
        points: (N, 2, P) x and y of the keypoints and of the top-left and bottom-right box corners, pixels.
        confidence: (N, P) keypoint scores, 0 below the minimum score; 1 for the corners.
        centre: (N, 2) box centres, pixels.
        size: (N,) longer sides of the boxes, pixels, at least 1.
        anatomy: Constants shared by all of them.
    """

    points: Float64
    confidence: Float64
    centre: Float64
    size: Float64
    anatomy: Anatomy

    def __getitem__(self, index: Any) -> Bodies:
        return Bodies(self.points[index], self.confidence[index], self.centre[index], self.size[index], self.anatomy)

    @classmethod
    def from_poses(cls, poses: Poses, min_score: float, anatomy: Anatomy) -> Bodies:
        """Return the people of a frame; keypoints scored below ``min_score`` get confidence 0."""
        people, keypoints = poses.score.shape
        points, confidence = np.empty((people, 2, keypoints + CORNERS)), np.ones((people, keypoints + CORNERS))
        points[:, :, :-CORNERS] = poses.xy.swapaxes(1, 2)
        points[:, :, -CORNERS:] = poses.boxes.xyxy.reshape(-1, CORNERS, 2).swapaxes(1, 2)
        np.multiply(poses.score, poses.score >= min_score, out=confidence[:, :-CORNERS])
        first, last = points[:, :, -CORNERS], points[:, :, -1]
        return cls(points, confidence, (first + last) / 2, np.maximum((last - first).max(axis=1), 1), anatomy)
