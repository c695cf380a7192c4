"""The 17 COCO keypoints: names, limbs, mirror pairs, OKS constants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
"""Index of the left-right counterpart of each keypoint."""

OKS_SIGMAS: Float32 = np.array(
    [0.026, *np.repeat((0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089), 2)], dtype=np.float32
)
"""(17,) per-keypoint constants of object keypoint similarity, as COCO defines them."""


@dataclass(frozen=True)
class KeypointLayout:
    """The K keypoints of a model.

    Attributes:
        names: Names of the keypoints.
        limbs: Pairs of 0-based keypoints.
        mirror: Index of the left-right counterpart of each keypoint.
        sigmas: Constants of object keypoint similarity.

    Raises:
        ValueError: The values are inconsistent.
    """

    names: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(set(self.names)) != count or len(self.sigmas) != count:
            raise ValueError("keypoints: expected unique names and one sigma each")
        if any(not 0 <= end < count for limb in self.limbs for end in limb):
            raise ValueError("skeleton: a limb refers to a keypoint that does not exist")
        if sorted(self.mirror) != list(range(count)):
            raise ValueError("mirror: expected a permutation of the keypoints")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_coco(self) -> bool:
        """Whether these are COCO's 17."""
        return self.names == KEYPOINTS

    def side(self, keypoint: int) -> str:
        """Return the side of the body that a keypoint belongs to: ``left``, ``right`` or ``centre``."""
        return next((word for word in self._words(keypoint) if word in ("left", "right")), "centre")

    def part(self, keypoint: int) -> str:
        """Return the name of the body part, without its side: ``wrist``."""
        return self._words(keypoint)[-1]

    def _words(self, keypoint: int) -> list[str]:
        return re.split(r"[\W_]+", self.names[keypoint].lower())

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON: in headers of journals and metadata of checkpoints."""
        limbs = [list(limb) for limb in self.limbs]
        values = {"keypoint_names": self.names, "skeleton": limbs, "mirror": self.mirror, "sigmas": self.sigmas}
        return {key: list(value) for key, value in values.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> KeypointLayout:
        """Return the layout from the values of :meth:`to_dict`; COCO's if they name no keypoints.

        Raises:
            ValueError: Values are missing or inconsistent.
        """
        names = tuple(values.get("keypoint_names", KEYPOINTS))
        if names == KEYPOINTS:
            return COCO
        try:
            limbs = tuple((int(first), int(second)) for first, second in values["skeleton"])
            mirror, sigmas = tuple(map(int, values["mirror"])), tuple(map(float, values["sigmas"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected skeleton, mirror and sigmas of the keypoints ({error!r})") from error
        return KeypointLayout(tuple(map(str, names)), limbs, mirror, sigmas)


COCO: Final = KeypointLayout(KEYPOINTS, LIMBS, MIRROR, tuple(float(f"{sigma:g}") for sigma in OKS_SIGMAS))
