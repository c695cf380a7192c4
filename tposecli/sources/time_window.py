"""The time window of a video that is to be processed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

from tposecli.utils.errors import UsageError

ZERO: Final = "zero"
SOURCE: Final = "source"
CLOCKS: Final = (ZERO, SOURCE)
"""What times count from: the beginning of what is read, or wherever the source's own clock began."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time window in seconds, and the clock of the frames that are read.

    Attributes:
        start_s: Earlier frames are skipped.
        end_s: The frame at this time and later ones are skipped; None reads to the end.
        stride: Take every n-th frame, counted from the first one in the window.
        clock: ``zero``: the window counts from the beginning of the video, and if it begins later, its first frame is
            at time 0. ``source``: both are times on the source's own clock, wherever that begins.

    Raises:
        UsageError: Not ``0 <= start_s < end_s``, ``stride < 1``, or an unknown clock.
    """

    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1
    clock: str = ZERO

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise UsageError(f"start: expected 0 seconds or more, got {self.start_s}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise UsageError(f"end: expected a time after the start ({self.start_s} s), got {self.end_s}")
        if self.stride < 1:
            raise UsageError(f"stride: expected 1 or more, got {self.stride}")
        if self.clock not in CLOCKS:
            raise UsageError(f"clock: expected {' or '.join(CLOCKS)}, got {self.clock!r}")

    @classmethod
    def of_header(cls, header: Mapping[str, Any]) -> Window:
        """Return the window of a journal's header; before ``clock`` was recorded, it was the source's."""
        given = header.get("window")
        if given is None:
            return WHOLE
        return cls(**{"clock": SOURCE if given.get("start_s") else ZERO, **given})

    def to_dict(self) -> dict[str, Any]:
        """Return the window for a journal's header; ``clock`` is left out where it makes no difference."""
        entries = asdict(self)
        if not self.start_s and self.clock == ZERO:
            del entries["clock"]
        return entries

    @property
    def is_cut(self) -> bool:
        """Whether times count from the first frame in the window rather than from the beginning of the video."""
        return self.start_s > 0 and self.clock == ZERO

    def expected(
        self, frames: int | None, fps: Fraction | None, duration_s: float | None, begin_s: float = 0.0
    ) -> int | None:
        """Estimate the number of frames in the window from the container's metadata; None if that says too little.

        Args:
            frames: Number of frames of the whole video, or None.
            fps: Frame rate, or None.
            duration_s: Duration, or None.
            begin_s: Time at which the video begins on the clock of the window.
        """
        if not duration_s:
            return None
        whole = frames or (math.ceil(duration_s * fps) if fps else None)
        if whole is None:
            return None
        start_s = max(0.0, self.start_s - begin_s)
        end_s = duration_s if self.end_s is None else min(self.end_s - begin_s, duration_s)
        return math.ceil(whole * max(0.0, end_s - start_s) / duration_s / self.stride)


WHOLE = Window()
