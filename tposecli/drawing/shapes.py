"""The shapes that make up a drawn person: discs and tapering limbs, with sub-pixel coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.drawing.labels import SUBPIXEL_BITS, Float64
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.types import Image, Poses

Int32 = NDArray[np.int32]
Mask = NDArray[np.bool_]

TAPER: Final = {
    **dict.fromkeys(("shoulder", "hip", "neck", "pelvis"), 1.0),
    **dict.fromkeys(("wrist", "ankle", "hand", "foot", "paw", "hoof"), 0.64),
    **{"nose": 0.5, "eye": 0.42, "ear": 0.42},
}
"""Thickness at joints relative to the trunk: limbs narrow towards hands and feet, faces are drawn fine."""

DEFAULT_TAPER: Final = 0.86
"""Likewise at knees, elbows and all other joints."""

OPACITY_STEPS: Final = 6
"""Number of distinct opacities."""


@dataclass(frozen=True, slots=True)
class StrokeStyle:
    """The fields of ``DrawStyle`` that determine the shapes."""

    min_score: float
    opaque_score: float
    width: float
    limbs: bool
    layout: KeypointLayout

    @property
    def taper(self) -> Float64:
        """The (K,) thickness at each joint relative to the trunk."""
        return np.array([TAPER.get(self.layout.part(joint), DEFAULT_TAPER) for joint in range(len(self.layout))])

    @property
    def ends(self) -> NDArray[np.intp]:
        """The (limbs, 2) keypoints that each limb joins."""
        return np.array(self.layout.limbs, np.intp).reshape(-1, 2)


@dataclass(frozen=True, eq=False, slots=True)
class Shapes:
    """The shapes of N people. A subpixel is 1 / 2**``SUBPIXEL_BITS`` of a pixel.

    Attributes:
        ends: (limbs, 2) keypoints that each limb joins.
        xy: (N, K, 2) joints, pixels.
        shown: (N, K) which joints are drawn.
        limb_shown: (N, limbs) which limbs are drawn.
        opacity: (N, K) in 1..``OPACITY_STEPS``.
        centre: (N, K, 2) joints, subpixels.
        radius: (N, K) radii of the joints' discs, subpixels.
        rim: (N,) widths of the dark outline, subpixels.
        limbs: (N, limbs, 4, 2) corners of the limbs, subpixels.
        rim_quads: Likewise, widened by the rim.
        extents: Likewise, widened by the rim and by the pixel that antialiased edges spill over.
    """

    ends: NDArray[np.intp]
    xy: Float64
    shown: Mask
    limb_shown: Mask
    opacity: Int32
    centre: Int32
    radius: Int32
    rim: Int32
    limbs: Int32
    rim_quads: Int32
    extents: Int32

    @classmethod
    def of(cls, poses: Poses, image_shape: tuple[int, ...], strokes: StrokeStyle) -> Shapes:
        """Return the shapes for an (H, W, ...) image; thickness scales with the person, within limits set by the image.

        Joints far outside the image are not drawn, since OpenCV's fixed-point coordinates would overflow.
        """
        short, long = min(image_shape[:2]), max(image_shape[:2])
        trunk = np.clip(0.0125 * person_size(poses), max(1.0, 0.0016 * short), max(1.0, 0.0075 * short)) * strokes.width
        near = np.asarray((np.abs(poses.xy) < 4 * long).all(axis=2))
        shown = near & (poses.score >= strokes.min_score)
        xy = np.where(near[:, :, None], poses.xy.astype(np.float64), 0)
        confidence = (poses.score - strokes.min_score) / max(strokes.opaque_score - strokes.min_score, 1e-6)
        radius, rim = trunk[:, None] * strokes.taper, np.maximum(0.75, 0.34 * trunk)
        first, second = strokes.ends.T
        ends, radii = (xy[:, first], xy[:, second]), (radius[:, first], radius[:, second])
        return cls(
            ends=strokes.ends,
            xy=xy,
            shown=shown,
            limb_shown=shown[:, first] & shown[:, second] & strokes.limbs,
            opacity=np.ceil((0.3 + 0.7 * np.clip(confidence, 0, 1)) * OPACITY_STEPS).astype(np.int32),
            centre=to_subpixels(xy),
            radius=to_subpixels((1.5 if strokes.limbs else 2.4) * radius),
            rim=to_subpixels(rim),
            limbs=_quads(ends, radii),
            rim_quads=_quads(ends, radii, rim[:, None]),
            extents=_quads(ends, radii, rim[:, None] + 1),
        )

    def translucent(self, person: int) -> Mask:
        """Return which of the (K,) joints are not opaque, or are joined by a limb to one that is not."""
        faint: Mask = self.shown[person] & (self.opacity[person] < OPACITY_STEPS)
        reached = faint.copy()
        for limb in self.limbs_of(person):
            first, second = self.ends[limb]
            if faint[first] or faint[second]:
                reached[[first, second]] = True
        return reached

    def limbs_of(self, person: int) -> list[int]:
        """Return the limbs of one person that are drawn."""
        limbs: list[int] = np.flatnonzero(self.limb_shown[person]).tolist()
        return limbs

    def window(self, person: int, joints: Mask, image_shape: tuple[int, ...]) -> tuple[slice, slice] | None:
        """Return the rows and columns that hold the drawing of some joints; None if none of it is inside the image."""
        xy = self.xy[person][joints]
        if not len(xy):
            return None
        margin = (int(self.radius[person].max()) + int(self.rim[person])) / (1 << SUBPIXEL_BITS) + 2
        left, top = np.maximum(np.floor(xy.min(axis=0) - margin), 0).astype(int).tolist()
        right, bottom = (np.ceil(xy.max(axis=0) + margin) + 1).astype(int).tolist()
        right, bottom = min(right, image_shape[1]), min(bottom, image_shape[0])
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def discs(self, person: int, origin: Int32) -> Iterator[tuple[int, tuple[int, int], int]]:
        """Yield joint, centre and radius of each joint shown, in subpixels relative to ``origin``."""
        centres, radii = (self.centre[person] - origin).tolist(), self.radius[person].tolist()
        for joint in np.flatnonzero(self.shown[person]).tolist():
            yield joint, (centres[joint][0], centres[joint][1]), radii[joint]

    def opacity_map(self, person: int, window_shape: tuple[int, ...], origin: Int32) -> Image:
        """Return the (h, w) uint8 opacity, 1..``OPACITY_STEPS``, of a figure; it is arbitrary outside the figure."""
        weight = np.full(window_shape[:2], OPACITY_STEPS, np.uint8)
        opacity, extents = self.opacity[person].tolist(), self.extents[person] - origin
        discs, pixel = list(self.discs(person, origin)), 1 << SUBPIXEL_BITS
        rim = int(self.rim[person]) + pixel
        for joint, centre, radius in discs:
            cv2.circle(weight, centre, radius + rim, opacity[joint], -1, cv2.LINE_8, SUBPIXEL_BITS)
        for limb in self.limbs_of(person):
            first, second = self.ends[limb]
            cv2.fillConvexPoly(weight, extents[limb], min(opacity[first], opacity[second]), cv2.LINE_8, SUBPIXEL_BITS)
        for joint, centre, radius in discs:
            cv2.circle(weight, centre, radius + pixel // 2, opacity[joint], -1, cv2.LINE_8, SUBPIXEL_BITS)
        return weight


def window_origin(window: tuple[slice, slice]) -> Int32:
    """Return the (2,) x, y of the window's corner, subpixels."""
    return np.array([window[1].start, window[0].start], np.int32) << SUBPIXEL_BITS


def person_size(poses: Poses) -> Float64:
    """Return the (N,) square roots of the box areas, pixels, at least 1."""
    sides = (poses.boxes.xyxy[:, 2:] - poses.boxes.xyxy[:, :2]).astype(np.float64)
    size: Float64 = np.sqrt(np.maximum(sides, 1).prod(axis=1))
    return size


def to_subpixels(pixels: Float64) -> Int32:
    """Convert pixels to the fixed-point unit that OpenCV draws with."""
    whole: Int32 = np.rint(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return whole


def _quads(ends: tuple[Float64, Float64], radii: tuple[Float64, Float64], grown: Float64 | float = 0) -> Int32:
    """Return the limbs as quadrilaterals; the discs of the joints round off their ends.

    Args:
        ends: Two (N, limbs, 2) joints, pixels.
        radii: Two (N, limbs) half widths there, pixels.
        grown: Added to both half widths.

    Returns:
        (N, limbs, 4, 2) corners, subpixels.
    """
    along = ends[1] - ends[0]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    first, second = across * (radii[0] + grown)[..., None], across * (radii[1] + grown)[..., None]
    corners = np.stack([ends[0] + first, ends[1] + second, ends[1] - second, ends[0] - first], axis=-2)
    return to_subpixels(corners)
