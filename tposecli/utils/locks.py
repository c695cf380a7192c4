"""Locks between processes. The operating system releases the lock of a process that dies, so none can go stale.

:func:`file_lock` waits for a shared file, such as one in the cache; :func:`output_locks` reserves the outputs of a run,
or fails at once.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from tposecli.utils.errors import OutputError, UsageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger("tposecli")

POLL_S: Final = 0.1
FOLDER: Final = "locks"

MAX_NAME_BYTES: Final = 200
"""Bytes of a name that its temporary name keeps, so that the whole stays below 255."""
MAX_LOCK_BYTES: Final = 1 << 17
TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""Opening a named pipe must not wait for its other end."""


@contextmanager
def file_lock(path: Path, label: str = "") -> Iterator[None]:
    """Hold the lock of a file, which need not exist; wait while another process holds it.

    The lock is an empty file in the folder ``locks`` beside it. It is never removed: removing it would open a race.

    Args:
        path: The file to lock.
        label: Name of the file in the log line that says that it is being waited for.

    Raises:
        OSError: The lock file cannot be created.
    """
    lock = path.parent / FOLDER / path.name
    lock.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW, 0o666), "ab") as file:
        announced = False
        while not try_lock(file.fileno()):
            if not announced:
                log.info("%s: another process is working on it; waiting", label or path.name)
                announced = True
            time.sleep(POLL_S)
        # Closing the file releases the lock.
        yield


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file without waiting; on a file system without locks this always succeeds."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.debug("the file system does not support locks (%s)", error)
    return True


@contextmanager
def output_locks(outputs: Iterable[Path], covered: Sequence[Path] = ()) -> Iterator[None]:
    """Reserve output files, which need not exist, against other runs, also on other machines.

    Reserving ``out.mp4`` locks the file ``out.mp4.lock`` beside it, which is removed at the end. The operating system
    releases the lock of a run that died; the next run takes over its lock file, and removes the temporary files that
    are recorded in it. Other machines are only kept out if the file system supports locks.

    Args:
        outputs: The outputs.
        covered: Others that are written in parts by several processes, each under a lock of its own: what is temporary
            in their places is recorded in the first lock of these outputs.

    Raises:
        UsageError: Another run has reserved one of them, or the name of a lock file is taken by something else.
        OutputError: The folder is not writable.
    """
    with ExitStack() as stack:
        for number, output in enumerate(outputs):
            stack.enter_context(_output_lock(output, () if number else covered))
        yield


def is_reserved(output: Path) -> bool:
    """Return whether a run on this machine, or on the same file system if that has locks, is writing an output."""
    try:
        file = os.fdopen(os.open(output.with_name(output.name + ".lock"), os.O_RDWR | _NO_FOLLOW | _NO_WAIT), "r+b")
    except OSError:
        return False
    with file:
        return not try_lock(file.fileno())


def temporary_name(name: str, random: str) -> str:
    """Return the temporary name of a file or folder: hidden, and short enough for every file system."""
    short = name.encode(errors="surrogateescape")[:MAX_NAME_BYTES].decode(errors="ignore")
    return f".{short}.{random}.part"


def record_temporary(path: Path) -> None:
    """Record a new temporary file or folder in the lock of the output that it belongs to, if that is locked.

    If this process is killed, the next run with the same output removes what is recorded.
    """
    absolute = Path(os.path.abspath(path))
    above = (file for output, file in _held.items() if output in absolute.parents)
    beside = (file for output, file in _held.items() if output.parent == absolute.parent)
    held = next(chain(above, beside), None)
    if held is None or TEMPORARY.fullmatch(absolute.parent.name):
        return
    with suppress(OSError):
        if os.fstat(held.fileno()).st_size > MAX_LOCK_BYTES // 2:
            _compact(held)
        held.write(_line({"temporary": str(absolute), "inode": path.lstat().st_ino}))


def _compact(file: BinaryIO) -> None:
    """Drop the entries of a lock file whose temporary files are gone."""
    head, *entries = _entries(file)
    file.truncate(len(_line(head)))
    for entry in entries:
        if os.path.lexists(str(entry.get("temporary"))):
            file.write(_line(entry))


_held: dict[Path, BinaryIO] = {}
"""The open lock files of this process by the absolute paths of their outputs."""


@contextmanager
def _output_lock(output: Path, covered: Sequence[Path]) -> Iterator[None]:
    lock = output.with_name(output.name + ".lock")
    file = _open_locked(output, lock, covered)
    keys = [Path(os.path.abspath(path)) for path in (output, *covered)]
    _held.update(dict.fromkeys(keys, file))
    try:
        yield
    finally:
        for key in keys:
            _held.pop(key, None)
        # Windows cannot remove an open file; elsewhere it must be removed while it is still locked.
        with suppress(OSError):
            ours = _is_linked(file, lock)
            if os.name == "nt":
                file.close()
            if ours:
                lock.unlink()
        file.close()


def _open_locked(output: Path, lock: Path, covered: Sequence[Path]) -> BinaryIO:
    """Create and lock the lock file of an output, or take over that of a run that died."""
    foreign = UsageError(f"{lock}: not a lock of this program, but of its name; move it, or choose another output")
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            created = _create_locked(lock)
            if created is not None:
                return created
            file = os.fdopen(os.open(lock, os.O_RDWR | os.O_APPEND | _NO_FOLLOW | _NO_WAIT), "r+b", buffering=0)
        except FileNotFoundError:
            continue  # Its holder removed it.
        except OSError as error:
            if lock.is_symlink() or lock.is_dir():
                raise foreign from error
            raise OutputError(f"{output}: cannot be written ({error.strerror}); choose another output") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise foreign
        if not try_lock(file.fileno()):
            process = _holder_hint(file)
            file.close()
            raise UsageError(
                f"{output}: another run{process} is writing it; wait until it has ended, or choose another output"
            )
        if not _is_linked(file, lock):
            file.close()  # Its holder ended and removed it after we opened it and before we locked it.
            continue
        if not _take_over(file, (output, *covered)):
            file.close()
            raise foreign
        return file


def _take_over(file: BinaryIO, outputs: Sequence[Path]) -> bool:
    """Make the lock file of a dead run ours and remove its temporary files; return False if no run has written it."""
    entries = _entries(file)
    for entry in entries[1:]:
        for output in outputs:
            _remove_temporary(output, entry)
    if entries:
        file.truncate(0)
        file.write(_head())
    return bool(entries)


def _create_locked(lock: Path) -> BinaryIO | None:
    """Create a lock file, locked and with its content from the moment it has its name; None if the name is taken."""
    if os.path.lexists(lock):
        return None
    new = lock.with_name(temporary_name(lock.name, secrets.token_hex(4)))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
    file = os.fdopen(os.open(new, flags, 0o666), "r+b", buffering=0)
    try:
        try_lock(file.fileno())
        file.write(_head())
        try:
            os.link(new, lock, follow_symlinks=False)
        except FileExistsError:
            file.close()
            return None
        except (OSError, NotImplementedError):  # No hard links here.
            file.close()
            file = os.fdopen(os.open(lock, flags, 0o666), "r+b", buffering=0)
            try_lock(file.fileno())
            file.write(_head())
    except FileExistsError:
        return None
    finally:
        with suppress(OSError):
            new.unlink()
    return file


def _head() -> bytes:
    return _line({"tposecli": "lock", "process": os.getpid()})


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _entries(file: BinaryIO) -> list[dict[str, Any]]:
    """Return the content of a lock file; nothing if this program did not write it."""
    entries: list[dict[str, Any]] = []
    with suppress(OSError):
        file.seek(0)
        for line in file.read(MAX_LOCK_BYTES).splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(entry, dict) or (not entries and entry.get("tposecli") != "lock"):
                break
            entries.append(entry)
    return entries


def _remove_temporary(output: Path, entry: dict[str, Any]) -> None:
    """Remove a temporary file or folder that a dead run has recorded, if it is still the same one."""
    try:
        path = Path(entry["temporary"])
        parents = [Path(os.path.abspath(place)) for place in (output, output.parent)]
        inside = parents[0] in path.parents or path.parent == parents[1]
        if not inside or ".." in path.parts or not TEMPORARY.fullmatch(path.name):
            return
        found = path.lstat()
        if found.st_ino != entry["inode"]:
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        elif stat.S_ISREG(found.st_mode):
            path.unlink()
    except (OSError, KeyError, TypeError, ValueError):
        log.debug("%s: a temporary file of an earlier run stays: %s", output, entry)


def _is_linked(file: BinaryIO, path: Path) -> bool:
    """Return whether ``path`` still refers to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except OSError:
        return False


def _holder_hint(file: BinaryIO) -> str:
    """Return `` (process N)`` for the holder of the lock; empty if the lock file does not say."""
    process = next(iter(_entries(file)), {}).get("process")
    return f" (process {process})" if isinstance(process, int) else ""
