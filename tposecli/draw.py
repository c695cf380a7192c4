"""Skeletons on a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.plate import FRACTION, INK, Colour, Float64, id_colour, lay, outline, plate
from tposecli.skeleton import KEYPOINTS, LIMBS, side
from tposecli.types import UNTRACKED, Image, Poses

Int32 = NDArray[np.int32]

TAPER: Final[Float64] = np.repeat([0.5, 0.42, 1.0, 0.86, 0.64, 1.0, 0.86, 0.64], [1, 4, 2, 2, 2, 2, 2, 2])
"""(17,) thickness at each joint relative to the trunk: limbs narrow towards hands and feet, faces are fine."""

SMALLEST_CORE: Final = 36
"""Radius of a joint, in fractions of a pixel, up to which its lighter core would only be a blot."""

STEPS: Final = 6
"""Degrees of opacity."""


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """How people are shown; colours are RGB.

    Attributes:
        min_score: Joints scored lower, and the limbs that end in them, are hidden.
        sure_score: Joints scored at least this are opaque; below it they fade.
        boxes: Whether to draw the box of each person.
        ids: Whether to write the id of each tracked person.
        width: Thickness relative to what suits the size of the person and of the picture.
        left: Limbs and joints of the left side of the body.
        right: Those of the right side.
        centre: Nose, shoulder line and hip line.
    """

    min_score: float = 0.2
    sure_score: float = 0.6
    boxes: bool = False
    ids: bool = False
    width: float = 1.0
    left: Colour = (41, 171, 255)
    right: Colour = (255, 149, 28)
    centre: Colour = (244, 244, 238)

    def __post_init__(self) -> None:
        for name in ("min_score", "sure_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0..1, got {value}")
        if not self.width > 0:
            raise ValueError(f"width: expected more than 0, got {self.width}")


@dataclass(frozen=True, eq=False, slots=True)
class _Shapes:
    """What is to be drawn of N people.

    Attributes:
        xy: (N, K, 2) joints, pixels.
        shown: (N, K) which of them are drawn.
        opacity: (N, K) in 1..STEPS.
        centre: (N, K, 2) joints in fractions of a pixel.
        radius: (N, K) of the discs of the joints, fractions of a pixel.
        rim: (N,) width of the dark outline, fractions of a pixel.
        limbs: (N, limbs, 4, 2) corners of the limbs, fractions of a pixel.
        edges: The same, wider by the rim.
        cover: The same, wider by the rim and the pixel that smooth edges spill over.
    """

    xy: Float64
    shown: NDArray[np.bool_]
    opacity: Int32
    centre: Int32
    radius: Int32
    rim: Int32
    limbs: Int32
    edges: Int32
    cover: Int32


class Draw:
    """Draws poses in the manner of a broadcast graphic: tapering limbs coloured by side of the body, on a dark rim.

    Thickness follows the person and the picture, so 480p and 4K look alike; joints the network doubts fade; positions
    are sub-pixel; larger (nearer) people cover smaller ones.
    """

    def __init__(self, style: DrawStyle | None = None) -> None:
        self._style = style or DrawStyle()
        sides = {"left": self._style.left, "right": self._style.right, "centre": self._style.centre}
        self._joint_colours = [sides[side(joint)] for joint in range(len(KEYPOINTS))]
        self._core_colours = [_mix(colour, (255, 255, 255), 0.72) for colour in self._joint_colours]
        self._limb_colours = [sides[_limb_side(first, second)] for first, second in LIMBS]

    def draw(self, image: Image, poses: Poses) -> Image:
        """Draw on ``image`` itself and return it; copy it first where the clean picture is still needed.

        Args:
            image: (H, W, 3) uint8 RGB, writable, rows contiguous.
            poses: N people with the 17 COCO keypoints.

        Raises:
            ValueError: The image cannot be drawn on, or the keypoints are others.
        """
        if not image.flags.writeable or not image.flags.c_contiguous:
            raise ValueError("image: expected a writable, contiguous array; draw on a copy")
        if poses.xy.shape[1] != len(KEYPOINTS):
            raise ValueError(f"poses: expected {len(KEYPOINTS)} keypoints, got {poses.xy.shape[1]}")
        ordered = poses[np.argsort(_size(poses), kind="stable")]
        shapes = self._shapes(ordered, image.shape)
        for person in range(len(poses)):
            if self._style.boxes:
                outline(image, ordered.boxes.xyxy[person], id_colour(ordered.track_id[person]))
            self._person(image, shapes, person)
        if self._style.ids:
            for person in np.flatnonzero(ordered.track_id != UNTRACKED).tolist():
                self._label(image, ordered, shapes, person)
        return image

    def _shapes(self, poses: Poses, picture: tuple[int, ...]) -> _Shapes:
        style, short, long = self._style, min(picture[:2]), max(picture[:2])
        trunk = np.clip(0.0125 * _size(poses), max(1.0, 0.0016 * short), max(1.0, 0.0075 * short)) * style.width
        near = np.asarray((np.abs(poses.xy) < 4 * long).all(axis=2))
        xy = np.where(near[:, :, None], poses.xy.astype(np.float64), 0)
        sure = (poses.score - style.min_score) / max(style.sure_score - style.min_score, 1e-6)
        radius, rim = trunk[:, None] * TAPER, np.maximum(0.75, 0.34 * trunk)
        first, second = np.array(LIMBS).T
        ends, radii = (xy[:, first], xy[:, second]), (radius[:, first], radius[:, second])
        return _Shapes(
            xy=xy,
            shown=near & (poses.score >= style.min_score),
            opacity=np.ceil((0.3 + 0.7 * np.clip(sure, 0, 1)) * STEPS).astype(np.int32),
            centre=_fractions(xy),
            radius=_fractions(1.5 * radius),
            rim=_fractions(rim),
            limbs=_quads(ends, radii),
            edges=_quads(ends, radii, rim[:, None]),
            cover=_quads(ends, radii, rim[:, None] + 1),
        )

    def _person(self, image: Image, shapes: _Shapes, person: int) -> None:
        """One person, drawn within the smallest window that holds the figure; only doubtful parts are blended."""
        window = _window(shapes, person, shapes.shown[person], image.shape)
        if window is None:
            return
        doubt = _window(shapes, person, _doubtful(shapes, person), image.shape)
        if doubt is None:
            self._figure(image[window], shapes, person, _origin(window))
            return
        part = image[doubt]
        before = part.copy()
        self._figure(image[window], shapes, person, _origin(window))
        figure, steps = part.copy(), _opacity_map(part.shape, shapes, person, _origin(doubt))
        for step in np.unique(shapes.opacity[person][shapes.shown[person]]).tolist():
            if step < STEPS:
                mixed = cv2.addWeighted(figure, step / STEPS, before, 1 - step / STEPS, 0)
                cv2.copyTo(mixed, cv2.compare(steps, step, cv2.CMP_EQ), part)

    def _figure(self, canvas: Image, shapes: _Shapes, person: int, origin: Int32) -> None:
        """Rims first, so that no part of a figure is cut by the rim of another of its parts."""
        limbs = _limbs(shapes.shown[person])
        edges, fills = shapes.edges[person] - origin, shapes.limbs[person] - origin
        rim = int(shapes.rim[person])
        discs = list(_discs(shapes, person, origin))
        for limb in limbs:
            cv2.fillConvexPoly(canvas, edges[limb], INK, cv2.LINE_AA, FRACTION)
        for _, centre, radius in discs:
            cv2.circle(canvas, centre, radius + rim, INK, -1, cv2.LINE_AA, FRACTION)
        for limb in limbs:
            cv2.fillConvexPoly(canvas, fills[limb], self._limb_colours[limb], cv2.LINE_AA, FRACTION)
        for joint, centre, radius in discs:
            cv2.circle(canvas, centre, radius, self._joint_colours[joint], -1, cv2.LINE_AA, FRACTION)
            if radius > SMALLEST_CORE:
                cv2.circle(canvas, centre, radius * 5 // 9, self._core_colours[joint], -1, cv2.LINE_AA, FRACTION)

    def _label(self, image: Image, poses: Poses, shapes: _Shapes, person: int) -> None:
        """The id on a small plate: on the corner of the box where boxes are drawn, else above the head."""
        track = int(poses.track_id[person])
        short = min(image.shape[:2])
        height = round(np.clip(0.09 * _size(poses[person : person + 1])[0], max(15, 0.024 * short), 0.042 * short + 6))
        picture, weight = plate(str(track), height, id_colour(track))
        box, joints = poses.boxes.xyxy[person], shapes.xy[person][shapes.shown[person]]
        if self._style.boxes or not len(joints):
            left, bottom = box[0] - 1, box[1] + 1
        else:
            head = joints[joints[:, 1].argmin()]
            left, bottom = head[0] - picture.shape[1] / 2, head[1] - 0.6 * height
        lay(image, picture, weight, (round(float(left)), round(float(bottom)) - picture.shape[0]))


def _limb_side(first: int, second: int) -> str:
    """The side both ends share; a limb from the nose belongs to the side of its other end."""
    sides = {side(first), side(second)} - {"centre"}
    return sides.pop() if len(sides) == 1 else "centre"


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _size(poses: Poses) -> Float64:
    """(N,) square root of the box area in pixels, at least 1."""
    sides = (poses.boxes.xyxy[:, 2:] - poses.boxes.xyxy[:, :2]).astype(np.float64)
    size: Float64 = np.sqrt(np.maximum(sides, 1).prod(axis=1))
    return size


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
    return _fractions(corners)


def _fractions(pixels: Float64) -> Int32:
    whole: Int32 = np.rint(pixels * (1 << FRACTION)).astype(np.int32)
    return whole


def _limbs(shown: NDArray[np.bool_]) -> list[int]:
    """The limbs of which both ends are shown."""
    return [limb for limb, (first, second) in enumerate(LIMBS) if shown[first] and shown[second]]


def _doubtful(shapes: _Shapes, person: int) -> NDArray[np.bool_]:
    """(K,) joints that are not opaque, and those that a limb joins to them."""
    shown = shapes.shown[person]
    faint: NDArray[np.bool_] = shown & (shapes.opacity[person] < STEPS)
    reached = faint.copy()
    for first, second in LIMBS:
        if faint[first] or faint[second]:
            reached[[first, second]] = True
    reached &= shown
    return reached


def _window(
    shapes: _Shapes, person: int, joints: NDArray[np.bool_], picture: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Rows and columns of everything that is drawn of some joints; None where nothing is inside the picture."""
    xy = shapes.xy[person][joints]
    if not len(xy):
        return None
    margin = (int(shapes.radius[person].max()) + int(shapes.rim[person])) / (1 << FRACTION) + 2
    left, top = np.maximum(np.floor(xy.min(axis=0) - margin), 0).astype(int).tolist()
    right, bottom = (np.ceil(xy.max(axis=0) + margin) + 1).astype(int).tolist()
    right, bottom = min(right, picture[1]), min(bottom, picture[0])
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def _origin(window: tuple[slice, slice]) -> Int32:
    """(2,) x, y of the window's corner in fractions of a pixel."""
    return np.array([window[1].start, window[0].start], np.int32) << FRACTION


def _discs(shapes: _Shapes, person: int, origin: Int32) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Joint, centre and radius of each joint shown, in fractions of a pixel from ``origin``."""
    centres, radii = (shapes.centre[person] - origin).tolist(), shapes.radius[person].tolist()
    for joint in np.flatnonzero(shapes.shown[person]).tolist():
        yield joint, (centres[joint][0], centres[joint][1]), radii[joint]


def _opacity_map(picture: tuple[int, ...], shapes: _Shapes, person: int, origin: Int32) -> Image:
    """(h, w) uint8 in 1..STEPS, how much of a figure is seen; it matters only where the figure is."""
    weight = np.full(picture[:2], STEPS, np.uint8)
    opacity, cover = shapes.opacity[person].tolist(), shapes.cover[person] - origin
    discs, pixel = list(_discs(shapes, person, origin)), 1 << FRACTION
    rim = int(shapes.rim[person]) + pixel
    for joint, centre, radius in discs:
        cv2.circle(weight, centre, radius + rim, opacity[joint], -1, cv2.LINE_8, FRACTION)
    for limb in _limbs(shapes.shown[person]):
        first, second = LIMBS[limb]
        cv2.fillConvexPoly(weight, cover[limb], min(opacity[first], opacity[second]), cv2.LINE_8, FRACTION)
    for joint, centre, radius in discs:
        cv2.circle(weight, centre, radius + pixel // 2, opacity[joint], -1, cv2.LINE_8, FRACTION)
    return weight
