"""Pictures inside a zip file, addressed as ``photos.zip/inner/name.jpg``."""

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
"""A larger picture in an archive is taken for an attack."""

DAMAGE: Final = (
    *(OSError, EOFError, LookupError, MemoryError, OverflowError, RuntimeError, UnicodeError, ValueError),
    *(zipfile.BadZipFile, lzma.LZMAError, struct.error, zlib.error),
)
"""What reading a damaged zip file raises; RuntimeError where it is encrypted."""


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a zip file."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def archive_of(path: Path) -> Path | None:
    """The zip file in which ``path`` lies; None for plain files."""
    return next((folder for folder in path.parents if is_archive(folder)), None)


def members(archive: Path) -> list[Path]:
    """The files in a zip file; those whose names lead out of it are left out.

    Raises:
        InputError: It is no zip file, or damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    except DAMAGE as error:
        raise InputError(f"{archive}: cannot be read as a zip file ({error}); it may be cut off or damaged") from error
    return [archive / name for name in names if _is_inner(name)]


def _is_inner(name: str) -> bool:
    try:
        return bool(safe_relative_name(name))
    except ValueError:
        return False


class ZipReader:
    """Reads files, in archives or not; the latest archive stays open."""

    def __init__(self) -> None:
        self._archive: Path | None = None
        self._opened: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def read(self, path: Path) -> NDArray[np.uint8]:
        """(bytes,) uint8: the whole file.

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
            raise InputError(f"{path}: cannot be read ({reason}); check the name and its rights") from error

    def _member(self, archive: Path, path: Path) -> bytes:
        """The bytes of a file in an archive."""
        if self._opened is None or archive != self._archive:
            self.__exit__()
            self._archive, self._opened = archive, zipfile.ZipFile(archive)
        try:
            entry = self._opened.getinfo(path.relative_to(archive).as_posix())
        except KeyError as error:
            raise InputError(f"{path}: no such file in the archive; check the name") from error
        if entry.file_size > MAX_BYTES:
            raise InputError(f"{path}: {entry.file_size} bytes are too many for a picture")
        return self._opened.read(entry)
