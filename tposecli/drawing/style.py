"""How people are drawn. No NumPy here: the command line takes its defaults, ranges and choices from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tposecli.geometry.motion_options import Facing
from tposecli.utils.option_fields import NumberRange, check_ranges, choice, number

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

Background = Literal["keep", "blur", "black"]

ColourBy = Literal["side", "track"]


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """How people are drawn; colours are RGB.

    Attributes:
        min_score: Joints scored lower, and the limbs that end in them, are hidden.
        opaque_score: Joints scored at least this are opaque; below it they fade.
        boxes: Whether to draw the box of each person.
        ids: Whether to write the id of each tracked person.
        width: Thickness relative to the default for the size of the person and of the image.
        left: Colour of the limbs and joints of the left side of the body.
        right: Likewise for the right side.
        centre: Colour of the nose, the shoulder line and the hip line.
        limbs: Whether to draw limbs; otherwise only joints.
        colour_by: ``side``: by side of the body; ``track``: by id, with the left side lighter.
        background: ``keep`` the image, ``blur`` it beyond recognition, or make it ``black``.
        scores: Whether to write the score of each person.
        names: Whether to write the name of each joint, where there is room.
        trails: Indices of the keypoints of tracked people that leave a trail.
        trail_s: Length of the trails, seconds.
        angles: Whether to write the angles of knees, hips, elbows and shoulders.
        facing: Where everybody faces, for the sign of these angles.
    """

    min_score: float = number(0.2, NumberRange(0, 1))
    opaque_score: float = number(0.6, NumberRange(0, 1))
    boxes: bool = False
    ids: bool = False
    width: float = number(1.0, NumberRange(0, 20, low_open=True))
    left: Colour = (41, 171, 255)
    right: Colour = (255, 149, 28)
    centre: Colour = (244, 244, 238)
    limbs: bool = True
    colour_by: ColourBy = choice("side", ColourBy)
    background: Background = choice("keep", Background)
    scores: bool = False
    names: bool = False
    trails: tuple[int, ...] = ()
    trail_s: float = number(1.0, NumberRange(0, 60, low_open=True))
    angles: bool = False
    facing: Facing = choice("auto", Facing)

    def __post_init__(self) -> None:
        check_ranges(self)
