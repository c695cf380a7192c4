"""Wall time that can be believed: warmed up, alternating, with its spread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Self, TypeVar

import numpy as np
import torch

Key = TypeVar("Key")

STAT: Final = Path("/proc/stat")
STATUS: Final = Path("/proc/self/status")
CLEAR: Final = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing: their median and quartiles."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of one or more values."""
        low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
        return cls(middle, low, high, len(values))


@dataclass(slots=True)
class Laps:
    """What one way took, round by round, in seconds.

    Attributes:
        wall: By the clock.
        cpu: Of all threads of this process; the other processes of the machine do not show in it.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def rate(self, amount: float) -> Spread:
        """``amount`` a second."""
        return Spread.of([amount / seconds for seconds in self.wall])

    def each(self, amount: float, scale: float = 1e3) -> Spread:
        """Time for one of ``amount``, in milliseconds."""
        return Spread.of([scale * seconds / amount for seconds in self.wall])

    def cpu_each(self, amount: float, scale: float = 1e3) -> float:
        """The median of processor time for one of ``amount``, in milliseconds."""
        return scale * median(self.cpu) / amount


def alternate(
    ways: Mapping[Key, Callable[[], object]], rounds: int, device: torch.device, warm_up: int = 1
) -> dict[Key, Laps]:
    """Time each way once a round, one after the other, so that whatever else the machine does meets all alike.

    Args:
        ways: What is timed, by any key.
        rounds: How often.
        device: It is waited for before the clock is read.
        warm_up: Rounds before, which do not count.
    """
    laps = {key: Laps() for key in ways}
    for number in range(-warm_up, rounds):
        for key, way in ways.items():
            wall, cpu = _timed(way, device)
            if number >= 0:
                laps[key].wall.append(wall)
                laps[key].cpu.append(cpu)
    return laps


def _timed(way: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    settle(device)
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    settle(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def settle(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def ratio(first: Laps, second: Laps) -> Spread:
    """How many times longer the first took, from the pairs of each round."""
    return Spread.of([a / b for a, b in zip(first.wall, second.wall, strict=True)])


def busy_s() -> float | None:
    """Processor seconds that the whole machine has worked since it started; None where nobody says (not Linux)."""
    try:
        ticks = [int(word) for word in STAT.read_text().partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class PeakMemory:
    """The most memory that was held between entering and leaving, in MiB, on the device or, on a CPU, by the process.

    Attributes:
        mib: The result; None where it cannot be measured.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.mib: float | None = None

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._device.type == "cpu":
            _forget_peak()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._device.type == "cuda":
            self.mib = torch.cuda.max_memory_allocated(self._device) / 2**20
        elif self._device.type == "cpu":
            self.mib = peak_resident_mib()


def _forget_peak() -> None:
    """Let the kernel begin anew to look for this process's peak."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def peak_resident_mib() -> float | None:
    """The most memory of the process since it was last forgotten; None where nobody says."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
