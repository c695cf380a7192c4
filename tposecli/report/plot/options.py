"""What is plotted. No NumPy here: the command line is made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self

from tposecli.geometry.motion_options import Facing, ScaleOptions
from tposecli.utils.errors import UsageError
from tposecli.utils.option_fields import check_ranges, choice

SUFFIXES: Final = (".png", ".svg", ".pdf")

SIDED: Final = ("knee", "hip", "elbow", "shoulder", "shank", "thigh", "arm", "forearm")
WHOLE: Final = ("trunk", "pelvis", "shoulders")
ANGLE_NAMES: Final = (*(f"{side}_{part}" for part in SIDED for side in ("left", "right")), *WHOLE)
"""The names of ``geometry.angles.ALL_ANGLES``."""


@dataclass(frozen=True, slots=True)
class Event:
    """The moment at which an angle passes a value.

    Attributes:
        angle: Its name.
        rises: Whether it rises above the value, else it falls below.
        value: Degrees.
    """

    angle: str
    rises: bool
    value: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``left_knee>60``.

        Raises:
            ValueError: It is no such condition.
        """
        found = re.fullmatch(r"\s*([a-z_]+)\s*([<>])\s*(-?\d+(?:\.\d*)?)\s*", text)
        if found is None:
            raise ValueError(
                f"{text!r}: expected an angle that rises above (>) or falls below (<) a number of degrees, "
                "as 'left_knee>60'; there are no other signs"
            )
        if found[1] in SIDED:
            raise ValueError(f"{text!r}: it has two sides; name one: left_{found[1]} or right_{found[1]}")
        if found[1] not in ANGLE_NAMES:
            raise ValueError(f"{text!r}: there is no angle {found[1]}; choose of: {', '.join(ANGLE_NAMES)}")
        return cls(found[1], found[2] == ">", float(found[3]))

    def __str__(self) -> str:
        return f"{self.angle.replace('_', ' ')} {'>' if self.rises else '<'} {self.value:g}°"


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """What is plotted of each take.

    Attributes:
        angles: Names of angles.
        joints: Names of keypoints, whose positions are plotted.
        speed: Plot speeds instead: of angles in degrees, of joints in pixels or metres a second.
        people: Ids or names; the longest tracks if empty.
        align_s: Time of each take that becomes 0; empty to leave times as they are.
        event: What happens at time 0 instead, for each person.
        facing: Where everybody faces, for the sign of angles.
        scale: What says how many pixels a metre is.
    """

    angles: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()
    speed: bool = False
    people: tuple[str, ...] = ()
    align_s: tuple[float, ...] = ()
    event: Event | None = None
    facing: Facing = choice("auto", Facing)
    scale: ScaleOptions = field(default_factory=ScaleOptions)

    def __post_init__(self) -> None:
        check_ranges(self)


def sided(name: str) -> tuple[str, ...]:
    """Return the angles that a name stands for: both sides for ``knee``.

    Raises:
        UsageError: There is no such angle.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in SIDED:
        return f"left_{plain}", f"right_{plain}"
    if plain in ANGLE_NAMES:
        return (plain,)
    more = "; one camera and 17 joints without a foot cannot say it" if "ankle" in plain or "foot" in plain else ""
    known = ", ".join((*SIDED, *WHOLE))
    raise UsageError(f"--angle {name}: there is no such angle{more}; choose of: {known}, or one side: left_knee")
