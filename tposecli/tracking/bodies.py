"""People as points that are compared and remembered: keypoints, and two corners of the box for where those fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.geometry.similarity import Float64
from tposecli.types import Poses

CORNERS: Final = 2

SWING: Final = {"elbow": 0.45, "wrist": 0.15, "knee": 0.45, "ankle": 0.15}
"""Limbs move of their own: what they say of the body's place counts so much, against 1 for trunk and head."""

LOOSE: Final = {"elbow": 1.0, "wrist": 1.6, "knee": 1.0, "ankle": 1.6}
"""How fast the tolerance of limbs grows while a person is out of sight."""

TIGHT: Final = 0.3
"""The same of trunk and head."""


@dataclass(frozen=True, eq=False, slots=True)
class Anatomy:
    """What is known of the points of a body.

    Attributes:
        weight: (P,) what each point says of the body's place.
        tolerance: (K,) what object keypoint similarity allows each keypoint, squared shares of the square root of area.
        loose: (K,) how fast that grows, squared: limbs against the trunk.
    """

    weight: Float64
    tolerance: Float64
    loose: Float64

    @classmethod
    def of(cls, layout: KeypointLayout) -> Anatomy:
        """Of bodies with these keypoints."""
        parts = [layout.part(joint) for joint in range(len(layout))]
        return cls(
            np.array([SWING.get(part, 1.0) for part in parts] + [1.0] * CORNERS),
            (2 * np.array(layout.sigmas)) ** 2,
            np.array([LOOSE.get(part, TIGHT) for part in parts]) ** 2,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Bodies:
    """N people of one frame.

    Attributes:
        points: (N, 2, P) x and y of keypoints and of left-top and right-bottom corners of the boxes, pixels.
        trust: (N, P) scores of the keypoints, 0 where too low; 1 for the corners.
        centre: (N, 2) of the boxes.
        size: (N,) longer side of the boxes, at least 1 pixel.
        anatomy: What all of them have in common.
    """

    points: Float64
    trust: Float64
    centre: Float64
    size: Float64
    anatomy: Anatomy

    def __getitem__(self, index: Any) -> Bodies:
        return Bodies(self.points[index], self.trust[index], self.centre[index], self.size[index], self.anatomy)

    @classmethod
    def of(cls, poses: Poses, min_score: float, anatomy: Anatomy) -> Bodies:
        """The people of a frame; keypoints scored under ``min_score`` are not trusted."""
        people, keypoints = poses.score.shape
        points, trust = np.empty((people, 2, keypoints + CORNERS)), np.ones((people, keypoints + CORNERS))
        points[:, :, :-CORNERS] = poses.xy.swapaxes(1, 2)
        points[:, :, -CORNERS:] = poses.boxes.xyxy.reshape(-1, CORNERS, 2).swapaxes(1, 2)
        np.multiply(poses.score, poses.score >= min_score, out=trust[:, :-CORNERS])
        first, last = points[:, :, -CORNERS], points[:, :, -1]
        return cls(points, trust, (first + last) / 2, np.maximum((last - first).max(axis=1), 1), anatomy)
