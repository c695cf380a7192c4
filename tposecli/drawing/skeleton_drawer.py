"""Draw skeletons on an image."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from tposecli.drawing.angle_marks import AngleMarks
from tposecli.drawing.labels import OUTLINE_COLOUR, SUBPIXEL_BITS, draw_box, id_colour, paste, render_label
from tposecli.drawing.privacy import hide_background
from tposecli.drawing.shapes import OPACITY_STEPS, Int32, Shapes, StrokeStyle, person_size, window_origin
from tposecli.drawing.style import Colour, DrawStyle
from tposecli.drawing.trails import Trails
from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.geometry.motion_options import AngleOptions
from tposecli.types import UNTRACKED, Image, Poses

MIN_CORE: Final = 36
"""Radius of a joint, in subpixels, up to which it has no lighter core: it would only be a blot."""

FACE: Final = ("nose", "eye", "ear", "mouth", "chin")
"""Joints that lie close together: their names are placed last."""

FigureColours = tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Colour, ...]]
"""Colours of the joints, of their cores, and of the limbs."""


def figure_colours(style: DrawStyle, who: int, layout: KeypointLayout = COCO) -> FigureColours:
    """Return the colours of a person, where ``who`` selects the colour of the track."""
    if style.colour_by == "side":
        return _figure_colours(layout, style.left, style.right, style.centre)
    colour = id_colour(who)
    return _figure_colours(layout, _mix(colour, (255, 255, 255), 0.45), colour, _mix(colour, (255, 255, 255), 0.2))


class SkeletonDrawer:
    """Draws poses in the style of a broadcast graphic: tapering limbs coloured by side of the body, with a dark rim.

    Thickness scales with the person and the image, so 480p and 4K look alike; low-scoring joints fade; positions are
    sub-pixel; larger (nearer) people cover smaller ones. Trails make it stateful: use one ``SkeletonDrawer`` per video.
    """

    def __init__(
        self, style: DrawStyle | None = None, layout: KeypointLayout = COCO, people: Mapping[int, str] | None = None
    ) -> None:
        """Create the drawer of one video.

        Args:
            style: How people are drawn.
            layout: The keypoints.
            people: Names of people by their ids; they are always written.
        """
        self._style = style = style or DrawStyle()
        self._layout = layout
        self._people = {person: text for person, name in (people or {}).items() if (text := _drawable(name))}
        self._strokes = StrokeStyle(style.min_score, style.opaque_score, style.width, style.limbs, layout)
        self._angles = AngleMarks(AngleOptions(style.facing, style.min_score)) if style.angles else None
        self._trails = Trails(style.trails, style.trail_s, style.min_score) if style.trails else None

    def draw(self, image: Image, poses: Poses, time_s: float | None = None) -> Image:
        """Draw on ``image`` itself and return it; copy it first if the original is still needed.

        Args:
            image: (H, W, 3) uint8 RGB, writable, rows contiguous.
            poses: N people with the keypoints of the layout.
            time_s: Time of the frame, seconds; without it no trails are drawn.

        Raises:
            ValueError: The image cannot be drawn on, or the number of keypoints is not that of the layout.
        """
        if not image.flags.writeable or not image.flags.c_contiguous:
            raise ValueError("image: expected a writable, contiguous array; draw on a copy")
        if poses.xy.shape[1] != len(self._layout):
            raise ValueError(f"poses: expected {len(self._layout)} keypoints, got {poses.xy.shape[1]}")
        hide_background(image, self._style.background)
        if self._trails is not None and time_s is not None:
            self._trails.update(poses, time_s)
            self._trails.draw(image, lambda who: figure_colours(self._style, who, self._layout)[0], self._style.width)
        self._draw_people(image, poses, time_s or 0.0)
        return image

    def follow(self, poses: Poses, time_s: float) -> None:
        """Take a frame that is not drawn, for what later ones show of it: trails, and where people face.

        Args:
            poses: N people with the keypoints of the layout.
            time_s: Time of the frame, seconds.
        """
        if self._trails is not None:
            self._trails.update(poses, time_s)
        if self._angles is not None:
            self._angles.follow(poses[np.argsort(person_size(poses), kind="stable")], time_s)

    def _draw_people(self, image: Image, poses: Poses, time_s: float) -> None:
        """Draw all figures, smallest first, then all text, so that no figure covers a label."""
        order = np.argsort(person_size(poses), kind="stable")
        ordered = poses[order]
        who = np.where(ordered.track_id == UNTRACKED, order + 1, ordered.track_id).tolist()
        box_ids = who if self._style.colour_by == "track" else ordered.track_id.tolist()
        shapes = Shapes.of(ordered, image.shape, self._strokes)
        for person in range(len(poses)):
            if self._style.boxes:
                draw_box(image, ordered.boxes.xyxy[person], id_colour(box_ids[person]))
            self._draw_person(image, shapes, person, figure_colours(self._style, who[person], self._layout))
        if self._angles is not None:
            colours = [figure_colours(self._style, each, self._layout)[0] for each in who]
            self._angles.draw(image, ordered, time_s, colours)
        if self._style.names:
            _write_names(image, shapes, self._layout)
        for person, text in enumerate(self._labels(ordered)):
            if text:
                self._draw_label(image, ordered[person : person + 1], shapes, person, text)

    def _draw_person(self, image: Image, shapes: Shapes, person: int, colours: FigureColours) -> None:
        """Draw one person within the smallest window that holds the figure; only translucent parts are blended."""
        window = shapes.window(person, shapes.shown[person], image.shape)
        if window is None:
            return
        faded = shapes.window(person, shapes.translucent(person), image.shape)
        if faded is None:
            _draw_figure(image[window], shapes, person, window_origin(window), colours)
            return
        part = image[faded]
        before = part.copy()
        _draw_figure(image[window], shapes, person, window_origin(window), colours)
        figure, steps = part.copy(), shapes.opacity_map(person, part.shape, window_origin(faded))
        for step in np.unique(shapes.opacity[person][shapes.shown[person]]).tolist():
            if step < OPACITY_STEPS:
                mixed = cv2.addWeighted(figure, step / OPACITY_STEPS, before, 1 - step / OPACITY_STEPS, 0)
                cv2.copyTo(mixed, (steps == step).view(np.uint8), part)

    def _labels(self, poses: Poses) -> list[str]:
        """Return the text of each person's label: name or id, and score, as far as wanted; may be empty."""
        style = self._style
        ids = [
            self._people.get(track, str(track) if style.ids and track != UNTRACKED else "")
            for track in poses.track_id.tolist()
        ]
        scores = [f"{score:.2f}" if style.scores else "" for score in poses.person_score.tolist()]
        return [" ".join(filter(None, pair)) for pair in zip(ids, scores, strict=True)]

    def _draw_label(self, image: Image, pose: Poses, shapes: Shapes, person: int, text: str) -> None:
        """Draw one person's label: at the corner of the box if boxes are drawn, else above the head."""
        short = min(image.shape[:2])
        height = round(np.clip(0.09 * person_size(pose)[0], max(15, 0.024 * short), 0.042 * short + 6))
        label, opacity = render_label(text, height, id_colour(int(pose.track_id[0])))
        box, joints = pose.boxes.xyxy[0], shapes.xy[person][shapes.shown[person]]
        if self._style.boxes or not len(joints):
            left, bottom = box[0] - 1, box[1] + 1
        else:
            head = joints[joints[:, 1].argmin()]
            left, bottom = head[0] - label.shape[1] / 2, head[1] - 0.6 * height
        paste(image, label, opacity, (round(float(left)), round(float(bottom)) - label.shape[0]))


def _draw_figure(canvas: Image, shapes: Shapes, person: int, origin: Int32, colours: FigureColours) -> None:
    """Draw one person, all rims first, so that no part of the figure is cut by the rim of another of its parts."""
    joint_colours, core_colours, limb_colours = colours
    limbs = shapes.limbs_of(person)
    rim_quads, fills = shapes.rim_quads[person] - origin, shapes.limbs[person] - origin
    rim = int(shapes.rim[person])
    discs = list(shapes.discs(person, origin))
    for limb in limbs:
        cv2.fillConvexPoly(canvas, rim_quads[limb], OUTLINE_COLOUR, cv2.LINE_AA, SUBPIXEL_BITS)
    for _, centre, radius in discs:
        cv2.circle(canvas, centre, radius + rim, OUTLINE_COLOUR, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    for limb in limbs:
        cv2.fillConvexPoly(canvas, fills[limb], limb_colours[limb], cv2.LINE_AA, SUBPIXEL_BITS)
    for joint, centre, radius in discs:
        cv2.circle(canvas, centre, radius, joint_colours[joint], -1, cv2.LINE_AA, SUBPIXEL_BITS)
        if radius > MIN_CORE:
            cv2.circle(canvas, centre, radius * 5 // 9, core_colours[joint], -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _drawable(name: str) -> str:
    """Return a name in the letters that OpenCV's font has, without accents; empty if nothing is left."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()


def _write_names(image: Image, shapes: Shapes, layout: KeypointLayout) -> None:
    """Write the joints' names beside them; a name that would overlap another one is left out."""
    height = round(max(11, 0.02 * min(image.shape[:2])))
    taken = np.zeros((0, 4))
    for joint in sorted(range(len(layout)), key=lambda joint: layout.part(joint) in FACE):
        label, opacity = render_label(layout.names[joint].replace("_", " "), height, (244, 244, 238))
        for person in np.flatnonzero(shapes.shown[:, joint]).tolist():
            left, middle = shapes.xy[person, joint] + (shapes.radius[person, joint] / (1 << SUBPIXEL_BITS) + 4, 0)
            corner = round(float(left)), round(float(middle)) - height // 2
            area = np.array([corner[0], corner[1], corner[0] + label.shape[1], corner[1] + height])
            apart = (area[:2] >= taken[:, 2:]).any(axis=1) | (area[2:] <= taken[:, :2]).any(axis=1)
            if apart.all():
                paste(image, label, opacity, corner)
                taken = np.concatenate([taken, area[None]])


@lru_cache(maxsize=64)
def _figure_colours(layout: KeypointLayout, left: Colour, right: Colour, centre: Colour) -> FigureColours:
    sides = {"left": left, "right": right, "centre": centre}
    joints = tuple(sides[layout.side(joint)] for joint in range(len(layout)))
    cores = tuple(_mix(colour, (255, 255, 255), 0.72) for colour in joints)
    return joints, cores, tuple(sides[_limb_side(layout, *limb)] for limb in layout.limbs)


def _limb_side(layout: KeypointLayout, first: int, second: int) -> str:
    """Return the side that both ends share; a limb from a central joint belongs to the side of its other end."""
    sides = {layout.side(first), layout.side(second)} - {"centre"}
    return sides.pop() if len(sides) == 1 else "centre"


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
