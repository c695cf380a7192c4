"""Joint angles drawn at the joints: the number, and the sector from where a straight limb would point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from tposecli.drawing.labels import SUBPIXEL_BITS, Float64, paste, render_label
from tposecli.drawing.style import Colour
from tposecli.geometry.angles import JOINT_ANGLES, Angle
from tposecli.geometry.facing import AngleReader
from tposecli.geometry.motion_options import AngleOptions
from tposecli.types import Image, Poses

REACH: Final = 0.55
"""Radius of a sector, as a share of the limb that turns."""
OPACITY: Final = 0.5
LEAST_DEG: Final = 12
"""Smaller angles have a number only."""


class AngleMarks:
    """Writes the angles of knees, hips, elbows and shoulders; one object per video, since facing has a memory."""

    def __init__(self, options: AngleOptions) -> None:
        self._reader = AngleReader(options, JOINT_ANGLES)

    def follow(self, poses: Poses, time_s: float) -> None:
        """Take a frame that is not drawn."""
        self._reader.read(poses, time_s)

    def draw(self, image: Image, poses: Poses, time_s: float, colours: Sequence[Sequence[Colour]]) -> None:
        """Draw on ``image`` itself.

        Args:
            image: (H, W, 3) uint8 RGB.
            poses: N people.
            time_s: Time of the frame, seconds.
            colours: Colours of the K joints of each person.
        """
        values, _ = self._reader.read(poses, time_s)
        taken = np.zeros((0, 4))
        height = round(max(13, 0.03 * min(image.shape[:2])))
        marks = []
        for person in range(len(poses)):
            xy = poses.xy[person].astype(np.float64)
            for angle, value in zip(JOINT_ANGLES, values[person].tolist(), strict=True):
                if np.isnan(value) or angle.vertex is None:
                    continue
                directions, colour = _directions(xy, angle), colours[person][angle.vertex]
                marks.append((xy[angle.vertex], directions, f"{round(value)}°", colour))
                if abs(value) >= LEAST_DEG:
                    _shade(image, xy[angle.vertex], *directions, colour)
        for at, directions, text, colour in marks:
            taken = _write(image, at, directions, render_label(text, height, colour), taken)


def _directions(xy: Float64, angle: Angle) -> tuple[Float64, Float64]:
    """Return the two directions of an angle, pixels."""
    assert angle.second is not None
    (a, b), (c, d) = angle.first, angle.second
    first, second = (
        xy[list(b)].mean(axis=0) - xy[list(a)].mean(axis=0),
        xy[list(d)].mean(axis=0) - xy[list(c)].mean(axis=0),
    )
    return first / max(float(np.hypot(*first)), 1e-6), second


def _shade(image: Image, at: Float64, first: Float64, second: Float64, colour: Colour) -> None:
    """Shade the sector between where a straight limb would point and where it points."""
    far = 4 * max(image.shape)
    if (np.abs(at) > far).any():
        return
    radius = REACH * float(np.hypot(*second))
    start = float(np.degrees(np.arctan2(first[1], first[0])))
    turn = (float(np.degrees(np.arctan2(second[1], second[0]))) - start + 180) % 360 - 180
    steps = np.radians(start + turn * np.linspace(0, 1, max(3, round(abs(turn) / 4))))
    edge = at + radius * np.stack([np.cos(steps), np.sin(steps)], axis=1)
    low = np.maximum(np.floor(np.minimum(edge.min(axis=0), at)) - 1, 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(edge.max(axis=0), at)) + 2, image.shape[1::-1]).astype(int)
    if (low >= high).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    points = np.rint((np.concatenate([at[None], edge]) - low) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [points[:, None]], round(255 * OPACITY), cv2.LINE_AA, SUBPIXEL_BITS)
    part = image[low[1] : high[1], low[0] : high[0]]
    share = mask[:, :, None].astype(np.float32) / 255
    part[:] = np.rint(part + (np.array(colour, np.float32) - part) * share).astype(np.uint8)


def _write(
    image: Image,
    at: Float64,
    directions: tuple[Float64, Float64],
    label: tuple[Image, Float64],
    taken: Float64,
) -> Float64:
    """Write the number on the side to which the limb does not bend, where there is room; return the taken areas."""
    first, second = directions
    away = first * np.hypot(*second) - second
    outward = away / np.hypot(*away) if np.hypot(*away) > 0.15 * np.hypot(*second) else np.array([1.0, 0.0])
    tag, opacity = label
    height, length = tag.shape[:2]
    reach = height * 0.9 + length / 2 * abs(outward[0])
    for side in (outward, -outward, np.array([outward[1], -outward[0]])):
        middle = at + reach * side
        corner = np.rint(middle - (length / 2, height / 2))
        area = np.array([*corner, corner[0] + length, corner[1] + height])
        apart = (area[:2] >= taken[:, 2:]).any(axis=1) | (area[2:] <= taken[:, :2]).any(axis=1)
        if apart.all():
            paste(image, tag, opacity, (int(corner[0]), int(corner[1])))
            return np.concatenate([taken, area[None]])
    return taken
