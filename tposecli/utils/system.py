"""What processor this is, and how much of it there is for this process. No torch here."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup/cpu.max")


def processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota(file: Path = CGROUP) -> int | None:
    """CPUs that the container may use at once, rounded up; None where nothing limits it."""
    try:
        granted, period = file.read_text().split()
        return max(1, math.ceil(int(granted) / int(period)))
    except (OSError, ValueError):
        return None
