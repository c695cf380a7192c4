"""Annotated stills as picture files in a folder."""

from __future__ import annotations

from pathlib import Path

import cv2

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.annotated import painted
from tposecli.types import Image, Result
from tposecli.utils.errors import OutputError
from tposecli.utils.files import discard, part_path, publish, unwritable

JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)
PARAMETERS = {".jpg": JPEG, ".jpeg": JPEG, ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95)}


def write_image(path: Path, image: Image) -> None:
    """Encode (H, W, 3) uint8 RGB by the name's extension and write the file whole.

    Raises:
        OutputError: No encoder for the extension, or the file cannot be written.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(path.suffix, bgr, PARAMETERS.get(path.suffix.lower(), ()))
    except cv2.error as error:
        raise OutputError(f"{path}: pictures cannot be written as {path.suffix!r}; use .jpg or .png") from error
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded as {path.suffix!r}; use .jpg or .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part_path(path).write_bytes(data.tobytes())
        publish(path, durable=False)  # One of many, and waiting for the disk takes longer than to draw it.
    except OSError as error:
        discard(path)
        raise unwritable(path, error) from error


class AnnotatedImages:
    """Stills with their skeletons, under their own names in another folder."""

    def __init__(self, folder: Path, draw: SkeletonDrawer, side_by_side: bool = False) -> None:
        self.folder = folder
        self.draw = draw
        self.side_by_side = side_by_side

    def write(self, result: Result) -> None:
        """Draw and write one picture."""
        write_image(self.folder / result.frame.name, painted(result, self.draw, self.side_by_side, keep=False))

    def close(self, complete: bool) -> None:
        """Nothing waits: every picture was written whole."""
