"""People as points that are compared and remembered: keypoints, and two corners of the box for where those fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tposecli.similarity import Float64
from tposecli.skeleton import Layout
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
        sigmas: (K,) constants of object keypoint similarity.
        loose: (K,) how fast the tolerance of each keypoint grows, limbs against the trunk.
    """

    weight: Float64
    sigmas: Float64
    loose: Float64

    @classmethod
    def of(cls, layout: Layout) -> Anatomy:
        """Of bodies with these keypoints."""
        parts = [layout.part(joint) for joint in range(len(layout))]
        return cls(
            np.array([SWING.get(part, 1.0) for part in parts] + [1.0] * CORNERS),
            np.array(layout.sigmas),
            np.array([LOOSE.get(part, TIGHT) for part in parts]),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Bodies:
    """N people of one frame.

    Attributes:
        points: (N, P, 2) keypoints and left-top and right-bottom corners of the boxes, pixels.
        trust: (N, P) scores of the keypoints, 0 where too low; 1 for the corners.
        anatomy: What all of them have in common.
    """

    points: Float64
    trust: Float64
    anatomy: Anatomy

    def __getitem__(self, index: Any) -> Bodies:
        return Bodies(self.points[index], self.trust[index], self.anatomy)

    @classmethod
    def of(cls, poses: Poses, min_score: float, anatomy: Anatomy) -> Bodies:
        """The people of a frame; keypoints scored under ``min_score`` are not trusted."""
        corners = poses.boxes.xyxy.reshape(-1, CORNERS, 2)
        points = np.concatenate([poses.xy, corners], axis=1, dtype=np.float64)
        trust = np.ones(points.shape[:2])
        trust[:, :-CORNERS] = np.where(poses.score >= min_score, poses.score, 0)
        return cls(points, trust, anatomy)

    @property
    def centre(self) -> Float64:
        """(N, 2) of the boxes."""
        centre: Float64 = self.points[:, -CORNERS:].mean(axis=1)
        return centre

    @property
    def size(self) -> Float64:
        """(N,) longer side of the boxes, at least 1 pixel."""
        sides: Float64 = self.points[:, -1] - self.points[:, -CORNERS]
        size: Float64 = sides.max(axis=1, initial=1)
        return size
