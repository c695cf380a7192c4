"""What makes torch fast on a CPU and is decided on the machine itself: threads, memory, products of matrices.

All of it holds for the whole process; only programs call this, when they begin.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

CGROUP: Final = Path("/sys/fs/cgroup/cpu.max")
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
KEPT_FREE: Final = 1 << 30
"""Bytes of free heap that are not given back to the system."""
WORTHWHILE: Final = 0.95
"""A further thread, or another library, must bring the time below this part of what it was."""
EXACT: Final = 1e-5
"""Largest error of a product, as part of its largest value, that still counts as single precision."""


def tune(threads: int | None = None) -> None:
    """Keep freed memory for the next batch, and choose the number of threads.

    Args:
        threads: As many exactly; None: as many as make a convolution faster, no more than torch has been given.
    """
    keep_memory()
    torch.set_num_threads(threads or fewest_threads(_candidates(torch.get_num_threads(), quota()), _time_convolution))


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


def quota(file: Path = CGROUP) -> int | None:
    """CPUs that the container may use at once, rounded up; None where nothing limits it."""
    try:
        granted, period = file.read_text().split()
        return max(1, math.ceil(int(granted) / int(period)))
    except (OSError, ValueError):
        return None


def fewest_threads(candidates: Sequence[int], seconds: Callable[[int], float]) -> int:
    """The number of threads, of rising ones, after which more do not pay."""
    best = candidates[0]
    if len(candidates) == 1:
        return best
    least = seconds(best)
    for count in candidates[1:]:
        taken = seconds(count)
        if taken < least * WORTHWHILE:
            best, least = count, taken
    return best


def _candidates(most: int, limit: int | None) -> list[int]:
    """1, 2, 4, ... and the most; just that where the user has chosen with ``OMP_NUM_THREADS``."""
    if os.environ.get("OMP_NUM_THREADS"):
        return [most]
    most = min(most, limit or most)
    return sorted({*(1 << power for power in range(most.bit_length())), most})


def _time_convolution(threads: int) -> float:
    """Seconds that a convolution of the size found in the nets takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = torch.ones(1, 64, 64, 48).to(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3).to(memory_format=torch.channels_last)
        return fastest(lambda: functional.conv2d(x, weight, padding=1))
    finally:
        torch.set_num_threads(before)


def fastest(work: Callable[[], object], tries: int = 5) -> float:
    """Seconds of the quickest of some tries; two before them do not count."""
    times = []
    for _ in range(tries + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[2:])


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices with oneDNN instead of MKL where that is faster and no less exact."""
    if device.type != "cpu" or not onednn_pays():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def onednn_pays() -> bool:
    """Whether torch's "medium" precision is single precision here, and faster.

    It lets oneDNN multiply. On processors whose tiles (AMX) multiply only bfloat16 it rounds to that, which must not
    happen unasked; on AMD processors it is up to twice as fast as MKL. So it is tried.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False  # There the setting changes nothing.
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 256, generator=generator) for size in (768, 512))

    def multiply(precision: str) -> Tensor:
        torch.set_float32_matmul_precision(precision)
        return functional.linear(x, weight)

    try:
        exact = functional.linear(x.double(), weight.double())
        error = (multiply("medium") - exact).abs().max() / exact.abs().max()
        if error > EXACT:
            return False
        usual, other = (fastest(lambda way=way: multiply(way)) for way in ("highest", "medium"))  # type: ignore[misc]
        return other < usual * WORTHWHILE
    finally:
        torch.set_float32_matmul_precision(before)
