"""Options of formats of other programs. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from tposecli.utils.option_fields import NumberRange, check_ranges, number


@dataclass(frozen=True, slots=True)
class ExchangeOptions:
    """What files of other programs hold.

    Attributes:
        per_person: Write a file for each person in formats that are written as a whole.
        every_s: Seconds between the frames of a training set; 0 takes all.

    Raises:
        ValueError: A value is out of range.
    """

    per_person: bool = False
    every_s: float = number(0.2, NumberRange(0))

    def __post_init__(self) -> None:
        check_ranges(self)
