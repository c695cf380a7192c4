"""Locks between processes. The operating system releases the lock of a process that dies, so none can go stale.

:func:`file_lock` waits for a shared file, such as one in the cache; :func:`output_locks` reserves the outputs of a run,
or fails at once.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from tposecli.utils.errors import OutputError, UsageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger("tposecli")

POLL_S: Final = 0.1
FOLDER: Final = "locks"


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
    with lock.open("ab") as file:
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
def output_locks(outputs: Iterable[Path]) -> Iterator[None]:
    """Reserve output files, which need not exist, against other runs, also on other machines.

    Reserving ``out.mp4`` locks the file ``out.mp4.lock`` beside it, which is removed at the end. The operating system
    releases the lock of a run that died; the next run takes over its lock file. Other machines are only kept out if the
    file system supports locks.

    Raises:
        UsageError: Another run has reserved one of them.
        OutputError: The folder is not writable.
    """
    with ExitStack() as stack:
        for output in outputs:
            stack.enter_context(_output_lock(output))
        yield


@contextmanager
def _output_lock(output: Path) -> Iterator[None]:
    lock = output.with_name(output.name + ".lock")
    file = _open_locked(output, lock)
    try:
        yield
    finally:
        # Windows cannot remove an open file; elsewhere it must be removed while it is still locked.
        with suppress(OSError):
            if os.name == "nt":
                file.close()
            lock.unlink()
        file.close()


def _open_locked(output: Path, lock: Path) -> BinaryIO:
    """Open and lock the lock file, and write our process id into it."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("a+b", buffering=0)
        except OSError as error:
            raise OutputError(f"{output}: cannot be written ({error.strerror}); choose another output") from error
        file.seek(0)  # Windows locks bytes from the current position on.
        if not try_lock(file.fileno()):
            process = _holder_hint(file)
            file.close()
            raise UsageError(
                f"{output}: another run{process} is writing it; wait until it has ended, or choose another output"
            )
        if _is_linked(file, lock):
            break
        file.close()  # Its holder ended and removed it after we opened it and before we locked it.
    with suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    return file


def _is_linked(file: BinaryIO, path: Path) -> bool:
    """Return whether ``path`` still refers to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _holder_hint(file: BinaryIO) -> str:
    """Return `` (process N)`` for the holder of the lock; empty if the lock file does not say."""
    with suppress(OSError):
        file.seek(0)
        number = file.read(20).decode(errors="replace")
        return f" (process {number})" if number.isdecimal() else ""
    return ""
