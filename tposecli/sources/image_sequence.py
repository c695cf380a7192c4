"""Numbered stills, or a zip file of them, as a video."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from tposecli.sources.base import BaseSequence, Picture
from tposecli.sources.find_images import IMAGE_SUFFIXES, ImageList, find_images
from tposecli.sources.images import decode_image
from tposecli.sources.limits import MAX_PIXELS
from tposecli.sources.time_window import WHOLE, Window
from tposecli.sources.zip_images import ZipReader, is_archive
from tposecli.types import Image, SourceInfo
from tposecli.utils.errors import InputError

log = logging.getLogger("tposecli")

RATE: Final = Fraction(25)
"""Pictures a second where nobody says, as in FFmpeg."""

_NUMBER = re.compile(r"%(0?)(\d*)d")


def is_numbered(path: Path) -> bool:
    """Whether the name is a pattern such as ``%06d.png``."""
    return path.suffix.lower() in IMAGE_SUFFIXES and len(_NUMBER.findall(path.name)) == 1


def is_sequence(path: Path) -> bool:
    """Whether ``path`` names many stills: a numbered or shell pattern of pictures, or a zip file."""
    if path.exists():
        return is_archive(path)
    return is_numbered(path) or (path.suffix.lower() in IMAGE_SUFFIXES and glob.has_magic(str(path)))


def numbered_path(pattern: Path, number: int) -> Path:
    """The file of a pattern that has this number."""
    return pattern.with_name(_NUMBER.sub(lambda found: f"{number:{found[1]}{found[2]}d}", pattern.name, count=1))


def matching(pattern: Path) -> list[Path]:
    """The files that a numbered pattern matches, by number.

    Raises:
        InputError: Its folder cannot be read.
    """
    found = _NUMBER.search(pattern.name)
    if found is None:
        return []
    before, after = pattern.name[: found.start()], pattern.name[found.end() :]
    least = int(found[2] or 1)
    name = re.compile(rf"{re.escape(before)}(\d{{{least},}}){re.escape(after)}")
    try:
        named = [(match, path) for path in pattern.parent.iterdir() if (match := name.fullmatch(path.name))]
    except OSError as error:
        raise InputError(f"{pattern.parent}: the folder cannot be read ({error.strerror}); check the name") from error
    return [path for _, path in sorted(named, key=lambda pair: int(pair[0][1]))]


class SequenceSource(BaseSequence):
    """Stills in the order of their numbers, at a constant rate; gaps in the numbers do not count."""

    def __init__(
        self, path: Path, window: Window = WHOLE, rate: Fraction | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Find the stills.

        Args:
            path: A pattern (``%06d.png``, ``*.png``) or a zip file.
            window: Which part of them.
            rate: Pictures a second.
            max_pixels: Larger stills are lost.

        Raises:
            InputError: There are none, or not one of them can be read.
        """
        super().__init__(window)
        self._stills, self._max_pixels = _found(path), max_pixels
        self.files = self._stills.files
        rate = rate or RATE
        with ZipReader() as reader:
            tried = (_decoded(reader, still, max_pixels) for still in self._stills.paths)
            images = (image for image in tried if image is not None)
            first = next(images, None)
        if first is None:
            raise InputError(f"{path}: not one picture of it can be decoded; check that they open")
        size_wh = first.shape[1], first.shape[0]
        self.info = SourceInfo(path.name, size_wh, rate, 1 / rate, len(self._stills))

    def _pictures(self) -> Generator[Picture, None, None]:
        """Every still."""
        with ZipReader() as reader:
            for pts, (path, name) in enumerate(self._ordered()):
                yield pts, name, partial(_decoded, reader, path, self._max_pixels)

    def _ordered(self) -> Iterator[tuple[Path, str]]:
        return zip(self._stills.paths, self._stills.names, strict=True)


def _found(path: Path) -> ImageList:
    """The stills that a pattern or an archive names."""
    if not is_numbered(path) or path.exists():
        return find_images([path])
    paths = matching(path)
    if not paths:
        raise InputError(f"{path}: no file matches this pattern; check the folder and how many digits there are")
    return ImageList(tuple(paths), tuple(still.name for still in paths))


def _decoded(reader: ZipReader, path: Path, max_pixels: int) -> Image | None:
    """The still's pixels; None, and a line in the log, where it is damaged or too large."""
    try:
        return decode_image(reader.read(path), str(path), max_pixels=max_pixels)
    except InputError as error:
        log.warning("%s", error)
        return None
