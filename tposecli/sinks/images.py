"""Image files, and annotated stills in a folder."""

from __future__ import annotations

from pathlib import Path

import cv2

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.annotated import draw_result
from tposecli.types import Image, Result
from tposecli.utils.errors import OutputError
from tposecli.utils.files import new_file, unwritable

JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)
PARAMETERS = {".jpg": JPEG, ".jpeg": JPEG, ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95)}


def write_image(path: Path, image: Image) -> None:
    """Encode (H, W, 3) uint8 RGB in the format of the extension and write the file atomically.

    Raises:
        OutputError: The extension has no encoder, or the file cannot be written.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        encoded, data = cv2.imencode(path.suffix, bgr, PARAMETERS.get(path.suffix.lower(), ()))
    except cv2.error as error:
        raise OutputError(f"{path}: images cannot be written as {path.suffix!r}; use .jpg or .png") from error
    if not encoded:
        raise OutputError(f"{path}: the image cannot be encoded as {path.suffix!r}; use .jpg or .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    # One of many, and a sync to disk takes longer than drawing it. A link may point to the original: it is replaced.
    with new_file(path, durable=False, follow=False) as temporary:
        temporary.write_bytes(data.tobytes())


class AnnotatedImages:
    """Draws people in place on stills, hence must be the last sink, and writes them under their own names."""

    def __init__(self, folder: Path, draw: SkeletonDrawer, side_by_side: bool = False) -> None:
        self.folder = folder
        self.draw = draw
        self.side_by_side = side_by_side

    def write(self, result: Result) -> None:
        """Draw and write one image."""
        write_image(self.folder / result.frame.name, draw_result(result, self.draw, self.side_by_side, keep=False))

    def close(self, complete: bool) -> None:
        """Do nothing: every image was written completely."""
