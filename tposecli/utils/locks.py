"""Locks between processes, which the system releases when their holder dies: there are no stale ones.

``locked`` waits for a shared file, such as one in the cache; ``claimed`` reserves the outputs of a run, or refuses.
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
def locked(path: Path, label: str = "") -> Iterator[None]:
    """Hold the lock of a file, which need not exist, waiting for it as long as another process has it.

    The lock is an empty file in the folder ``locks`` beside it; it stays there, since removing it would open a race.

    Args:
        path: The file.
        label: What the user calls it, for the log line that says that it is waited for.

    Raises:
        OSError: The lock's file cannot be made.
    """
    lock = path.parent / FOLDER / path.name
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        told = False
        while not taken(file.fileno()):
            if not told:
                log.info("%s: another process is getting it; waiting", label or path.name)
                told = True
            time.sleep(POLL_S)
        # Closing the file gives the lock back.
        yield


def taken(descriptor: int) -> bool:
    """Try to lock an open file, without waiting; a file system without locks counts as locked."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.debug("the file system has no locks (%s)", error)
    return True


@contextmanager
def claimed(outputs: Iterable[Path]) -> Iterator[None]:
    """Hold outputs, which need not exist, against other runs, also on other machines where the file system can lock.

    The claim on ``out.mp4`` is a lock on the file ``out.mp4.lock`` beside it, which goes at the end. The system gives
    the lock of a run that died back; its file is then taken over by the next one.

    Raises:
        UsageError: Another run has one of them.
        OutputError: The folder cannot be written.
    """
    with ExitStack() as stack:
        for output in outputs:
            stack.enter_context(_claim(output))
        yield


@contextmanager
def _claim(output: Path) -> Iterator[None]:
    lock = output.with_name(output.name + ".lock")
    file = _locked(output, lock)
    try:
        yield
    finally:
        # On Windows an open file cannot be removed; elsewhere it must go before the lock does.
        with suppress(OSError):
            if os.name == "nt":
                file.close()
            lock.unlink()
        file.close()


def _locked(output: Path, lock: Path) -> BinaryIO:
    """The file of the lock, locked, with our process's number in it."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("a+b", buffering=0)
        except OSError as error:
            raise OutputError(f"{output}: cannot be written ({error.strerror}); choose another output") from error
        file.seek(0)  # Windows locks bytes, from the position on.
        if not taken(file.fileno()):
            process = _holder(file)
            file.close()
            raise UsageError(
                f"{output}: another run{process} is writing it; wait until it has ended, or choose another output"
            )
        if _is_there(file, lock):
            break
        file.close()  # Its holder ended, and removed it, between our opening and locking it.
    with suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    return file


def _is_there(file: BinaryIO, path: Path) -> bool:
    """Whether the open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _holder(file: BinaryIO) -> str:
    """Which process holds the lock, as far as it can be read."""
    with suppress(OSError):
        file.seek(0)
        number = file.read(20).decode(errors="replace")
        return f" (process {number})" if number.isdecimal() else ""
    return ""
