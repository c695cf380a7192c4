"""Images by name, from a folder or a zip file. Paths such as ``photos.zip/inner/name.jpg`` point into a zip file."""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from copy import copy
from pathlib import Path, PurePosixPath
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import safe_relative_name

SUFFIX: Final = ".zip"
MAX_BYTES: Final = 1 << 30
"""A larger zip member is refused as a decompression bomb."""

DAMAGE: Final = (
    *(OSError, EOFError, LookupError, MemoryError, OverflowError, RuntimeError, UnicodeError, ValueError),
    *(zipfile.BadZipFile, lzma.LZMAError, struct.error, zlib.error),
)
"""What reading a damaged zip file raises; RuntimeError if it is encrypted."""

Bytes = NDArray[np.uint8]


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
    with _open_zip(archive) as opened:
        names = [entry.filename for entry in opened.infolist() if entry.filename and not entry.is_dir()]
    return [archive / name for name in names if _is_inner(name)]


def _is_inner(name: str) -> bool:
    try:
        return bool(safe_relative_name(name))
    except ValueError:
        return False


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read as a zip file ({error}); it may be truncated or damaged") from error


def _read_member(opened: zipfile.ZipFile, name: str, title: Path) -> Bytes:
    """Return the (bytes,) uint8 of a zip member; ``title`` names it in messages.

    Raises:
        InputError: It does not exist, or is too large.
    """
    try:
        entry = opened.getinfo(name)
    except KeyError as error:
        raise InputError(f"{title}: no such file in the zip file; check the name") from error
    if entry.file_size > MAX_BYTES:
        raise InputError(f"{title}: {entry.file_size} bytes are too many for an image; remove it from the zip file")
    data = _unpack(opened, entry)
    if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
        raise InputError(f"{title}: is not what the zip file says (another size or checksum); it may be damaged")
    return np.frombuffer(data, np.uint8)


def _unpack(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, at most one byte more than its declared size, which may be a lie.

    The standard library keeps to that for deflate; bzip2 and LZMA it unpacks by the piece, whatever comes out.
    """
    limit = entry.file_size + 1
    if entry.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with opened.open(entry) as member:
            return member.read(limit)
    stored = copy(entry)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, entry.compress_size
    del stored.CRC
    with opened.open(stored) as member:
        packed = member.read()
    if entry.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, limit)
    # APPNOTE 5.8.8: version, size of the properties, then lc, lp and pb in one byte, and the size of the dictionary.
    size, packing, dictionary = struct.unpack_from("<xxHBI", packed)
    filters = {"id": lzma.FILTER_LZMA1, "lc": packing % 9, "lp": packing // 9 % 5, "pb": packing // 45}
    filters["dict_size"] = max(4096, min(dictionary, limit))
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters]).decompress(packed[4 + size :], limit)


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"{path}: cannot be read ({reason}); check the name and the permissions")


class ZipReader:
    """Reads files by path, inside zip files or not; the latest zip file stays open."""

    def __init__(self) -> None:
        self._archive: Path | None = None
        self._opened: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def read(self, path: Path) -> Bytes:
        """Return the whole file as (bytes,) uint8.

        Raises:
            InputError: It is missing, damaged, encrypted or, in a zip file, too large.
        """
        try:
            archive = None if path.is_file() else archive_of(path)
            if archive is None:
                return np.fromfile(path, np.uint8)
            if self._opened is None or archive != self._archive:
                self.__exit__()
                self._archive, self._opened = archive, zipfile.ZipFile(archive)
            return _read_member(self._opened, path.relative_to(archive).as_posix(), path)
        except DAMAGE as error:
            raise _unreadable(path, error) from error


class ImageStore(Protocol):
    """A collection of image files, addressed by name."""

    def has(self, name: str) -> bool:
        """Return whether there is an image of this name."""
        ...

    def read(self, name: str) -> Bytes:
        """Return the file as (bytes,) uint8.

        Raises:
            InputError: It cannot be read.
        """
        ...


class ImageFolder:
    """Images in a folder, by their names relative to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self._folder / name).is_file()

    def read(self, name: str) -> Bytes:
        """Return the file as (bytes,) uint8.

        Raises:
            InputError: It cannot be read.
        """
        try:
            return np.fromfile(self._folder / name, np.uint8)
        except OSError as error:
            raise _unreadable(self._folder / name, error) from error


class ImageZip:
    """Images in a zip file, by their full names in it, or by their file names in whatever folder."""

    def __init__(self, path: Path) -> None:
        """Open the zip file and read its directory.

        Raises:
            InputError: It is not a zip file, or damaged.
        """
        self._path = path
        self._zip = _open_zip(path)
        names = [name for name in self._zip.namelist() if not name.endswith("/")]
        self._members = {PurePosixPath(name).name: name for name in names} | {name: name for name in names}

    def has(self, name: str) -> bool:
        """Return whether there is a member of this name."""
        return self._member(name) is not None

    def read(self, name: str) -> Bytes:
        """Return the member as (bytes,) uint8.

        Raises:
            InputError: It does not exist, is damaged, encrypted or too large.
        """
        try:
            return _read_member(self._zip, self._member(name) or name, self._path / name)
        except DAMAGE as error:
            raise _unreadable(self._path / name, error) from error

    def _member(self, name: str) -> str | None:
        return self._members.get(name) or self._members.get(PurePosixPath(name).name)


def open_images(path: Path, hint: str = "") -> ImageStore:
    """Open the images in a folder or a zip file; without such a folder, those in the zip file of its name.

    Args:
        path: The folder or zip file.
        hint: How to get the images if there are none, for the message.

    Raises:
        UsageError: There is neither.
        InputError: The zip file is damaged.
    """
    packed = path.with_name(path.name + SUFFIX)
    if path.is_dir():
        return ImageFolder(path)
    for candidate in (path, packed):
        if candidate.is_file():
            return ImageZip(candidate)
    raise UsageError(
        f"{path}: no such image folder, nor {packed}; {hint or 'put the images there or name their folder'}"
    )
