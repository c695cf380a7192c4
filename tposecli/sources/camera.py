"""Cameras of this computer, by number."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any, Final, Protocol

import cv2
import numpy as np

from tposecli.sources.base import BaseSequence, Picture
from tposecli.sources.time_window import WHOLE, Window
from tposecli.types import Image, SourceInfo
from tposecli.utils.errors import InputError

RATE: Final = Fraction(30)
"""Nominal rate where the camera does not say."""

_TIME_BASE = Fraction(1, 90_000)


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def read(self) -> tuple[bool, Any]:
        """Whether there was a picture, and the picture: (H, W, 3) uint8 BGR."""
        ...

    def get(self, prop: int, /) -> float:
        """A property."""
        ...

    def release(self) -> None:
        """Close."""
        ...


class CameraSource(BaseSequence):
    """A camera as frames with the times at which they arrived, from 0; endless, and given once."""

    live = True

    def __init__(
        self,
        number: int,
        window: Window = WHOLE,
        connect: Callable[[int], Capture] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the camera and take the first picture.

        Args:
            number: Of the camera, from 0.
            window: Which part of what it gives, in seconds from its first picture.
            connect: Opens it.
            clock: Seconds.

        Raises:
            InputError: There is no such camera, or it gives no picture.
        """
        super().__init__(window)
        self._capture, self._clock = connect(number), clock
        done, self._first = self._capture.read()
        if not done:
            self._capture.release()
            raise InputError(f"camera {number}: gives no picture; check that it is connected and not in use elsewhere")
        rate = Fraction(self._capture.get(cv2.CAP_PROP_FPS) or 0).limit_denominator(1001)
        size_wh = self._first.shape[1], self._first.shape[0]
        self.info = SourceInfo(f"camera {number}", size_wh, rate if rate > 0 else RATE, _TIME_BASE)

    def __exit__(self, *exception: object) -> None:
        """Close the camera."""
        self._capture.release()

    def _pictures(self) -> Generator[Picture, None, None]:
        """Pictures as they come, until the camera is gone."""
        start, picture, done, latest = self._clock(), self._first, True, -1
        while done:
            ticks = max(latest + 1, round((self._clock() - start) / _TIME_BASE))
            latest = ticks
            yield ticks, self.info.name, lambda picture=picture: _rgb(picture)  # type: ignore[misc]
            done, picture = self._capture.read()


def _rgb(picture: Any) -> Image:
    """(H, W, 3) uint8 RGB."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
