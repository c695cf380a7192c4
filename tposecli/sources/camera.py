"""Local cameras, by number."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final, Protocol

import cv2
import numpy as np

from tposecli.sources.base import BaseSequence, LazyImage
from tposecli.sources.time_window import WHOLE, Window
from tposecli.types import Image, SourceInfo
from tposecli.utils.errors import InputError

RATE: Final = Fraction(30)
"""Nominal frame rate if the camera does not report one."""

_TIME_BASE = Fraction(1, 90_000)


class Capture(Protocol):
    """The part of the interface of ``cv2.VideoCapture`` that is used here."""

    def read(self) -> tuple[bool, Any]:
        """Return whether an image was captured, and the image: (H, W, 3) uint8 BGR."""
        ...

    def get(self, prop: int, /) -> float:
        """Return a property."""
        ...

    def release(self) -> None:
        """Close the camera."""
        ...


class CameraSource(BaseSequence):
    """A camera as an endless source, to be iterated once; frames are stamped with their arrival times, from 0."""

    live = True

    def __init__(
        self,
        number: int,
        window: Window = WHOLE,
        connect: Callable[[int], Capture] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the camera and capture the first image.

        Args:
            number: Camera number, from 0.
            window: Time window, in seconds from the first image.
            connect: Function that opens the camera.
            clock: Function that returns the time in seconds.

        Raises:
            InputError: There is no such camera, or it delivers no image.
        """
        super().__init__(window)
        with _silent_opencv():
            self._capture, self._clock = connect(number), clock
            success, self._first = self._capture.read()
        if not success:
            self._capture.release()
            raise InputError(
                f"camera {number}: no image received; check that it is connected and not in use by another program"
            )
        rate = Fraction(self._capture.get(cv2.CAP_PROP_FPS) or 0).limit_denominator(1001)
        size_wh = self._first.shape[1], self._first.shape[0]
        self.info = SourceInfo(f"camera {number}", size_wh, rate if rate > 0 else RATE, _TIME_BASE)

    def __exit__(self, *exception: object) -> None:
        """Close the camera."""
        self._capture.release()

    def _lazy_images(self) -> Generator[LazyImage, None, None]:
        """Yield images as they arrive, until the camera is disconnected."""
        start, image, success, latest = self._clock(), self._first, True, -1
        while success:
            ticks = max(latest + 1, round((self._clock() - start) / _TIME_BASE))
            latest = ticks
            yield LazyImage(ticks, self.info.name, lambda image=image: _rgb(image))  # type: ignore[misc]
            success, image = self._capture.read()


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log still: each of its backends complains of a camera that another one can open."""
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.13 moved the function.
    level = log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _rgb(image: Any) -> Image:
    """Convert BGR pixels to (H, W, 3) uint8 RGB."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
