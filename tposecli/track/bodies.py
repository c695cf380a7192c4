"""People as points that are compared and remembered: keypoints, and two corners of the box for where those fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tposecli.similarity import Float64
from tposecli.skeleton import KEYPOINTS
from tposecli.types import Poses

CORNERS: Final = 2

SWING: Final = {"elbow": 0.45, "wrist": 0.15, "knee": 0.45, "ankle": 0.15}
"""Limbs move of their own: what they say of the body's place counts so much, against 1 for trunk and head."""

WEIGHT: Final = np.array([SWING.get(name.split("_")[-1], 1.0) for name in KEYPOINTS] + [1.0] * CORNERS)
"""(P,) what each point says of the body's place."""


@dataclass(frozen=True, eq=False, slots=True)
class Bodies:
    """N people of one frame.

    Attributes:
        points: (N, P, 2) keypoints and left-top and right-bottom corners of the boxes, pixels.
        trust: (N, P) scores of the keypoints, 0 where too low; 1 for the corners.
    """

    points: Float64
    trust: Float64

    def __getitem__(self, index: Any) -> Bodies:
        return Bodies(self.points[index], self.trust[index])

    @classmethod
    def of(cls, poses: Poses, min_score: float) -> Bodies:
        """The people of a frame; keypoints scored under ``min_score`` are not trusted."""
        corners = poses.boxes.xyxy.reshape(-1, CORNERS, 2)
        points = np.concatenate([poses.xy, corners], axis=1, dtype=np.float64)
        trust = np.ones(points.shape[:2])
        trust[:, :-CORNERS] = np.where(poses.score >= min_score, poses.score, 0)
        return cls(points, trust)

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
