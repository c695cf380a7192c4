"""Output files: written under a temporary name that nobody else has, and given their own name once they are complete.

Nothing that this program did not make is replaced or removed: temporary names are random and created exclusively,
without following links, and a file that must be new never replaces one that appeared in the meantime.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader, FileIO
from pathlib import Path
from typing import Any, Final

from tposecli.utils.errors import OutputError, UsageError
from tposecli.utils.locks import record_temporary, temporary_name

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Disk full, quota exceeded, or file larger than the file system allows."""

NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_must_be_new: set[str] = set()
"""Absolute paths of files, and of folders with all that is in them, where nothing may be replaced."""


def unwritable(path: Path, error: Exception) -> OutputError:
    """Return the error for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    full = getattr(error, "errno", None) in FULL
    remedy = "free some space, or choose another disk" if full else "check the folder and its permissions"
    return OutputError(f"{path}: cannot be written ({reason}); {remedy}")


def create_exclusively(path: Path, mode: int = 0o666) -> int:
    """Create a file that does not exist and return its descriptor, open for reading and writing; links count as files.

    Raises:
        FileExistsError: There is something of that name.
        OSError: It cannot be created.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW, mode)


def check_output(path: Path, overwrite: bool) -> None:
    """Check, before any work is done, that an output can be written; create missing parent folders.

    If ``overwrite`` is off, the output must still be new when it is published.

    Raises:
        UsageError: The file exists and ``overwrite`` is off, or it is a folder.
        OutputError: The folder cannot be created or is not writable.
    """
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{path} already exists; add --overwrite to replace it, or choose another name")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    check_folder(path.parent)
    forbid_replacing(path, not overwrite)


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder; create it if it is missing.

    Raises:
        OutputError: It cannot be created or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: the output folder cannot be created ({error.strerror}); choose another"
        ) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: the output folder is not writable; choose another or change its permissions")


def refuse_existing(paths: Iterable[Path], overwrite: bool, remedy: str = "") -> None:
    """Check, before any work is done, that none of the files that will be written exists.

    Args:
        paths: The files.
        overwrite: Whether they may be replaced.
        remedy: What to do, in place of the usual advice.

    Raises:
        UsageError: One exists and ``overwrite`` is off.
    """
    for path in paths:
        if not overwrite and os.path.lexists(path):
            remedy = remedy or "add --overwrite to replace it, or choose another name"
            raise UsageError(f"{path} already exists; {remedy}")
        forbid_replacing(path, not overwrite)


def forbid_replacing(path: Path, forbidden: bool = True) -> None:
    """Remember whether a file, or what is in a folder, must be new when it is published."""
    (_must_be_new.add if forbidden else _must_be_new.discard)(os.path.abspath(path))


def may_replace(path: Path) -> bool:
    """Return whether a file may be replaced, by what was checked of it and of the folders that it is in."""
    absolute = Path(os.path.abspath(path))
    return not any(str(place) in _must_be_new for place in (absolute, *absolute.parents))


class NewFile:
    """A file that is written under a temporary name, and then published under its own.

    Attributes:
        path: Its own name, as given.
        temporary: The temporary name, beside it; the file exists and is empty.
    """

    def __init__(self, path: Path, replace: bool | None = None, follow: bool = True) -> None:
        """Create the temporary file.

        Args:
            path: Its own name.
            replace: Whether a file of that name may be replaced; None if there is one now and no check forbade it.
            follow: If ``path`` is a symbolic link, write the file that it points to instead of replacing the link.

        Raises:
            OSError: It cannot be created.
        """
        self.path = path
        self._target = Path(os.path.realpath(path)) if follow and path.is_symlink() else path
        exists = os.path.lexists(self._target)
        self._replace = (exists and may_replace(path)) if replace is None else replace
        descriptor, self.temporary = _create_temporary(self._target)
        self._mode = os.fstat(descriptor).st_mode & 0o777
        os.close(descriptor)

    def publish(self, durable: bool = True) -> None:
        """Give the finished file its own name.

        Args:
            durable: Call ``fsync`` first: without it, a power cut soon after may leave an empty file of that name.

        Raises:
            OSError: The file cannot be flushed or renamed; FileExistsError if it must be new and is not.
        """
        move(self.temporary, self._target, self._replace, durable, self._mode)
        forbid_replacing(self.path, False)  # From now on the file is ours.

    def keep_as(self, path: Path) -> None:
        """Give the file another name, which must be free.

        Raises:
            OSError: It cannot be renamed; FileExistsError if there is something of that name.
        """
        move(self.temporary, path, False, False, self._mode)

    def discard(self) -> None:
        """Remove the temporary file, if it still exists and can be removed."""
        with suppress(OSError):
            self.temporary.unlink()


def move(temporary: Path, path: Path, replace: bool, durable: bool = True, mode: int | None = None) -> None:
    """Rename a finished file.

    Args:
        temporary: Its present name.
        path: Its final name.
        replace: Whether a file of that name is replaced.
        durable: Call ``fsync`` first.
        mode: Permissions to set, since a library may have created the file anew with others.

    Raises:
        OSError: It cannot be flushed or renamed; FileExistsError if ``replace`` is off and the name is taken.
    """
    if mode is not None and os.name != "nt" and temporary.stat().st_mode & 0o777 != mode:
        temporary.chmod(mode)
    if durable:
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
    if not replace and os.name == "nt":
        os.rename(temporary, path)  # Never replaces a file on Windows.
        _note_published(path)
        return
    if not replace:
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError as error:
            reason = "another file of that name has appeared meanwhile and is kept"
            raise FileExistsError(errno.EEXIST, reason, str(path)) from error
        except OSError:  # The file system has no hard links: take the name first.
            os.close(create_exclusively(path))
        else:
            temporary.unlink()
            _note_published(path)
            return
    os.replace(temporary, path)
    _note_published(path)


@contextmanager
def published_files() -> Iterator[dict[Path, int]]:
    """Yield a dictionary that receives the real path and the size of every file published within the block."""
    noted: dict[Path, int] = {}
    _listeners.append(noted)
    try:
        yield noted
    finally:
        _listeners[:] = [other for other in _listeners if other is not noted]


_listeners: list[dict[Path, int]] = []


def _note_published(path: Path) -> None:
    for noted in _listeners:
        with suppress(OSError):
            noted[Path(os.path.realpath(path))] = path.stat().st_size


def _create_temporary(path: Path) -> tuple[int, Path]:
    """Create a hidden file beside ``path``, under a name that nobody has."""
    while True:
        temporary = path.with_name(temporary_name(path.name, secrets.token_hex(4)))
        try:
            descriptor = create_exclusively(temporary)
        except FileExistsError:
            continue
        record_temporary(temporary)
        return descriptor, temporary


@contextmanager
def new_file(path: Path, replace: bool | None = None, durable: bool = True, follow: bool = True) -> Iterator[Path]:
    """Publish a file at the end of the block, or remove it if the block raises; yields the name to write to.

    For the arguments see :class:`NewFile`.

    Raises:
        OutputError: The file cannot be created or published.
    """
    try:
        file = NewFile(path, replace, follow)
        try:
            yield file.temporary
            file.publish(durable)
        finally:
            file.discard()
    except OSError as error:
        raise unwritable(path, error) from error


class TemporaryFolder:
    """A folder beside an output, under a name that nobody has; it is removed with all that is in it.

    Attributes:
        path: The folder.
    """

    def __init__(self, output: Path) -> None:
        """Create the folder.

        Raises:
            OSError: It cannot be created.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self.path = output.with_name(temporary_name(output.name, secrets.token_hex(4)))
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            break
        record_temporary(self.path)

    def remove(self) -> None:
        """Remove the folder and its files."""
        shutil.rmtree(self.path, ignore_errors=True)


class NamedFile(BufferedRandom):
    """An open file to write and to read back, whose error messages name the output that it is for.

    Raises:
        OutputError: The file cannot be opened or, from ``write``, ``flush`` and ``close``, cannot be written.
    """

    def __init__(self, path: Path, output: Path | None = None) -> None:
        try:
            super().__init__(_NamedRaw(path, output or path))
        except OSError as error:
            raise unwritable(output or path, error) from error


class _NamedRaw(FileIO):
    """The unbuffered layer of a :class:`NamedFile`."""

    def __init__(self, path: Path, output: Path) -> None:
        super().__init__(path, "r+")
        self.output = output

    def write(self, data: Any) -> int:
        """Write bytes and return how many were written."""
        try:
            return super().write(data)
        except OSError as error:
            raise unwritable(self.output, error) from error


class PartFile:
    """An open file that gets its final name once it is complete.

    Attributes:
        path: Final name.
        file: The open file to write to.
    """

    def __init__(self, path: Path, durable: bool = True, replace: bool | None = None) -> None:
        """Create the temporary file; for the arguments see :class:`NewFile` and its ``publish``.

        Raises:
            OutputError: It cannot be created.
        """
        self.path = path
        try:
            self._new = NewFile(path, replace)
        except OSError as error:
            raise unwritable(path, error) from error
        self.file = NamedFile(self._new.temporary, path)
        self._durable = durable

    @property
    def temporary(self) -> Path:
        """The name under which the file is written."""
        return self._new.temporary

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
                self._new.publish(self._durable)
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            self.file.raw.close()  # Closes without flushing the buffer, which is of no use any more.
            self._new.discard()


def write_text(path: Path, text: str, durable: bool = True, replace: bool | None = None) -> None:
    """Write a complete text file in UTF-8; for the arguments see :class:`NewFile` and its ``publish``.

    Raises:
        OutputError: The file cannot be written.
    """
    PartFile(path, durable, replace).close(True, [text.encode()])


def append_line(path: Path, line: str) -> bool:
    """Add a line to the end of a text file, which is created if it is missing; return False if it has it already.

    What is in the file is kept as it is, and a link stays a link.

    Raises:
        OutputError: The file cannot be read or written.
    """
    try:
        before = path.read_bytes() if path.exists() else b""
        if line.encode() in before.splitlines():
            return False
        with path.open("ab") as file:
            file.write((b"" if not before or before.endswith(b"\n") else b"\n") + line.encode() + b"\n")
    except OSError as error:
        raise unwritable(path, error) from error
    return True


def safe_relative_name(name: str) -> str:
    """Return ``name``, read from an untrusted file, if it stays inside the folder that it is relative to.

    Raises:
        ValueError: It leads out of the folder, on this or another operating system.
    """
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [""]
    if not parts[0] or not name.strip("/") or "\0" in name or ".." in parts or parts[0][1:2] == ":":
        raise ValueError(f"{name!r} is not a file name inside the folder")
    return name


def read_whole(path: Path) -> bytes:
    """Return the content of a file that is read at once.

    Raises:
        OSError: It cannot be read; also if it is a device such as ``/dev/zero``, which never ends.
    """
    with open_finite(path) as file:
        return file.read()


def open_finite(path: Path) -> BufferedReader:
    """Open a file for reading bytes.

    Raises:
        OSError: It cannot be opened, or is a device such as ``/dev/zero``, which never ends.
    """
    file = path.open("rb")
    if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "a device, not a file", str(path))
    return file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
