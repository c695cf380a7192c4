"""How near the joints are, and whether they are on the right side of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.evaluation.clips.matching import Float64, Mask, Pairs
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR

OF_TORSO: Final = 0.2
"""PCK@0.2: within a fifth of the torso."""

OF_BOX: Final = 0.1
"""PCK@0.1: within a tenth of the longer side of the box (Yang & Ramanan, TPAMI 2013)."""

APART: Final = 0.25
"""Left and right joints nearer to each other than this share of the torso, on average, cannot be told apart."""

CLEARLY: Final = 0.5
"""A pose is swapped where its joints lie this much nearer to those of the other side than to their own."""

LIMBS: Final = {
    "arms": [index for index, name in enumerate(KEYPOINTS) if name.endswith(("elbow", "wrist"))],
    "legs": [index for index, name in enumerate(KEYPOINTS) if name.endswith(("knee", "ankle"))],
}
BODY: Final = [index for index, name in enumerate(KEYPOINTS) if name.endswith(("shoulder", "hip"))]


@dataclass(frozen=True, slots=True)
class KeypointMetrics:
    """Of all joints that are labelled; errors of those that were found, too. None where there are none.

    Attributes:
        joints: How many are labelled.
        pck_torso: Share of them within 0.2 of the torso; not found counts as not within.
        pck_box: Share within 0.1 of the box's longer side.
        error_px: Mean distance, pixels.
        error_height: Mean distance, per cent of the person's height.
    """

    joints: int
    pck_torso: float | None
    pck_box: float | None
    error_px: float | None
    error_height: float | None


@dataclass(frozen=True, slots=True)
class Swaps:
    """People in frames in whom left and right are exchanged: the arms, the legs, or everything."""

    arms: int
    legs: int
    all: int


def accuracy(pairs: Pairs, keypoint: int | None = None) -> KeypointMetrics:
    """Of all keypoints or of one."""
    chosen = slice(None) if keypoint is None else [keypoint]
    error, labelled = pairs.error[:, chosen], np.isfinite(pairs.xy[:, chosen, 0])
    measurable = labelled & np.isfinite(pairs.torso)[:, None]
    near = np.nan_to_num(error, nan=np.inf)
    return KeypointMetrics(
        int(labelled.sum()),
        _mean((near <= OF_TORSO * pairs.torso[:, None])[measurable]),
        _mean((near <= OF_BOX * pairs.side[:, None])[labelled]),
        _mean(error[np.isfinite(error)]),
        _mean((100 * error / pairs.height[:, None])[np.isfinite(error)]),
    )


def _mean(values: Float64 | Mask) -> float | None:
    return float(values.mean()) if values.size else None


def swaps(pairs: Pairs) -> Swaps:
    """Count people in frames whose limbs lie clearly nearer to the other side's.

    A group of joints is swapped where their summed distance to the true joints of the other side is less than half of
    that to their own, and these sides are at least a quarter of the torso apart. Everything is swapped where arms and
    legs, or the trunk and one of them, are.
    """
    arms, legs, trunk = (_swapped(pairs, group) for group in (LIMBS["arms"], LIMBS["legs"], BODY))
    both = (arms & legs) | (trunk & (arms | legs))
    return Swaps(int((arms & ~both).sum()), int((legs & ~both).sum()), int(both.sum()))


def _swapped(pairs: Pairs, group: list[int]) -> Mask:
    """(R,) whether the joints of the group are those of the other side."""
    other = [MIRROR[joint] for joint in group]
    found, own, mirrored = pairs.found[:, group], pairs.xy[:, group], pairs.xy[:, other]
    known = np.isfinite(found + own + mirrored).all(axis=2)
    own_cost, other_cost, apart = (
        np.where(known, np.linalg.norm(difference, axis=2), 0).sum(axis=1)
        for difference in (found - own, found - mirrored, own - mirrored)
    )
    count = known.sum(axis=1)
    separate = apart > APART * np.nan_to_num(pairs.torso, nan=np.inf) * np.maximum(count, 1)
    swapped: Mask = (count >= 2) & separate & (other_cost < CLEARLY * own_cost)
    return swapped
