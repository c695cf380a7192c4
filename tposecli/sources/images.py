"""Still images as frames, whatever their bit depth and orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.sources.find_images import ImageList
from tposecli.sources.heif import decode_heif, is_heif
from tposecli.sources.image_store import ZipReader
from tposecli.sources.limits import MAX_PIXELS, check_pixels, declared_wh
from tposecli.sources.orientation import UPRIGHT, apply_orientation, orientation_of
from tposecli.types import Frame, Image, SourceInfo
from tposecli.utils.errors import InputError

FORMATS: Final = "JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, JPEG 2000 or AVIF"


class ImageSource:
    """Images as frames, decoded one at a time.

    A file that cannot be decoded does not stop the iteration: it is recorded and skipped, and its index stays unused.

    Attributes:
        info: Metadata; named after the folder or the first file, ``frames`` is the number of images.
        failed: (name, reason) of each image that could not be read in the latest iteration.
    """

    def __init__(
        self,
        images: ImageList | Sequence[Path | str],
        honour_exif: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Set the images to read.

        Args:
            images: A result of :func:`find_images`, or plain paths, which are then named by their file names.
            honour_exif: Apply the orientation that the file declares; off for evaluation.
            max_pixels: Larger images are not decoded.
        """
        if isinstance(images, ImageList):
            self._paths, self._names, self._first = images.paths, images.names, images.first
        else:
            self._paths = tuple(Path(path) for path in images)
            self._names, self._first = tuple(path.name for path in self._paths), 0
        self._honour_exif, self._max_pixels = honour_exif, max_pixels
        self.failed: list[tuple[str, str]] = []
        name = self._paths[0].parent.name or self._paths[0].name if self._paths else ""
        self.info = SourceInfo(name=name, frames=len(self._paths))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, readable or not; ``Frame.index`` counts them."""
        return self._names

    @property
    def expected(self) -> int:
        """Number of images, readable or not."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        self.failed = []
        with ZipReader() as reader:
            for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True), start=self._first):
                try:
                    image = decode_image(reader.read(path), str(path), self._honour_exif, self._max_pixels)
                except InputError as error:
                    self.failed.append((name, str(error)))
                    continue
                yield Frame(image, index, name=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: no file stays open between two images."""


def read_image(path: Path, honour_exif: bool = True, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode an image file as (H, W, 3) uint8 RGB.

    Grey becomes three equal channels, transparency is dropped, 16 bits are reduced to the upper 8.

    Raises:
        InputError: The file is missing, empty, damaged, too large, or not an image.
    """
    with ZipReader() as reader:
        return decode_image(reader.read(path), str(path), honour_exif, max_pixels)


def decode_image(data: NDArray[np.uint8], title: str, honour_exif: bool = True, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode the bytes of an image, as :func:`read_image` does; ``title`` names it in messages.

    Raises:
        InputError: The data is empty, not an image, or an image of more than ``max_pixels`` pixels.
    """
    if is_heif(data):
        return decode_heif(data, title, max_pixels)
    check_encoded(data, title, max_pixels)
    orientation = orientation_of(data) if honour_exif else UPRIGHT
    flags = cv2.IMREAD_COLOR if orientation is None else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    reason = "OpenCV cannot decode it"
    try:
        decoded = cv2.imdecode(data, flags)
    except cv2.error as error:
        decoded, reason = None, str(error.err)
    if decoded is None:
        raise InputError(f"{title}: cannot be decoded ({reason}); it may be damaged or in another format")
    image: Image = np.ascontiguousarray(decoded)
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return image if orientation in (None, UPRIGHT) else apply_orientation(image, orientation)


def check_encoded(data: NDArray[np.uint8], title: str, max_pixels: int) -> tuple[int, int]:
    """Return the width and height that an encoded image declares, before EXIF rotation, if they are acceptable.

    Raises:
        InputError: The data is empty, not an image, or an image of more than ``max_pixels`` pixels.
    """
    if not data.size:
        raise InputError(f"{title}: the file is empty; copy or download it again")
    size_wh = declared_wh(data)
    if size_wh is None:
        raise InputError(f"{title}: cannot be decoded (not a {FORMATS} image); it may be damaged or in another format")
    check_pixels(title, size_wh, max_pixels)
    return size_wh
