"""The shapes that people are drawn as: discs and tapering limbs, in fractions of a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.drawing.labels import FRACTION, Float64
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.types import Image, Poses

Int32 = NDArray[np.int32]
Mask = NDArray[np.bool_]

TAPER: Final = {
    **dict.fromkeys(("shoulder", "hip", "neck", "pelvis"), 1.0),
    **dict.fromkeys(("wrist", "ankle", "hand", "foot", "paw", "hoof"), 0.64),
    **{"nose": 0.5, "eye": 0.42, "ear": 0.42},
}
"""Thickness at joints relative to the trunk: limbs narrow towards hands and feet, faces are fine."""

MIDDLE: Final = 0.86
"""The same at knees, elbows and all others."""

STEPS: Final = 6
"""Degrees of opacity."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """What decides the shapes; as in ``DrawStyle``."""

    min_score: float
    sure_score: float
    width: float
    limbs: bool
    layout: KeypointLayout

    @property
    def taper(self) -> Float64:
        """(K,) thickness at each joint relative to the trunk."""
        return np.array([TAPER.get(self.layout.part(joint), MIDDLE) for joint in range(len(self.layout))])

    @property
    def ends(self) -> NDArray[np.intp]:
        """(limbs, 2) keypoints."""
        return np.array(self.layout.limbs, np.intp).reshape(-1, 2)


@dataclass(frozen=True, eq=False, slots=True)
class Shapes:
    """What is to be drawn of N people.

    Attributes:
        ends: (limbs, 2) keypoints that each limb joins.
        xy: (N, K, 2) joints, pixels.
        shown: (N, K) which of them are drawn.
        joined: (N, limbs) which limbs are drawn.
        opacity: (N, K) in 1..STEPS.
        centre: (N, K, 2) joints in fractions of a pixel.
        radius: (N, K) of the discs of the joints, fractions of a pixel.
        rim: (N,) width of the dark outline, fractions of a pixel.
        limbs: (N, limbs, 4, 2) corners of the limbs, fractions of a pixel.
        edges: The same, wider by the rim.
        cover: The same, wider by the rim and the pixel that smooth edges spill over.
    """

    ends: NDArray[np.intp]
    xy: Float64
    shown: Mask
    joined: Mask
    opacity: Int32
    centre: Int32
    radius: Int32
    rim: Int32
    limbs: Int32
    edges: Int32
    cover: Int32

    @classmethod
    def of(cls, poses: Poses, picture: tuple[int, ...], strokes: Strokes) -> Shapes:
        """Shapes for a picture of that (H, W, ...) shape; thickness follows the person and the picture."""
        short, long = min(picture[:2]), max(picture[:2])
        trunk = np.clip(0.0125 * size_of(poses), max(1.0, 0.0016 * short), max(1.0, 0.0075 * short)) * strokes.width
        near = np.asarray((np.abs(poses.xy) < 4 * long).all(axis=2))
        shown = near & (poses.score >= strokes.min_score)
        xy = np.where(near[:, :, None], poses.xy.astype(np.float64), 0)
        sure = (poses.score - strokes.min_score) / max(strokes.sure_score - strokes.min_score, 1e-6)
        radius, rim = trunk[:, None] * strokes.taper, np.maximum(0.75, 0.34 * trunk)
        first, second = strokes.ends.T
        ends, radii = (xy[:, first], xy[:, second]), (radius[:, first], radius[:, second])
        return cls(
            ends=strokes.ends,
            xy=xy,
            shown=shown,
            joined=shown[:, first] & shown[:, second] & strokes.limbs,
            opacity=np.ceil((0.3 + 0.7 * np.clip(sure, 0, 1)) * STEPS).astype(np.int32),
            centre=fractions(xy),
            radius=fractions((1.5 if strokes.limbs else 2.4) * radius),
            rim=fractions(rim),
            limbs=_quads(ends, radii),
            edges=_quads(ends, radii, rim[:, None]),
            cover=_quads(ends, radii, rim[:, None] + 1),
        )

    def doubtful(self, person: int) -> Mask:
        """(K,) joints that are not opaque, and those that a limb joins to them."""
        faint: Mask = self.shown[person] & (self.opacity[person] < STEPS)
        reached = faint.copy()
        for limb in self.limbs_of(person):
            first, second = self.ends[limb]
            if faint[first] or faint[second]:
                reached[[first, second]] = True
        return reached

    def limbs_of(self, person: int) -> list[int]:
        """The limbs that are drawn of one person."""
        limbs: list[int] = np.flatnonzero(self.joined[person]).tolist()
        return limbs

    def window(self, person: int, joints: Mask, picture: tuple[int, ...]) -> tuple[slice, slice] | None:
        """Rows and columns of everything that is drawn of some joints; None where nothing is inside the picture."""
        xy = self.xy[person][joints]
        if not len(xy):
            return None
        margin = (int(self.radius[person].max()) + int(self.rim[person])) / (1 << FRACTION) + 2
        left, top = np.maximum(np.floor(xy.min(axis=0) - margin), 0).astype(int).tolist()
        right, bottom = (np.ceil(xy.max(axis=0) + margin) + 1).astype(int).tolist()
        right, bottom = min(right, picture[1]), min(bottom, picture[0])
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def discs(self, person: int, origin: Int32) -> Iterator[tuple[int, tuple[int, int], int]]:
        """Joint, centre and radius of each joint shown, in fractions of a pixel from ``origin``."""
        centres, radii = (self.centre[person] - origin).tolist(), self.radius[person].tolist()
        for joint in np.flatnonzero(self.shown[person]).tolist():
            yield joint, (centres[joint][0], centres[joint][1]), radii[joint]

    def opacity_map(self, person: int, picture: tuple[int, ...], origin: Int32) -> Image:
        """(h, w) uint8 in 1..STEPS, how much of a figure is seen; it matters only where the figure is."""
        weight = np.full(picture[:2], STEPS, np.uint8)
        opacity, cover = self.opacity[person].tolist(), self.cover[person] - origin
        discs, pixel = list(self.discs(person, origin)), 1 << FRACTION
        rim = int(self.rim[person]) + pixel
        for joint, centre, radius in discs:
            cv2.circle(weight, centre, radius + rim, opacity[joint], -1, cv2.LINE_8, FRACTION)
        for limb in self.limbs_of(person):
            first, second = self.ends[limb]
            cv2.fillConvexPoly(weight, cover[limb], min(opacity[first], opacity[second]), cv2.LINE_8, FRACTION)
        for joint, centre, radius in discs:
            cv2.circle(weight, centre, radius + pixel // 2, opacity[joint], -1, cv2.LINE_8, FRACTION)
        return weight


def origin_of(window: tuple[slice, slice]) -> Int32:
    """(2,) x, y of the window's corner in fractions of a pixel."""
    return np.array([window[1].start, window[0].start], np.int32) << FRACTION


def size_of(poses: Poses) -> Float64:
    """(N,) square root of the box area in pixels, at least 1."""
    sides = (poses.boxes.xyxy[:, 2:] - poses.boxes.xyxy[:, :2]).astype(np.float64)
    size: Float64 = np.sqrt(np.maximum(sides, 1).prod(axis=1))
    return size


def fractions(pixels: Float64) -> Int32:
    """Pixels in the unit that OpenCV draws with."""
    whole: Int32 = np.rint(pixels * (1 << FRACTION)).astype(np.int32)
    return whole


def _quads(ends: tuple[Float64, Float64], radii: tuple[Float64, Float64], grown: Float64 | float = 0) -> Int32:
    """Sides of limbs as quadrilaterals; the discs of the joints round their ends.

    Args:
        ends: Two (N, limbs, 2) joints, pixels.
        radii: Two (N, limbs) half widths there, pixels.
        grown: Added to both half widths.

    Returns:
        (N, limbs, 4, 2) corners in fractions of a pixel.
    """
    along = ends[1] - ends[0]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    first, second = across * (radii[0] + grown)[..., None], across * (radii[1] + grown)[..., None]
    corners = np.stack([ends[0] + first, ends[1] + second, ends[1] - second, ends[0] - first], axis=-2)
    return fractions(corners)
