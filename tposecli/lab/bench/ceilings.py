"""What the device can do at most: products of large matrices, and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from tposecli.inference.backends.matmul_precision import float32_products
from tposecli.inference.runtime import DTYPES
from tposecli.lab.bench.clock import Laps, Spread, alternate
from tposecli.lab.bench.report import Cell, Table

SIDE: Final = {"cpu": 1536, "mps": 4096, "cuda": 8192}
"""Rows and columns of the matrices, by kind of device."""
COPIED: Final = {"cpu": 64 << 20, "mps": 256 << 20, "cuda": 1 << 30}
"""Bytes that are copied."""
COPY: Final = "copy"


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The best that was measured.

    Attributes:
        laps: By precision, and for ``copy``.
        work: Floating-point operations, or bytes read and written, of one lap of each.
        by_cpu: The device is the processor itself.
    """

    laps: dict[str, Laps]
    work: dict[str, float]
    by_cpu: bool

    def most(self, name: str) -> float | None:
        """Operations or bytes a second in the fastest lap; None if it was not measured."""
        return self.work[name] / min(self.laps[name].wall) if name in self.laps else None

    def share(self, name: str, laps: Laps, work: float) -> str | None:
        """How near laps of so much work came to the ceiling, in per cent, best against best.

        Where processors do the work, their own seconds are compared: other processes hardly change those.
        """
        if name not in self.laps:
            return None
        ceiling = self.laps[name]
        if self.by_cpu:
            reached, most = work / min(laps.cpu), self.work[name] / min(ceiling.cpu)
        else:
            reached, most = work / min(laps.wall), self.work[name] / min(ceiling.wall)
        return f"{reached / most:.0%}"


def measure(device: torch.device, precisions: Sequence[str], rounds: int) -> Ceilings:
    """Time a product of square matrices in each precision, and a copy."""
    side, size = SIDE[device.type], COPIED[device.type]
    ways: dict[str, Callable[[], object]] = {name: _product(side, DTYPES[name], device) for name in precisions}
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    ways[COPY] = lambda: target.copy_(source)
    work = dict.fromkeys(precisions, 2.0 * side**3) | {COPY: 2.0 * size}
    with torch.inference_mode(), float32_products(device):
        return Ceilings(alternate(ways, 2 * rounds, device, warm_up=2), work, device.type == "cpu")


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    """One product, its result in memory that is there already."""
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(first)
    return lambda: torch.mm(first, second, out=out)


def table(ceilings: Ceilings, device: torch.device) -> Table:
    """GFLOP/s and GB/s: the fastest lap, which is the ceiling, also by processor time, and the spread of all."""
    rows: list[tuple[Cell, ...]] = []
    for name, laps in ceilings.laps.items():
        best = ceilings.most(name)
        unit = "GB/s" if name == COPY else "GFLOP/s"
        rates: Spread = laps.rate(ceilings.work[name] / 1e9)
        spent = ceilings.work[name] / min(laps.cpu) / 1e9 if ceilings.by_cpu else "-"
        rows.append((name, None if best is None else best / 1e9, spent, rates, unit))
    side, size = SIDE[device.type], COPIED[device.type] >> 20
    note = f"Products of {side}x{side} matrices; a copy of {size} MiB counts what is read and what is written."
    return Table(
        "ceilings",
        "Ceilings of the device",
        ("what", "best", "best a processor second", "median (quartiles)", "unit"),
        rows,
        [note],
    )
