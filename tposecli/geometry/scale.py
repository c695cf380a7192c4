"""Pixels of a metre, from the height of a person who moves in the plane that is measured.

Lengths in the picture are those of a plane at one distance, parallel to the picture. Who is nearer is too large, who
comes nearer grows, and what points at the camera is too short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS

Float64 = NDArray[np.float64]

STANDING: Final = 0.897
"""Height of the eyes above the ankles as a fraction of a person's height (Drillis and Contini, 1966, in Winter,
Biomechanics and Motor Control of Human Movement). Ears are as high as eyes."""
LONG: Final = 75
"""Percentile of the lengths of all frames: limbs that point at the camera look shorter, none looks longer."""
STEADY: Final = 0.15
"""A person whose size varies by more of it does not stay at one distance."""
FRAMES: Final = 5
"""Frames with all of a person's joints that an estimate needs."""

_SIDES: Final = ("left", "right")
_ANKLE, _KNEE, _HIP, _SHOULDER, _EAR = (
    [KEYPOINTS.index(f"{side}_{part}") for side in _SIDES] for part in ("ankle", "knee", "hip", "shoulder", "ear")
)


@dataclass(frozen=True, slots=True)
class PixelScale:
    """Pixels of a metre.

    Attributes:
        px_per_m: The number.
        origin: Where it comes from, in words.
        varies: Share by which the size of that person varies over the video; 0 if unknown.
    """

    px_per_m: float
    origin: str
    varies: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it for the head of files."""
        return {"px_per_m": round(self.px_per_m, 3), "origin": self.origin}


def body_length(xy: NDArray[np.floating], score: NDArray[np.floating], min_score: float = 0.2) -> Float64:
    """Return the (N,) lengths from ankle over knee, hip and shoulder to ear in pixels; NaN if a joint is not seen.

    Args:
        xy: (N, 17, 2) pixels.
        score: (N, 17).
        min_score: Keypoints scored lower count as not seen.
    """
    points = np.where((score >= min_score)[:, :, None], xy.astype(np.float64), np.nan)

    def longer(start: list[int], end: list[int]) -> Float64:
        length = np.hypot(*np.moveaxis(points[:, end] - points[:, start], 2, 0))
        return np.asarray(np.fmax(length[:, 0], length[:, 1]))

    def between(start: list[int], end: list[int]) -> Float64:
        return np.asarray(np.hypot(*(points[:, end].mean(axis=1) - points[:, start].mean(axis=1)).T))

    neck = np.hypot(*(_middle(points[:, _EAR]) - points[:, _SHOULDER].mean(axis=1)).T)
    return np.asarray(longer(_ANKLE, _KNEE) + longer(_KNEE, _HIP) + between(_HIP, _SHOULDER) + neck)


def _middle(points: Float64) -> Float64:
    """Return the (N, 2) middle of (N, 2, 2) points, or one of them if the other is not seen."""
    first, second = points[:, 0], points[:, 1]
    first, second = np.where(np.isnan(first), second, first), np.where(np.isnan(second), first, second)
    return np.asarray((first + second) / 2)


def scale_from_height(lengths: Float64, height_m: float, who: str) -> PixelScale:
    """Return the scale from (T,) lengths of :func:`body_length` of a person of that height.

    Raises:
        ValueError: The person is seen whole in too few frames.
    """
    known = lengths[np.isfinite(lengths)]
    if len(known) < FRAMES:
        raise ValueError(f"{who} is seen from head to ankles in {len(known)} frames, and the scale needs {FRAMES}")
    low, long, high = np.percentile(known, [10, LONG, 90])
    return PixelScale(
        float(long) / STANDING / height_m, f"the height of {who}, {height_m:g} m", float((high - low) / long)
    )
