"""Annotated stills, and attention overlays, as picture files in a folder."""

from __future__ import annotations

from pathlib import Path

import cv2

from tposecli.draw import Draw
from tposecli.errors import OutputError
from tposecli.files import part_path, publish
from tposecli.overlay import blend, strongest_attention
from tposecli.types import Image, Result

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
        publish(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


class AnnotatedImages:
    """Stills with their skeletons, under their own names in another folder."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self.folder = folder
        self.draw = draw

    def write(self, result: Result) -> None:
        """Draw and write one picture."""
        write_image(self.folder / result.frame.name, self.draw.draw(result.frame.image, result.shown))

    def close(self, complete: bool) -> None:
        """Nothing waits: every picture was written whole."""


class AttentionImages:
    """For every frame its picture under the last layer's attention for each person's strongest keypoint.

    Frames of a video are numbered, stills keep their names; all are JPEG.

    Args:
        folder: Where to.
        stride: Crop pixels per cell of the attention grid.
        draw: Draws the skeletons on top.
    """

    def __init__(self, folder: Path, stride: int, draw: Draw) -> None:
        self.folder = folder
        self.stride = stride
        self.draw = draw

    def write(self, result: Result) -> None:
        """Blend, draw and write one picture."""
        frame = result.frame
        name = f"{frame.index:06d}.jpg" if frame.pts is not None else f"{frame.name}.jpg"
        picture = blend(frame.image, strongest_attention(result, self.stride))
        write_image(self.folder / name, self.draw.draw(picture, result.shown))

    def close(self, complete: bool) -> None:
        """Nothing waits: every picture was written whole."""
