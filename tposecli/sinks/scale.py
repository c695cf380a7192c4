"""Output size of a video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from tposecli.utils.errors import UsageError

MAX_SIDE = 16_384
"""Pixels."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A factor, a width, a height, or both; a missing side follows from the aspect ratio of the frame.

    Raises:
        UsageError: A number is not positive or too large.
    """

    factor: float = 1.0
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        sides = [side for side in (self.width, self.height) if side is not None]
        if not 0 < self.factor <= MAX_SIDE or any(not 0 < side <= MAX_SIDE for side in sides):
            raise UsageError(f"scale: expected a factor above 0, or sides from 1 to {MAX_SIDE} pixels")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0.5``, ``1280x720``, ``1280x`` or ``x720``.

        Raises:
            UsageError: It is none of these.
        """
        sides = re.fullmatch(r"(\d*)[x:](\d*)", text.strip())
        if sides and (sides[1] or sides[2]):
            return cls(1.0, int(sides[1]) if sides[1] else None, int(sides[2]) if sides[2] else None)
        try:
            return cls(float(text))
        except ValueError as error:
            raise UsageError(f"scale: {text!r} is not a scale; expected 0.5, 1280x720, 1280x or x720") from error

    def size_wh(self, width: int, height: int) -> tuple[int, int]:
        """Return the output width and height for a frame of this size."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.width is not None:
            return self.width, max(1, round(height * self.width / width))
        if self.height is not None:
            return max(1, round(width * self.height / height)), self.height
        return max(1, round(width * self.factor)), max(1, round(height * self.factor))
