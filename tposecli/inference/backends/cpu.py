"""What makes torch fast on a CPU: threads and memory.

All of it holds for the whole process; only programs call this, when they begin.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

import torch

from tposecli.inference.backends.autotune import tuning

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
KEPT_FREE: Final = 1 << 30
"""Bytes of free heap that are not given back to the system."""


def tune(threads: int | None = None) -> int:
    """Keep freed memory for the next batch, and choose the number of threads.

    Args:
        threads: As many exactly; None: as many as pay on this machine.

    Returns:
        Their number.
    """
    keep_memory()
    chosen = threads or tuning().threads
    torch.set_num_threads(chosen)
    return chosen


def keep_memory() -> bool:
    """Serve large tensors from memory that the process has already, instead of asking for zeroed pages each time.

    Only glibc needs this, and only there is anything done; returns whether it was.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wishes = {ARENA_MAX: 1, MMAP_MAX: 0, TRIM_THRESHOLD: KEPT_FREE}
    return all([mallopt(parameter, value) == 1 for parameter, value in wishes.items()])
