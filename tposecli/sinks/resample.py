"""A constant rate: frames repeated and dropped by their times."""

from __future__ import annotations

import logging
from fractions import Fraction

from tposecli.sinks.video import VideoOut
from tposecli.types import Image

log = logging.getLogger("tposecli")

MAX_GAP_S = 600
"""A longer silence between two frames is no picture that stands still but a clock that was set anew."""


class ConstantRateVideo:
    """Passes frames on at a constant rate: each takes the place nearest to its time, as in FFmpeg's ``fps`` filter.

    A place that no frame takes repeats the frame before; of several frames for one place the last is taken.

    Attributes:
        repeated: Frames that were written more often than once, and how often.
        dropped: Frames that were not written.
    """

    def __init__(self, output: VideoOut, rate: Fraction, source_rate: Fraction, forced_by: str = "") -> None:
        """Wrap an output.

        Args:
            output: Its time base must be ``1 / rate``.
            rate: Frames a second.
            source_rate: Nominal rate of the source: how long its last frame lasts.
            forced_by: The container that cannot keep other times, for the log; empty where the user asked.
        """
        self._output, self._rate, self._forced_by = output, rate, forced_by
        self._last_s = 1 / source_rate
        self._held: tuple[Image, int, float] | None = None
        self._shift_s, self._free, self._written = 0.0, 0, False
        self.repeated, self.dropped = 0, 0

    def write(self, image: Image, pts: int | None, time_s: float) -> None:
        """Take one frame; it is written when the next one says how long it lasts."""
        time_s += self._shift_s
        if self._held is not None:
            before_s = self._held[2]
            if time_s < before_s - 1 or time_s > before_s + MAX_GAP_S:
                self._shift_s += before_s + float(self._last_s) - time_s
                time_s = before_s + float(self._last_s)
            self._release(self._place(time_s))
        self._held = image, self._next_place(time_s), time_s

    def close(self, complete: bool = True) -> object:
        """Write the last frame for as long as it lasts, and close the output."""
        if complete and self._held is not None:
            end = Fraction(self._held[2]) + self._last_s
            self._release(max(self._held[1] + (not self._written), round(end * self._rate)))
        if self._forced_by and (self.repeated or self.dropped):
            log.warning(
                "%s cannot keep the times of the frames: written at %.3f frames a second, %d repeated, %d dropped",
                *(self._forced_by, float(self._rate), self.repeated, self.dropped),
            )
        return self._output.close(complete)

    def _release(self, until: int) -> None:
        """Write the held frame to its place and all following ones before ``until``."""
        if self._held is None:
            return
        image, place, _ = self._held
        for tick in range(place, until):
            self._output.write(image, tick, float(tick / self._rate))
        self.repeated += max(0, until - place - 1)
        self.dropped += until <= place
        self._free = max(place, until)
        self._written = self._written or until > place

    def _place(self, time_s: float) -> int:
        """The tick nearest to a time."""
        return round(Fraction(time_s) * self._rate)

    def _next_place(self, time_s: float) -> int:
        """The tick nearest to a time that is still free."""
        place = self._place(time_s)
        return place if self._held is None else max(place, self._free)
