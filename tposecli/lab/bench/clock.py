"""Reliable timing: with warm-up, alternating between workloads, and with a measure of spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Self, TypeVar

import numpy as np
import torch

Key = TypeVar("Key")

STATUS: Final = Path("/proc/self/status")
CLEAR_REFS: Final = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of several measurements."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one or more values."""
        low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
        return cls(middle, low, high, len(values))

    @classmethod
    def if_known(cls, values: Iterable[float | None]) -> Self | None:
        """Return the spread of values; None if there are none, or one of them is unknown."""
        given = list(values)
        known = [value for value in given if value is not None]
        return cls.of(known) if known and len(known) == len(given) else None


@dataclass(slots=True)
class LapTimes:
    """The times of one workload, round by round, in seconds.

    Attributes:
        wall: Wall time.
        cpu: Processor time of all threads of this process, which excludes other processes.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def rate(self, amount: float) -> Spread:
        """Return ``amount`` per second."""
        return Spread.of([amount / seconds for seconds in self.wall])

    def each(self, amount: float, scale: float = 1e3) -> Spread:
        """Return the wall time per item of ``amount`` items, in milliseconds."""
        return Spread.of([scale * seconds / amount for seconds in self.wall])

    def cpu_each(self, amount: float, scale: float = 1e3) -> float:
        """Return the median processor time per item of ``amount`` items, in milliseconds."""
        return scale * median(self.cpu) / amount


def alternate(
    workloads: Mapping[Key, Callable[[], object]], rounds: int, device: torch.device, warm_up: int = 1
) -> dict[Key, LapTimes]:
    """Time each workload once per round, so that other load on the machine affects all of them alike.

    Args:
        workloads: The functions to time, by any key.
        rounds: Number of measurements of each.
        device: Synchronised before the clock is read.
        warm_up: Number of rounds before, which are not recorded.
    """
    laps = {key: LapTimes() for key in workloads}
    for number in range(-warm_up, rounds):
        for key, workload in workloads.items():
            wall, cpu = _timed(workload, device)
            if number >= 0:
                laps[key].wall.append(wall)
                laps[key].cpu.append(cpu)
    return laps


def _timed(workload: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return wall time and processor time of one call, in seconds."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    workload()
    synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def ratio(first: LapTimes, second: LapTimes) -> Spread:
    """Return how many times longer the first took, computed per round."""
    return Spread.of([a / b for a, b in zip(first.wall, second.wall, strict=True)])


class PeakMemory:
    """Measures the peak memory, in MiB, while it is entered: on the device or, for a CPU, of the process.

    Attributes:
        mib: The result; None if it cannot be measured.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.mib: float | None = None

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._device.type == "cpu":
            _reset_peak()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._device.type == "cuda":
            self.mib = torch.cuda.max_memory_allocated(self._device) / 2**20
        elif self._device.type == "cpu":
            self.mib = peak_resident_mib()


def _reset_peak() -> None:
    """Reset the kernel's record of this process's peak memory."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return


def peak_resident_mib() -> float | None:
    """Return the process's peak memory since the last reset, in MiB; None if unknown (not Linux)."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
