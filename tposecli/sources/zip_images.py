"""Images inside a zip file, addressed as ``photos.zip/inner/name.jpg``."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tposecli.utils.errors import InputError
from tposecli.utils.files import safe_relative_name

SUFFIX: Final = ".zip"
MAX_BYTES: Final = 1 << 30
"""A larger zip member is refused as a decompression bomb."""

DAMAGE: Final = (
    *(OSError, EOFError, LookupError, MemoryError, OverflowError, RuntimeError, UnicodeError, ValueError),
    *(zipfile.BadZipFile, lzma.LZMAError, struct.error, zlib.error),
)
"""What reading a damaged zip file raises; RuntimeError if it is encrypted."""


def is_archive(path: Path) -> bool:
    """Return whether ``path`` is a zip file."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def archive_of(path: Path) -> Path | None:
    """Return the zip file that contains ``path``; None for plain files."""
    return next((folder for folder in path.parents if is_archive(folder)), None)


def members(archive: Path) -> list[Path]:
    """Return the files in a zip file, without those whose names lead out of it.

    Raises:
        InputError: It is not a zip file, or damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    except DAMAGE as error:
        raise InputError(
            f"{archive}: cannot be read as a zip file ({error}); it may be truncated or damaged"
        ) from error
    return [archive / name for name in names if _is_inner(name)]


def _is_inner(name: str) -> bool:
    try:
        return bool(safe_relative_name(name))
    except ValueError:
        return False


class ZipReader:
    """Reads files, inside zip files or not; the latest zip file stays open."""

    def __init__(self) -> None:
        self._archive: Path | None = None
        self._opened: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the whole file as (bytes,) uint8.

        Raises:
            InputError: It is missing, damaged or encrypted.
        """
        try:
            archive = None if path.is_file() else archive_of(path)
            if archive is None:
                return np.fromfile(path, np.uint8)
            return np.frombuffer(self._member(archive, path), np.uint8)
        except DAMAGE as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{path}: cannot be read ({reason}); check the name and the permissions") from error

    def _member(self, archive: Path, path: Path) -> bytes:
        """Return the bytes of a file in a zip file."""
        if self._opened is None or archive != self._archive:
            self.__exit__()
            self._archive, self._opened = archive, zipfile.ZipFile(archive)
        try:
            entry = self._opened.getinfo(path.relative_to(archive).as_posix())
        except KeyError as error:
            raise InputError(f"{path}: no such file in the zip file; check the name") from error
        if entry.file_size > MAX_BYTES:
            raise InputError(f"{path}: {entry.file_size} bytes are too many for an image")
        return self._opened.read(entry)
