"""Numbered images, or a zip file of images, as a video."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from tposecli.sources.base import BaseSequence, LazyImage
from tposecli.sources.find_images import IMAGE_SUFFIXES, ImageList, find_images
from tposecli.sources.image_store import ZipReader, is_archive
from tposecli.sources.images import decode_image
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.time_window import WHOLE, Window
from tposecli.types import Image, SourceInfo
from tposecli.utils.errors import InputError

log = logging.getLogger("tposecli")

RATE: Final = Fraction(25)
"""Default frame rate, as in FFmpeg."""

_NUMBER = re.compile(r"%(0?)(\d*)d")


def is_numbered(path: Path) -> bool:
    """Return whether the name is a pattern such as ``%06d.png``."""
    return path.suffix.lower() in IMAGE_SUFFIXES and len(_NUMBER.findall(path.name)) == 1


def is_sequence(path: Path) -> bool:
    """Return whether ``path`` names an image sequence: a numbered or glob pattern of images, or a zip file."""
    if path.exists():
        return is_archive(path)
    return is_numbered(path) or (path.suffix.lower() in IMAGE_SUFFIXES and glob.has_magic(str(path)))


def numbered_path(pattern: Path, number: int) -> Path:
    """Return the file of a numbered pattern with this number."""
    return pattern.with_name(_NUMBER.sub(lambda found: f"{number:{found[1]}{found[2]}d}", pattern.name, count=1))


def matching_files(pattern: Path) -> list[Path]:
    """Return the files that match a numbered pattern, by number.

    Raises:
        InputError: The folder cannot be read.
    """
    found = _NUMBER.search(pattern.name)
    if found is None:
        return []
    before, after = pattern.name[: found.start()], pattern.name[found.end() :]
    min_digits = int(found[2] or 1)
    name = re.compile(rf"{re.escape(before)}(\d{{{min_digits},}}){re.escape(after)}")
    try:
        named = [(match, path) for path in pattern.parent.iterdir() if (match := name.fullmatch(path.name))]
    except OSError as error:
        raise InputError(f"{pattern.parent}: the folder cannot be read ({error.strerror}); check the name") from error
    return [path for _, path in sorted(named, key=lambda pair: int(pair[0][1]))]


class SequenceSource(BaseSequence):
    """Images in the order of their numbers, at a constant frame rate; gaps in the numbering are ignored."""

    def __init__(
        self, path: Path, window: Window = WHOLE, rate: Fraction | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Find the images.

        Args:
            path: A pattern (``%06d.png``, ``*.png``) or a zip file.
            window: Time window.
            rate: Frame rate.
            max_pixels: Larger images count as lost.

        Raises:
            InputError: There are no images, or none of them can be read.
        """
        super().__init__(window)
        self._images, self._max_pixels = _list_images(path), max_pixels
        self.files = self._images.files
        rate = rate or RATE
        with ZipReader() as reader:
            decoded = (_decoded(reader, image_path, max_pixels) for image_path in self._images.paths)
            images = (image for image in decoded if image is not None)
            first = next(images, None)
        if first is None:
            raise InputError(f"{path}: none of its images can be decoded; check that they open in an image viewer")
        size_wh = first.shape[1], first.shape[0]
        self.info = SourceInfo(path.name, size_wh, rate, 1 / rate, len(self._images))

    def _lazy_images(self) -> Generator[LazyImage, None, None]:
        """Yield every image."""
        with ZipReader() as reader:
            for pts, (path, name) in enumerate(self._ordered()):
                yield LazyImage(pts, name, partial(_decoded, reader, path, self._max_pixels))

    def _ordered(self) -> Iterator[tuple[Path, str]]:
        return zip(self._images.paths, self._images.names, strict=True)


def _list_images(path: Path) -> ImageList:
    """Return the images that a pattern or a zip file names."""
    if not is_numbered(path) or path.exists():
        return find_images([path])
    paths = matching_files(path)
    if not paths:
        raise InputError(f"{path}: no file matches this pattern; check the folder and the number of digits")
    return ImageList(tuple(paths), tuple(image_path.name for image_path in paths))


def _decoded(reader: ZipReader, path: Path, max_pixels: int) -> Image | None:
    """Return the pixels of an image; log a warning and return None if it is damaged or too large."""
    try:
        return decode_image(reader.read(path), str(path), max_pixels=max_pixels)
    except InputError as error:
        log.warning("%s", error)
        return None
