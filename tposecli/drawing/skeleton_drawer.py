"""Skeletons on a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import cv2
import numpy as np

from tposecli.drawing.labels import FRACTION, INK, Colour, id_colour, lay, outline, plate
from tposecli.drawing.privacy import Background, cover
from tposecli.drawing.shapes import STEPS, Int32, Shapes, Strokes, origin_of, size_of
from tposecli.drawing.trails import Trails
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.types import UNTRACKED, Image, Poses

MIN_CORE: Final = 36
"""Radius of a joint, in fractions of a pixel, up to which its lighter core would only be a blot."""

FACE: Final = ("nose", "eye", "ear", "mouth", "chin")
"""Joints that lie close together: their names take their places last."""

Inks = tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Colour, ...]]
"""Colours of the joints, of their cores, and of the limbs."""


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
        limbs: Whether to draw limbs, and not joints alone.
        colour_by: ``side`` of the body; or ``track``: each person in the colour of the id, left sides lighter.
        background: What lies under it: the picture, the picture blurred beyond recognition, or black.
        scores: Whether to write the score of each person.
        names: Whether to write the name of each joint, where there is room.
        trails: Keypoints (indices) of tracked people that leave a trail behind them.
        trail_s: How long it is, seconds.
    """

    min_score: float = 0.2
    sure_score: float = 0.6
    boxes: bool = False
    ids: bool = False
    width: float = 1.0
    left: Colour = (41, 171, 255)
    right: Colour = (255, 149, 28)
    centre: Colour = (244, 244, 238)
    limbs: bool = True
    colour_by: Literal["side", "track"] = "side"
    background: Background = "keep"
    scores: bool = False
    names: bool = False
    trails: tuple[int, ...] = ()
    trail_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("min_score", "sure_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0..1, got {value}")
        for name in ("width", "trail_s"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name}: expected more than 0, got {value}")

    def inks(self, who: int, layout: KeypointLayout = COCO) -> Inks:
        """What a person is drawn with, ``who`` being the number that chooses the colour of a track."""
        if self.colour_by == "side":
            return _inks(layout, self.left, self.right, self.centre)
        colour = id_colour(who)
        return _inks(layout, _mix(colour, (255, 255, 255), 0.45), colour, _mix(colour, (255, 255, 255), 0.2))


class SkeletonDrawer:
    """Draws poses in the manner of a broadcast graphic: tapering limbs coloured by side of the body, on a dark rim.

    Thickness follows the person and the picture, so 480p and 4K look alike; joints the network doubts fade; positions
    are sub-pixel; larger (nearer) people cover smaller ones. It remembers trails: use one ``SkeletonDrawer`` per video.
    """

    def __init__(self, style: DrawStyle | None = None, layout: KeypointLayout = COCO) -> None:
        self._style = style = style or DrawStyle()
        self._layout = layout
        self._strokes = Strokes(style.min_score, style.sure_score, style.width, style.limbs, layout)
        self._trails = Trails(style.trails, style.trail_s, style.min_score) if style.trails else None

    def draw(self, image: Image, poses: Poses, time_s: float | None = None) -> Image:
        """Draw on ``image`` itself and return it; copy it first where the clean picture is still needed.

        Args:
            image: (H, W, 3) uint8 RGB, writable, rows contiguous.
            poses: N people with the keypoints of the layout.
            time_s: Time of the frame, seconds; without it there are no trails.

        Raises:
            ValueError: The image cannot be drawn on, or the keypoints are others.
        """
        if not image.flags.writeable or not image.flags.c_contiguous:
            raise ValueError("image: expected a writable, contiguous array; draw on a copy")
        if poses.xy.shape[1] != len(self._layout):
            raise ValueError(f"poses: expected {len(self._layout)} keypoints, got {poses.xy.shape[1]}")
        cover(image, self._style.background)
        if self._trails is not None and time_s is not None:
            self._trails.update(poses, time_s)
            self._trails.draw(image, lambda who: self._style.inks(who, self._layout)[0], self._style.width)
        self._people(image, poses)
        return image

    def _people(self, image: Image, poses: Poses) -> None:
        """Everybody, then what is written about them."""
        order = np.argsort(size_of(poses), kind="stable")
        ordered = poses[order]
        who = np.where(ordered.track_id == UNTRACKED, order + 1, ordered.track_id).tolist()
        plates = who if self._style.colour_by == "track" else ordered.track_id.tolist()
        shapes = Shapes.of(ordered, image.shape, self._strokes)
        for person in range(len(poses)):
            if self._style.boxes:
                outline(image, ordered.boxes.xyxy[person], id_colour(plates[person]))
            self._person(image, shapes, person, self._style.inks(who[person], self._layout))
        if self._style.names:
            _write_names(image, shapes, self._layout)
        for person, text in enumerate(self._labels(ordered)):
            if text:
                self._label(image, ordered[person : person + 1], shapes, person, text)

    def _person(self, image: Image, shapes: Shapes, person: int, inks: Inks) -> None:
        """One person, drawn within the smallest window that holds the figure; only doubtful parts are blended."""
        window = shapes.window(person, shapes.shown[person], image.shape)
        if window is None:
            return
        doubt = shapes.window(person, shapes.doubtful(person), image.shape)
        if doubt is None:
            _figure(image[window], shapes, person, origin_of(window), inks)
            return
        part = image[doubt]
        before = part.copy()
        _figure(image[window], shapes, person, origin_of(window), inks)
        figure, steps = part.copy(), shapes.opacity_map(person, part.shape, origin_of(doubt))
        for step in np.unique(shapes.opacity[person][shapes.shown[person]]).tolist():
            if step < STEPS:
                mixed = cv2.addWeighted(figure, step / STEPS, before, 1 - step / STEPS, 0)
                cv2.copyTo(mixed, (steps == step).view(np.uint8), part)

    def _labels(self, poses: Poses) -> list[str]:
        """What is written about each person: id and score, as far as wanted and known."""
        style = self._style
        ids = [str(track) if style.ids and track != UNTRACKED else "" for track in poses.track_id.tolist()]
        scores = [f"{score:.2f}" if style.scores else "" for score in poses.person_score.tolist()]
        return [" ".join(filter(None, pair)) for pair in zip(ids, scores, strict=True)]

    def _label(self, image: Image, someone: Poses, shapes: Shapes, person: int, text: str) -> None:
        """A small plate: on the corner of the box where boxes are drawn, else above the head."""
        short = min(image.shape[:2])
        height = round(np.clip(0.09 * size_of(someone)[0], max(15, 0.024 * short), 0.042 * short + 6))
        picture, weight = plate(text, height, id_colour(int(someone.track_id[0])))
        box, joints = someone.boxes.xyxy[0], shapes.xy[person][shapes.shown[person]]
        if self._style.boxes or not len(joints):
            left, bottom = box[0] - 1, box[1] + 1
        else:
            head = joints[joints[:, 1].argmin()]
            left, bottom = head[0] - picture.shape[1] / 2, head[1] - 0.6 * height
        lay(image, picture, weight, (round(float(left)), round(float(bottom)) - picture.shape[0]))


def _figure(canvas: Image, shapes: Shapes, person: int, origin: Int32, inks: Inks) -> None:
    """Rims first, so that no part of a figure is cut by the rim of another of its parts."""
    joints, cores, colours = inks
    limbs = shapes.limbs_of(person)
    edges, fills = shapes.edges[person] - origin, shapes.limbs[person] - origin
    rim = int(shapes.rim[person])
    discs = list(shapes.discs(person, origin))
    for limb in limbs:
        cv2.fillConvexPoly(canvas, edges[limb], INK, cv2.LINE_AA, FRACTION)
    for _, centre, radius in discs:
        cv2.circle(canvas, centre, radius + rim, INK, -1, cv2.LINE_AA, FRACTION)
    for limb in limbs:
        cv2.fillConvexPoly(canvas, fills[limb], colours[limb], cv2.LINE_AA, FRACTION)
    for joint, centre, radius in discs:
        cv2.circle(canvas, centre, radius, joints[joint], -1, cv2.LINE_AA, FRACTION)
        if radius > MIN_CORE:
            cv2.circle(canvas, centre, radius * 5 // 9, cores[joint], -1, cv2.LINE_AA, FRACTION)


def _write_names(image: Image, shapes: Shapes, layout: KeypointLayout) -> None:
    """Names of joints, each beside its own; one that would cover another is left out."""
    height = round(max(11, 0.02 * min(image.shape[:2])))
    taken = np.zeros((0, 4))
    for joint in sorted(range(len(layout)), key=lambda joint: layout.part(joint) in FACE):
        picture, weight = plate(layout.names[joint].replace("_", " "), height, (244, 244, 238))
        for person in np.flatnonzero(shapes.shown[:, joint]).tolist():
            left, middle = shapes.xy[person, joint] + (shapes.radius[person, joint] / (1 << FRACTION) + 4, 0)
            corner = round(float(left)), round(float(middle)) - height // 2
            area = np.array([corner[0], corner[1], corner[0] + picture.shape[1], corner[1] + height])
            apart = (area[:2] >= taken[:, 2:]).any(axis=1) | (area[2:] <= taken[:, :2]).any(axis=1)
            if apart.all():
                lay(image, picture, weight, corner)
                taken = np.concatenate([taken, area[None]])


@lru_cache(maxsize=64)
def _inks(layout: KeypointLayout, left: Colour, right: Colour, centre: Colour) -> Inks:
    sides = {"left": left, "right": right, "centre": centre}
    joints = tuple(sides[layout.side(joint)] for joint in range(len(layout)))
    cores = tuple(_mix(colour, (255, 255, 255), 0.72) for colour in joints)
    return joints, cores, tuple(sides[_limb_side(layout, *limb)] for limb in layout.limbs)


def _limb_side(layout: KeypointLayout, first: int, second: int) -> str:
    """The side both ends share; a limb from the nose belongs to the side of its other end."""
    sides = {layout.side(first), layout.side(second)} - {"centre"}
    return sides.pop() if len(sides) == 1 else "centre"


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
