"""Resampling to a constant frame rate: frames are repeated and dropped by their times."""

from __future__ import annotations

import logging
from fractions import Fraction

from tposecli.sinks.video import VideoOut
from tposecli.types import Image

log = logging.getLogger("tposecli")

MAX_GAP_S = 600
"""Seconds; a longer gap between two frames is a clock that was reset, not a still image."""


class ConstantRateVideo:
    """Passes frames on at a constant rate: each goes to the tick nearest to its time, as in FFmpeg's ``fps`` filter.

    A tick without a frame repeats the frame before; of several frames at one tick the last is written.

    Attributes:
        repeated: Number of repetitions that were written.
        dropped: Number of frames that were not written.
    """

    def __init__(self, output: VideoOut, rate: Fraction, source_rate: Fraction, forced_by: str = "") -> None:
        """Wrap an output.

        Args:
            output: Its time base must be ``1 / rate``.
            rate: Frames per second.
            source_rate: Nominal rate of the source, for the duration of its last frame.
            forced_by: The container that cannot keep other times, for the log; empty if the user asked for the rate.
        """
        self._output, self._rate, self._forced_by = output, rate, forced_by
        self._last_s = self._shown_s = 1 / source_rate
        self._held: tuple[Image, int, float] | None = None
        self._shift_s, self._free, self._written = 0.0, 0, False
        self.repeated, self.dropped = 0, 0

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Take one frame; it is written once the time of the next one determines its duration."""
        self._shown_s = self._last_s if duration_s is None else Fraction(duration_s)
        time_s += self._shift_s
        if self._held is not None:
            before_s = self._held[2]
            if time_s < before_s - 1 or time_s > before_s + MAX_GAP_S:
                self._shift_s += before_s + float(self._last_s) - time_s
                time_s = before_s + float(self._last_s)
            self._release(self._tick(time_s))
        self._held = image, self._next_free_tick(time_s), time_s

    def close(self, complete: bool = True) -> object:
        """Write the last frame for its duration, and close the output."""
        if complete and self._held is not None:
            end = Fraction(self._held[2]) + self._shown_s
            self._release(max(self._held[1] + (not self._written), round(end * self._rate)))
        if self._forced_by and (self.repeated or self.dropped):
            log.warning(
                "%s cannot keep the times of the frames: written at %.3f frames per second, %d repeated, %d dropped",
                *(self._forced_by, float(self._rate), self.repeated, self.dropped),
            )
        return self._output.close(complete)

    def _release(self, until: int) -> None:
        """Write the held frame to its tick and all following ticks before ``until``."""
        if self._held is None:
            return
        image, first, _ = self._held
        for tick in range(first, until):
            self._output.write(image, tick, float(tick / self._rate))
        self.repeated += max(0, until - first - 1)
        self.dropped += until <= first
        self._free = max(first, until)
        self._written = self._written or until > first

    def _tick(self, time_s: float) -> int:
        """Return the tick nearest to a time."""
        return round(Fraction(time_s) * self._rate)

    def _next_free_tick(self, time_s: float) -> int:
        """Return the tick nearest to a time that has no frame yet."""
        tick = self._tick(time_s)
        return tick if self._held is None else max(tick, self._free)
