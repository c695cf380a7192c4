"""The 17 COCO keypoints: names, limbs, mirror pairs, OKS constants."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.types import Float32

KEYPOINTS: Final = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)

LIMBS: Final = (
    (15, 13),
    (13, 11),
    (16, 14),
    (14, 12),
    (11, 12),
    (5, 11),
    (6, 12),
    (5, 6),
    (5, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (1, 2),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
)
"""Pairs of 0-based keypoints, in the order of COCO's own ``skeleton`` field (which is 1-based)."""

MIRROR: Final = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""The keypoint that each one becomes when the picture is mirrored."""

OKS_SIGMAS: Float32 = np.array(
    [0.026, *np.repeat((0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089), 2)], dtype=np.float32
)
"""(17,) per-keypoint constants of object keypoint similarity, as COCO defines them."""


def side(keypoint: int) -> str:
    """``left``, ``right`` or ``centre``: the side of the body a keypoint belongs to."""
    head, _, rest = KEYPOINTS[keypoint].partition("_")
    return head if rest else "centre"
