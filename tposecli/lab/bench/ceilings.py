"""Measure the device's ceilings with large matrix products and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.inference.runtime import DTYPES
from tposecli.lab.bench.clock import LapTimes, Spread, alternate
from tposecli.lab.bench.report import Cell, Table

MATRIX_SIDE: Final = {"cpu": 1536, "mps": 4096, "cuda": 8192}
"""Number of rows and columns of the matrices, by device type."""
COPY_BYTES: Final = {"cpu": 64 << 20, "mps": 256 << 20, "cuda": 1 << 30}
"""Number of bytes copied, by device type."""
COPY: Final = "copy"


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The measured ceilings.

    Attributes:
        laps: Times by precision, and for ``copy``.
        work: Floating-point operations, or bytes read and written, per lap of each.
        by_cpu: Whether the device is the CPU.
    """

    laps: dict[str, LapTimes]
    work: dict[str, float]
    by_cpu: bool

    def peak_rate(self, name: str) -> float | None:
        """Return operations or bytes per second in the fastest lap; None if it was not measured."""
        return self.work[name] / min(self.laps[name].wall) if name in self.laps else None

    def share(self, name: str, laps: LapTimes, work: float) -> str | None:
        """Return how close the fastest of some laps came to the ceiling, in per cent; None if it was not measured.

        On a CPU, processor times are compared, which other processes hardly affect.
        """
        if name not in self.laps:
            return None
        ceiling = self.laps[name]
        if self.by_cpu:
            reached, peak = work / min(laps.cpu), self.work[name] / min(ceiling.cpu)
        else:
            reached, peak = work / min(laps.wall), self.work[name] / min(ceiling.wall)
        return f"{reached / peak:.0%}"


def measure(device: torch.device, precisions: Sequence[str], rounds: int) -> Ceilings:
    """Time a product of square matrices in each precision, and a copy in memory."""
    side, size = MATRIX_SIDE[device.type], COPY_BYTES[device.type]
    workloads: dict[str, Callable[[], object]] = {name: _product(side, DTYPES[name], device) for name in precisions}
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    workloads[COPY] = lambda: target.copy_(source)
    work = dict.fromkeys(precisions, 2.0 * side**3) | {COPY: 2.0 * size}
    with torch.inference_mode(), exact_float32_matmul(device):
        return Ceilings(alternate(workloads, 2 * rounds, device, warm_up=2), work, device.type == "cpu")


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    """Return a function that computes one product into preallocated memory."""
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(first)
    return lambda: torch.mm(first, second, out=out)


def table(ceilings: Ceilings, device: torch.device) -> Table:
    """Return the table of ceilings: the fastest lap, also by processor time, and the spread of all laps."""
    rows: list[tuple[Cell, ...]] = []
    for name, laps in ceilings.laps.items():
        best = ceilings.peak_rate(name)
        unit = "GB/s" if name == COPY else "GFLOP/s"
        rates: Spread = laps.rate(ceilings.work[name] / 1e9)
        spent = ceilings.work[name] / min(laps.cpu) / 1e9 if ceilings.by_cpu else "-"
        rows.append((name, None if best is None else best / 1e9, spent, rates, unit))
    side, size = MATRIX_SIDE[device.type], COPY_BYTES[device.type] >> 20
    note = f"Products of {side}x{side} matrices; a copy of {size} MiB counts what is read and what is written."
    return Table(
        "ceilings",
        "Ceilings of the device",
        ("what", "best", "best a processor second", "median (quartiles)", "unit"),
        rows,
        [note],
    )
