"""Image files, and annotated stills in a folder."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

import cv2

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.sinks.annotated import draw_result
from tposecli.types import Image, Result
from tposecli.utils.errors import OutputError
from tposecli.utils.files import new_file, unwritable

JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)
GREY_ONLY: Final = (".pgm", ".pbm")

BAD_NAME: Final = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""Errors that concern one name only, and not the disk or the folder."""

PARAMETERS = {".jpg": JPEG, ".jpeg": JPEG, ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95)}


class ImageOutputError(OutputError):
    """One image cannot be written, though others can; a run over many goes on."""


def image_name(name: str) -> str:
    """Return the name of the annotated image of a still: its own, with ``.jpg`` if its format cannot be written."""
    written = cv2.haveImageWriter(name) and Path(name).suffix.lower() not in GREY_ONLY
    return name if written else f"{name}.jpg"


def is_image_file(path: Path) -> bool:
    """Return whether an output is one image rather than a folder of images: its name ends so, and it is no folder."""
    return path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff") and not path.is_dir()


def write_image(path: Path, image: Image) -> None:
    """Encode (H, W, 3) uint8 RGB in the format of the extension and write the file atomically.

    Raises:
        OutputError: The extension has no encoder, or the file cannot be written.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        encoded, data = cv2.imencode(path.suffix, bgr, PARAMETERS.get(path.suffix.lower(), ()))
    except cv2.error as error:
        raise ImageOutputError(f"{path}: images cannot be written as {path.suffix!r}; use .jpg or .png") from error
    if not encoded:
        raise ImageOutputError(f"{path}: the image cannot be encoded as {path.suffix!r}; use .jpg or .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _image_error(path, error) from error
    try:
        # One of many, and a sync to disk takes longer than drawing it. A link may point to an original: it is replaced.
        with new_file(path, durable=False, follow=False) as temporary:
            temporary.write_bytes(data.tobytes())
    except OutputError as error:
        raise (_image_error(path, error.__cause__) if isinstance(error.__cause__, OSError) else error) from error


def _image_error(path: Path, error: OSError) -> OutputError:
    """Return the error for an image that cannot be written: of its own, if only its name is in the way."""
    message = unwritable(path, error)
    return ImageOutputError(str(message)) if error.errno in BAD_NAME else message


class AnnotatedImages:
    """Draws people in place on stills, hence must be the last sink, and writes them under their own names.

    Args:
        folder: Where to; the name of an image file, see :func:`is_image_file`, for a single still.
        draw: Draws the people.
        side_by_side: Whether to put the original beside.
    """

    def __init__(self, folder: Path, draw: SkeletonDrawer, side_by_side: bool = False) -> None:
        self.folder = folder
        self.is_file = is_image_file(folder)
        self.draw = draw
        self.side_by_side = side_by_side

    def write(self, result: Result) -> None:
        """Draw and write one image."""
        image = draw_result(result, self.draw, self.side_by_side, keep=False)
        write_image(self.folder if self.is_file else self.folder / image_name(result.frame.name), image)

    def close(self, complete: bool) -> None:
        """Do nothing: every image was written completely."""
