"""Which people a run keeps and shows. No NumPy here: the command line takes its ranges from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from tposecli.utils.option_fields import NumberRange, check_ranges, choice, number

MIN_PERSON: Final = 0.4
MIN_JOINTS: Final = 2
"""What None stands for, where the model's scores are calibrated for the detector; elsewhere nobody is dropped."""

Anchor = Literal["feet", "centre"]


@dataclass(frozen=True, slots=True)
class KeepOptions:
    """Which people a run keeps: who is not likely to be one starts no track.

    Attributes:
        min_person_score: Smallest probability that there is a person; of models without calibration, smallest score.
        min_joints: Smallest number of joints that are more likely right than wrong; of models without calibration,
            of those with a score of 0.2 or more.
    """

    min_person_score: float | None = number(None, NumberRange(0, 1))
    min_joints: int | None = number(None, NumberRange(0, whole=True))

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the frame.

    Attributes:
        corners: x, y of each corner of a polygon; two are opposite corners of a rectangle.
        percent: For each of these numbers whether it is a percentage of the frame's width or height, else pixels.
    """

    corners: tuple[tuple[float, float], ...]
    percent: tuple[tuple[bool, bool], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``100,50 400,350`` or ``0%,40% 100%,40% 50%,100%``.

        Raises:
            ValueError: It is neither two corners nor a polygon.
        """
        number = r"(-?\d+(?:\.\d*)?)(%?)"
        found = [re.fullmatch(f"{number},{number}", point) for point in text.split()]
        corners = tuple((float(each[1]), float(each[3])) for each in found if each)
        if len(corners) < max(2, len(found)) or len(set(corners)) < min(3, len(corners)):
            raise ValueError(
                f"{text!r}: expected two opposite corners of a rectangle, or the corners of a polygon, as "
                "'X,Y X,Y ...' in pixels or percent: '0%,50% 100%,100%'"
            )
        return cls(corners, tuple((bool(each[2]), bool(each[4])) for each in found if each))

    def __str__(self) -> str:
        signs = [("%" if x else "", "%" if y else "") for x, y in self.percent]
        return " ".join(f"{x:g}{a},{y:g}{b}" for (x, y), (a, b) in zip(self.corners, signs, strict=True))


@dataclass(frozen=True, slots=True)
class SelectOptions:
    """Which of the people that a run keeps are written and drawn; ids, joints and everybody's tracks stay the same.

    Attributes:
        only: Ids or names of people; all if empty.
        region: They must be in this part of the frame; elsewhere they are left out. None for the whole frame.
        region_point: Which point of a person counts: the middle of the lower edge of the box (``feet``), or of the box.
        min_seconds: Smallest time from the first to the last frame of a person.
    """

    only: tuple[str, ...] = ()
    region: Region | None = None
    region_point: Anchor = choice("feet", Anchor)
    min_seconds: float = number(0.0, NumberRange(0, 3600))

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def everybody(self) -> bool:
        """Whether nobody is left out."""
        return not self.only and self.region is None and not self.min_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return what is asked for, for provenance; nothing if that is everybody."""
        entries: dict[str, Any] = {
            "only": list(self.only),
            "region": None if self.region is None else f"{self.region} ({self.region_point})",
            "min_seconds": self.min_seconds,
        }
        return {name: value for name, value in entries.items() if value}
