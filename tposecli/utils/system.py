"""The processor, and how many CPUs this process may use. Does not import torch."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Final

CGROUP_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
STAT: Final = Path("/proc/stat")


def processor() -> str:
    """Return the name of the processor model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(file: Path = CGROUP_CPU_MAX) -> int | None:
    """Return the container's CPU limit (cgroup v2), rounded up; None if there is no limit."""
    try:
        granted, period = file.read_text().split()
        return max(1, math.ceil(int(granted) / int(period)))
    except (OSError, ValueError):
        return None


def memory_bytes() -> int:
    """Return the memory of this machine; a guess of 8 GiB where Python cannot tell."""
    if not hasattr(os, "sysconf"):
        return 1 << 33
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine_busy_s() -> float | None:
    """Return the busy processor seconds of the whole machine since boot; None if unknown (not Linux)."""
    try:
        ticks = [int(word) for word in STAT.read_text().partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
