"""Process-wide settings that make torch fast on a CPU: threads and memory.

Only programs call this, at startup; it is not for libraries.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from typing import Final

import torch

from tposecli.inference.backends.autotune import max_threads, tuning

log = logging.getLogger("tposecli")

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
KEPT_FREE: Final = 1 << 30
"""Bytes of free heap that are not returned to the system."""


def tune(threads: int | None = None) -> int:
    """Keep freed memory for reuse, and set the number of threads.

    Args:
        threads: Their number, at most that of the CPUs; None for the fastest on this machine.

    Returns:
        The number of threads.
    """
    keep_memory()
    chosen = min(threads or tuning().threads, max_threads())
    if threads and chosen < threads:
        log.warning("--threads %d: this machine has %d CPUs; %d threads are used", threads, chosen, chosen)
    torch.set_num_threads(chosen)
    return chosen


def keep_memory() -> bool:
    """Let malloc reuse freed memory for large tensors, instead of requesting zeroed pages every time.

    Does something with glibc only; returns whether it did.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = {ARENA_MAX: 1, MMAP_MAX: 0, TRIM_THRESHOLD: KEPT_FREE}
    return all([mallopt(parameter, value) == 1 for parameter, value in settings.items()])
