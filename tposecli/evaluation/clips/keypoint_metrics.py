"""Keypoint accuracy, and swaps of the left and right sides of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.evaluation.clips.matching import Float64, Mask, Pairs
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR

PCK_TORSO: Final = 0.2
"""PCK@0.2: within 0.2 torso lengths."""

PCK_BOX: Final = 0.1
"""PCK@0.1: within 0.1 of the longer side of the box (Yang & Ramanan, TPAMI 2013)."""

MIN_SEPARATION: Final = 0.25
"""Sides whose joints are closer together than this, on average and in torso lengths, cannot be told apart."""

SWAP_RATIO: Final = 0.5
"""Joints are swapped if their distance to the other side is less than this times the distance to their own."""

LIMBS: Final = {
    "arms": [index for index, name in enumerate(KEYPOINTS) if name.endswith(("elbow", "wrist"))],
    "legs": [index for index, name in enumerate(KEYPOINTS) if name.endswith(("knee", "ankle"))],
}
TRUNK: Final = [index for index, name in enumerate(KEYPOINTS) if name.endswith(("shoulder", "hip"))]


@dataclass(frozen=True, slots=True)
class KeypointMetrics:
    """Accuracy over all labelled joints; errors only over those that were detected. None if there are none.

    Attributes:
        joints: Number of labelled joints.
        pck_torso: Fraction within 0.2 torso lengths; an undetected joint counts as a miss.
        pck_box: Fraction within 0.1 of the longer side of the box.
        error_px: Mean error in pixels.
        error_height: Mean error in per cent of the person's height.
    """

    joints: int
    pck_torso: float | None
    pck_box: float | None
    error_px: float | None
    error_height: float | None


@dataclass(frozen=True, slots=True)
class Swaps:
    """Number of person instances with left and right swapped: only the arms, only the legs, or the whole body."""

    arms: int
    legs: int
    all: int


def keypoint_metrics(pairs: Pairs, keypoint: int | None = None) -> KeypointMetrics:
    """Return the metrics over all keypoints, or of one."""
    chosen = slice(None) if keypoint is None else [keypoint]
    error, labelled = pairs.error[:, chosen], np.isfinite(pairs.xy[:, chosen, 0])
    measurable = labelled & np.isfinite(pairs.torso)[:, None]
    distance = np.nan_to_num(error, nan=np.inf)
    return KeypointMetrics(
        int(labelled.sum()),
        _mean((distance <= PCK_TORSO * pairs.torso[:, None])[measurable]),
        _mean((distance <= PCK_BOX * pairs.side[:, None])[labelled]),
        _mean(error[np.isfinite(error)]),
        _mean((100 * error / pairs.height[:, None])[np.isfinite(error)]),
    )


def _mean(values: Float64 | Mask) -> float | None:
    return float(values.mean()) if values.size else None


def count_swaps(pairs: Pairs) -> Swaps:
    """Count person instances whose limbs are clearly closer to those of the other side.

    A group of joints is swapped if its summed distance to the true joints of the other side is less than half of that
    to its own, and the two sides are at least a quarter of the torso apart. The whole body is swapped if both arms and
    legs are, or the trunk and one of them.
    """
    arms, legs, trunk = (_swapped(pairs, group) for group in (LIMBS["arms"], LIMBS["legs"], TRUNK))
    both = (arms & legs) | (trunk & (arms | legs))
    return Swaps(int((arms & ~both).sum()), int((legs & ~both).sum()), int(both.sum()))


def _swapped(pairs: Pairs, group: list[int]) -> Mask:
    """Return (R,) whether the joints of the group are on the wrong side."""
    other = [MIRROR[joint] for joint in group]
    found, own, mirrored = pairs.found[:, group], pairs.xy[:, group], pairs.xy[:, other]
    known = np.isfinite(found + own + mirrored).all(axis=2)
    own_cost, other_cost, apart = (
        np.where(known, np.linalg.norm(difference, axis=2), 0).sum(axis=1)
        for difference in (found - own, found - mirrored, own - mirrored)
    )
    count = known.sum(axis=1)
    separate = apart > MIN_SEPARATION * np.nan_to_num(pairs.torso, nan=np.inf) * np.maximum(count, 1)
    swapped: Mask = (count >= 2) & separate & (other_cost < SWAP_RATIO * own_cost)
    return swapped
