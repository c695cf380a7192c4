"""The time window of a video that is to be processed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from tposecli.utils.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """A time window, in seconds from the beginning of the video.

    Attributes:
        start_s: Earlier frames are skipped.
        end_s: The frame at this time and later ones are skipped; None reads to the end.
        stride: Take every n-th frame, counted from the first one in the window.

    Raises:
        UsageError: Not ``0 <= start_s < end_s``, or ``stride < 1``.
    """

    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise UsageError(f"start: expected 0 seconds or more, got {self.start_s}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise UsageError(f"end: expected a time after the start ({self.start_s} s), got {self.end_s}")
        if self.stride < 1:
            raise UsageError(f"stride: expected 1 or more, got {self.stride}")

    def expected(self, frames: int | None, fps: Fraction | None, duration_s: float | None) -> int | None:
        """Estimate the number of frames in the window from the container's metadata; None if that says too little."""
        if not duration_s:
            return None
        whole = frames or (math.ceil(duration_s * fps) if fps else None)
        if whole is None:
            return None
        end_s = duration_s if self.end_s is None else min(self.end_s, duration_s)
        return math.ceil(whole * max(0.0, end_s - self.start_s) / duration_s / self.stride)


WHOLE = Window()
