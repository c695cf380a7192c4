"""Stills, one by one, whatever their depth and orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.sources.find_images import ImageList
from tposecli.sources.limits import MAX_PIXELS, check_pixels, claimed_wh
from tposecli.sources.zip_images import ZipReader
from tposecli.types import Frame, Image, SourceInfo
from tposecli.utils.errors import InputError

KNOWN: Final = "JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, JPEG 2000 or AVIF"


class ImageSource:
    """Stills as frames, decoded when their turn comes.

    A file that cannot be decoded is no reason to stop: it is recorded and passed over, and its index stays unused.

    Attributes:
        info: Name of the folder or of the first file; ``frames`` is how many stills were named.
        failed: (name, reason) of each still that could not be read, of the latest iteration.
    """

    def __init__(
        self,
        images: ImageList | Sequence[Path | str],
        honour_exif: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Take the stills to read.

        Args:
            images: What :func:`find_images` found, or plain paths, which are then named by their file names.
            honour_exif: Turn each picture upright as its EXIF orientation says; off for evaluation.
            max_pixels: Larger ones are not unpacked.
        """
        if isinstance(images, ImageList):
            self._paths, self._names = images.paths, images.names
        else:
            self._paths = tuple(Path(path) for path in images)
            self._names = tuple(path.name for path in self._paths)
        self._honour_exif, self._max_pixels = honour_exif, max_pixels
        self.failed: list[tuple[str, str]] = []
        name = self._paths[0].parent.name or self._paths[0].name if self._paths else ""
        self.info = SourceInfo(name=name, frames=len(self._paths))

    @property
    def expected(self) -> int:
        """How many stills there are, readable or not."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        self.failed = []
        with ZipReader() as reader:
            for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True)):
                try:
                    image = decode_image(reader.read(path), str(path), self._honour_exif, self._max_pixels)
                except InputError as error:
                    self.failed.append((name, str(error)))
                    continue
                yield Frame(image, index, name=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing stays open between two stills."""


def read_image(path: Path, honour_exif: bool = True, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode one still as (H, W, 3) uint8 RGB.

    Grey becomes three equal channels, transparency is left out, 16 bits are reduced to the upper 8.

    Raises:
        InputError: The file is missing, empty, damaged, too large, or no image.
    """
    with ZipReader() as reader:
        return decode_image(reader.read(path), str(path), honour_exif, max_pixels)


def decode_image(data: NDArray[np.uint8], title: str, honour_exif: bool = True, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode the bytes of one still, as :func:`read_image` does; ``title`` names it in messages.

    Raises:
        InputError: There are no bytes, they are no image, or one of more than ``max_pixels``.
    """
    check_still(data, title, max_pixels)
    flags = cv2.IMREAD_COLOR if honour_exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    reason = "no image that OpenCV can decode"
    try:
        decoded = cv2.imdecode(data, flags)
    except cv2.error as error:
        decoded, reason = None, str(error.err)
    if decoded is None:
        raise InputError(f"{title}: cannot be decoded ({reason}); it may be damaged or of another kind")
    image: Image = np.ascontiguousarray(decoded)
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return image


def check_still(data: NDArray[np.uint8], title: str, max_pixels: int) -> tuple[int, int]:
    """Width and height that an encoded still claims, before EXIF turns it, if they are acceptable.

    Raises:
        InputError: There are no bytes, they are no image, or one of more than ``max_pixels``.
    """
    if not data.size:
        raise InputError(f"{title}: the file is empty; copy or download it again")
    size_wh = claimed_wh(data)
    if size_wh is None:
        raise InputError(f"{title}: cannot be decoded (no {KNOWN} picture); it may be damaged or of another kind")
    check_pixels(title, size_wh, max_pixels)
    return size_wh
