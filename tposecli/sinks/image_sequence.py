"""A video as a sequence of numbered images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tposecli.sinks.images import write_image
from tposecli.sinks.scale import Scale
from tposecli.sources.image_sequence import matching_files, numbered_path
from tposecli.types import Image
from tposecli.utils.errors import UsageError


class ImageSequenceSink:
    """Writes each frame as an image file, numbered from 0 in output order; timestamps are lost."""

    def __init__(self, pattern: Path, scale: Scale | None = None) -> None:
        """Set the pattern, such as ``frames/%06d.png``."""
        self._pattern, self._scale = pattern, scale
        self.frames = 0

    def write(self, image: Image, pts: int | None, time_s: float, duration_s: float | None = None) -> None:
        """Write one image.

        Raises:
            OutputError: The file cannot be written.
        """
        height, width = image.shape[:2]
        if self._scale is not None:
            wanted = self._scale.size_wh(width, height)
            method = cv2.INTER_AREA if wanted[0] < width else cv2.INTER_CUBIC
            image = np.asarray(cv2.resize(image, wanted, interpolation=method), np.uint8)
        write_image(numbered_path(self._pattern, self.frames), image)
        self.frames += 1

    def close(self, complete: bool = True) -> None:
        """Do nothing: every image was written completely."""


def check_numbered(pattern: Path, overwrite: bool) -> None:
    """Check that a pattern replaces no images.

    Raises:
        UsageError: An image exists and ``overwrite`` is off.
    """
    existing = matching_files(pattern) if pattern.parent.is_dir() and not overwrite else []
    if existing:
        raise UsageError(f"{existing[0]} exists already; add --overwrite to replace it, or choose another folder")
