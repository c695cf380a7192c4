"""How angles and lengths are told. No NumPy here: the command line takes its choices and ranges from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tposecli.utils.option_fields import NumberRange, check_ranges, choice, number

Facing = Literal["auto", "left", "right", "front"]


@dataclass(frozen=True, slots=True)
class AngleOptions:
    """How angles are told.

    Attributes:
        facing: Where everybody faces, as seen in the image; ``auto`` finds it for each person and moment.
        min_score: Keypoints scored lower count as not seen, and their angles are missing.
    """

    facing: Facing = choice("auto", Facing)
    min_score: float = number(0.2, NumberRange(0, 1))

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """What says how many pixels a metre is; nothing if neither is given.

    Attributes:
        px_per_m: Pixels of a metre.
        height_m: Height of a person, from whose limbs the scale follows.
        person: Id or name of that person; empty if there is one only.
    """

    px_per_m: float | None = number(None, NumberRange(0, 1e6, low_open=True))
    height_m: float | None = number(None, NumberRange(0.3, 3))
    person: str = ""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.px_per_m is not None and self.height_m is not None:
            raise ValueError("px_per_m and height_m: expected one of them, got both")

    @property
    def asked(self) -> bool:
        """Whether there shall be metres."""
        return self.px_per_m is not None or self.height_m is not None
