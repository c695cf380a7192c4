"""Videos that play slower or faster than what they show."""

from __future__ import annotations

from fractions import Fraction

from tposecli.sinks.video import VideoOut
from tposecli.types import Image


class PacedVideo:
    """Passes frames on at the times at which they are shown.

    Args:
        output: Its time base must be that of the source, divided by the speed.
        speed: Seconds that pass in the frames while one second is played.
    """

    def __init__(self, output: VideoOut, speed: Fraction) -> None:
        self._output, self._speed = output, float(speed)

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Write one frame."""
        shown_s = None if duration_s is None else duration_s / self._speed
        self._output.write(image, pts, time_s / self._speed, shown_s)

    def close(self, complete: bool = True) -> object:
        """Finish the video."""
        return self._output.close(complete)
