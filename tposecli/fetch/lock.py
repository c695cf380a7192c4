"""A lock between processes, which the system gives back when its holder dies: there are no stale ones."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
