"""Atomic output files: a file appears complete under its own name, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import Any, Final

from tposecli.utils.errors import OutputError, UsageError

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Disk full, quota exceeded, or file larger than the file system allows."""


def unwritable(path: Path, error: Exception) -> OutputError:
    """Return the error for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    full = getattr(error, "errno", None) in FULL
    remedy = "free some space, or choose another disk" if full else "check the folder and its permissions"
    return OutputError(f"{path}: cannot be written ({reason}); {remedy}")


def part_path(path: Path) -> Path:
    """Return the temporary name under which ``path`` is written until it is complete."""
    return path.with_name(path.name + ".part")


def publish(path: Path, durable: bool = True) -> None:
    """Rename the finished part file of ``path`` to its final name, replacing an existing file.

    Args:
        path: Final name of the file.
        durable: Call ``fsync`` first: without it, a power cut soon after may leave an empty file of that name.

    Raises:
        OSError: The file cannot be flushed or renamed.
    """
    part = part_path(path)
    if durable:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
    os.replace(part, path)


def discard(path: Path) -> None:
    """Remove the unfinished part file of ``path``, if it exists and can be removed."""
    with suppress(OSError):
        part_path(path).unlink()


def check_output(path: Path, overwrite: bool) -> None:
    """Check, before any work is done, that an output can be written; create missing parent folders.

    Raises:
        UsageError: The file exists and ``overwrite`` is off, or it is a folder.
        OutputError: The folder cannot be created or is not writable.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} already exists; add --overwrite to replace it, or choose another name")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: the output folder cannot be created ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: the output folder is not writable; choose another or change its permissions")


class NamedFile(BufferedRandom):
    """A new file, opened for writing and reading back, whose error messages name it.

    Raises:
        OutputError: The file cannot be created or, from ``write``, ``flush`` and ``close``, cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(_NamedRaw(path))
        except OSError as error:
            raise unwritable(path, error) from error


class _NamedRaw(FileIO):
    """The unbuffered layer of a :class:`NamedFile`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.path = path

    def write(self, data: Any) -> int:
        """Write bytes and return how many were written."""
        try:
            return super().write(data)
        except OSError as error:
            raise unwritable(self.path, error) from error


class PartFile:
    """A file that gets its final name once it is complete.

    Attributes:
        path: Final name.
        file: The open file to write to.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        """Create the part file; for ``durable`` see :func:`publish`.

        Raises:
            OutputError: It cannot be created.
        """
        self.path = path
        self.file = NamedFile(part_path(path))
        self._durable = durable

    def close(self, complete: bool, ending: Iterable[bytes] = ()) -> None:
        """Write the ending and publish the file, or remove it if it is not complete; a second call has no effect.

        Raises:
            OutputError: It cannot be finished, and was removed.
        """
        if self.file.closed:
            return
        try:
            if complete:
                self.file.writelines(ending)
                self.file.close()
                publish(self.path, self._durable)
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            self.file.raw.close()  # Closes without flushing the buffer, which is of no use any more.
            discard(self.path)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write a complete text file in UTF-8; for ``durable`` see :func:`publish`.

    Raises:
        OutputError: The file cannot be written.
    """
    PartFile(path, durable).close(True, [text.encode()])


def safe_relative_name(name: str) -> str:
    """Return ``name``, read from an untrusted file, if it stays inside the folder that it is relative to.

    Raises:
        ValueError: It leads out of the folder, on this or another operating system.
    """
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [""]
    if not parts[0] or not name.strip("/") or "\0" in name or ".." in parts or parts[0][1:2] == ":":
        raise ValueError(f"{name!r} is not a file name inside the folder")
    return name


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
