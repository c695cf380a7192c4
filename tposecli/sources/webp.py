"""Animated WebP, which FFmpeg cannot decode."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from tposecli.sources.base import BaseSequence, LazyImage
from tposecli.sources.images import check_encoded
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.locations import open_params
from tposecli.sources.time_window import WHOLE, Window
from tposecli.types import Image, SourceInfo
from tposecli.utils.errors import InputError

SUFFIX: Final = ".webp"
BLOCK_PIXELS: Final = 1 << 26
"""Pixels decoded at a time, which bounds memory; at least one image and at most ``MAX_BLOCK`` images."""
MAX_BLOCK: Final = 1024
MIN_DURATION_MS: Final = 100
"""Browsers use this for durations of 10 ms or less."""

_TIME_BASE = Fraction(1, 1000)


class AnimationSource(BaseSequence):
    """The images of an animated WebP with their times; transparency is dropped. A still WebP is one frame."""

    def __init__(self, path: Path, window: Window = WHOLE, max_pixels: int = MAX_PIXELS) -> None:
        """Read all durations and the first image.

        Raises:
            InputError: The file is missing or damaged, or has more than ``max_pixels`` pixels.
        """
        super().__init__(window)
        open_params(path)
        self._path, self.files = path, (path,)
        self._data = np.fromfile(path, np.uint8)
        width, height = check_encoded(self._data, str(path), max_pixels)
        self._count = min(MAX_BLOCK, max(1, BLOCK_PIXELS // (width * height or 1)))
        first, durations = self._block(0)
        total = durations if len(first) < self._count else self._durations(durations)
        length_ms = max(1, sum(total))
        size_wh = first[0].shape[1], first[0].shape[0]
        self.info = SourceInfo(path.name, size_wh, Fraction(len(total) * 1000, length_ms), _TIME_BASE, len(total))

    def _lazy_images(self) -> Generator[LazyImage, None, None]:
        """Yield every image, decoding a block at a time."""
        time_ms = start = 0
        while True:
            images, durations = self._block(start) if start < (self.info.frames or 0) else ([], [])
            for image, duration in zip(images, durations, strict=True):
                yield LazyImage(time_ms, self.info.name, lambda image=image: _rgb(image), duration)  # type: ignore[misc]
                time_ms += duration
            start += self._count
            if len(images) < self._count:
                return

    def _durations(self, known: list[int]) -> list[int]:
        """Return the durations of all images in milliseconds, given those of the first block."""
        durations, latest = list(known), known
        while len(latest) == self._count:
            latest = self._block(len(durations))[1]
            durations += latest
        return durations

    def _block(self, start: int) -> tuple[Sequence[Any], list[int]]:
        """Decode the images from number ``start`` on, with their durations in milliseconds."""
        animation: Any
        try:
            success, animation = cv2.imdecodeanimation(self._data, start=start, count=self._count)
        except (cv2.error, AttributeError):  # The function came with OpenCV 4.11.
            success, animation = False, None
        if not (success and animation.frames):
            if start:
                return [], []
            old = f", or need OpenCV 5.0 (this is {cv2.__version__})" if int(cv2.__version__.split(".")[0]) < 5 else ""
            raise InputError(f"{self._path}: cannot be decoded as WebP; it may be damaged or in another format{old}")
        return animation.frames, [ms if ms > 10 else MIN_DURATION_MS for ms in np.ravel(animation.durations).tolist()]


def _rgb(image: Any) -> Image:
    """Convert an image decoded by OpenCV to (H, W, 3) uint8 RGB."""
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)
