"""Files appear whole under their own name or not at all."""

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
"""The disk, the user's share of it, or what the file system takes in one file."""


def unwritable(path: Path, error: Exception) -> OutputError:
    """The sentence for what cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    full = getattr(error, "errno", None) in FULL
    remedy = "free some space, or choose another disk" if full else "check the folder and its rights"
    return OutputError(f"{path}: cannot be written ({reason}); {remedy}")


def part_path(path: Path) -> Path:
    """The name under which ``path`` is written until it is complete."""
    return path.with_name(path.name + ".part")


def publish(path: Path, durable: bool = True) -> None:
    """Give the finished part of ``path`` its own name, replacing what was there.

    Args:
        path: The name.
        durable: Put it safely on the disk first: without, a power cut soon after may leave an empty file of that name.

    Raises:
        OSError: The disk does not take it.
    """
    part = part_path(path)
    if durable:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
    os.replace(part, path)


def discard(path: Path) -> None:
    """Remove the part of ``path`` that was never finished, if there is one and the disk lets it go."""
    with suppress(OSError):
        part_path(path).unlink()


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse an output that exists, or whose folder cannot take it, before any work is done.

    Missing parent folders are made.

    Raises:
        UsageError: The file exists and ``overwrite`` is off.
        OutputError: The folder cannot be made or written.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; add --overwrite to replace it, or choose another name")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: the output folder cannot be made ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: the output folder cannot be written; choose another or change its rights")


class NamedFile(BufferedRandom):
    """A new file for writing and reading back, whose errors say which file it is.

    Raises:
        OutputError: It cannot be made, or, from ``write``, ``flush`` and ``close``, cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(_NamedRaw(path))
        except OSError as error:
            raise unwritable(path, error) from error


class _NamedRaw(FileIO):
    """The bytes of a :class:`NamedFile`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.path = path

    def write(self, data: Any) -> int:
        """Write some of the bytes, and say how many."""
        try:
            return super().write(data)
        except OSError as error:
            raise unwritable(self.path, error) from error


class PartFile:
    """A file that gets its name when it is whole.

    Attributes:
        path: Its name.
        file: What to write to.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        """Begin it; see :func:`publish`.

        Raises:
            OutputError: It cannot be made.
        """
        self.path = path
        self.file = NamedFile(part_path(path))
        self._durable = durable

    def close(self, complete: bool, ending: Iterable[bytes] = ()) -> None:
        """Write the ending and give the file its name, or remove it; closing twice is harmless.

        Raises:
            OutputError: It cannot be finished, and is removed.
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
            self.file.raw.close()  # What waits in the buffer is of no use any more.
            discard(self.path)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write a whole text file at once, UTF-8; see :func:`publish`.

    Raises:
        OutputError: It cannot be written.
    """
    PartFile(path, durable).close(True, [text.encode()])


def inner_name(name: str) -> str:
    """``name`` as it stands in a file that others wrote, if it stays in the folder that it is relative to.

    Raises:
        ValueError: It leads out of it, on this or another system.
    """
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [""]
    if not parts[0] or not name.strip("/") or "\0" in name or ".." in parts or parts[0][1:2] == ":":
        raise ValueError(f"{name!r} is no name of a file in the folder")
    return name


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
