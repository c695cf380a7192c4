"""What a command takes: time, processor time and memory, its children included."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests import REPOSITORY
from tposecli.utils.system import machine_busy_s


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: Processor time of all its threads and of the processes that it waited for.
        peak_mib: Peak memory of the largest of these processes.
        other_cores: Cores that other processes took meanwhile; None if unknown (not Linux).
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    other_cores: float | None


def spend(command: Sequence[object], environment: Mapping[str, str] | None = None, log: Path | None = None) -> Spent:
    """Run a command in the repository, and return what it took.

    Args:
        command: The program and its arguments.
        environment: Variables to set besides those of this process.
        log: File for what it prints; its last line is in the message if it fails.

    Raises:
        RuntimeError: It fails.
    """
    log = Path(os.devnull) if log is None else log
    busy = machine_busy_s()
    with log.open("wb") as output:
        wall = time.perf_counter()
        status, usage = _wait(command, environment or {}, output)
        wall = time.perf_counter() - wall
    cpu = usage.ru_utime + usage.ru_stime
    if status:
        last = (log.read_text(errors="replace").strip().splitlines() or [f"status {status}"])[-1]
        raise RuntimeError(f"{' '.join(map(str, command[:4]))} ...: {last}")
    busy_after = machine_busy_s()
    others = None if busy is None or busy_after is None else max(0.0, busy_after - busy - cpu) / wall
    return Spent(wall, cpu, usage.ru_maxrss / 1024, others)


def _wait(
    command: Sequence[object], environment: Mapping[str, str], output: IO[bytes]
) -> tuple[int, resource.struct_rusage]:
    """Run a command to its end, and return its exit status and the kernel's count of its resources."""
    process = subprocess.Popen(
        list(map(str, command)), cwd=REPOSITORY, env={**os.environ, **environment}, stdout=output, stderr=output
    )
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage
