"""Performance settings that are measured once per machine and then used by all runs on it.

The number of threads and the library affect rounding. If every run chose them anew, depending on the current load of
the machine, no run could be reproduced or resumed to the last digit.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor
from torch.nn import functional

from tposecli.hub.checkpoints.resolve import cache_dir
from tposecli.utils.errors import OutputError
from tposecli.utils.files import write_text
from tposecli.utils.locks import file_lock
from tposecli.utils.system import cpu_quota, machine_busy_s, processor

log = logging.getLogger("tposecli")

FILE: Final = "tuning.json"
WORTHWHILE: Final = 0.95
"""More threads, or another library, must reduce the time to below this fraction."""
ROUNDS: Final = 3
"""Number of measurements per number of threads; the best counts, so that other load matters less."""
BUSY: Final = 0.3
"""Cores that other processes take on a machine that is busy."""
MAX_ERROR: Final = 1e-5
"""Maximum error of a float32 product, relative to its largest value."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The fastest settings on this machine.

    Attributes:
        threads: Number of torch's threads.
        onednn: Whether oneDNN multiplies float32 matrices faster than MKL, and as accurately.
    """

    threads: int
    onednn: bool

    @classmethod
    def measure(cls) -> Self:
        """Measure the settings; on a busy machine, which does not show what more threads are worth, take them all."""
        candidates = _candidates(torch.get_num_threads(), cpu_quota())
        start, own, busy = time.perf_counter(), time.process_time(), machine_busy_s()
        rounds = [[_time_convolution(threads) for threads in candidates] for _ in range(ROUNDS)]
        best = dict(zip(candidates, map(min, zip(*rounds, strict=True)), strict=True))
        wall, own, after = time.perf_counter() - start, time.process_time() - own, machine_busy_s()
        others = 0.0 if busy is None or after is None else (after - busy - own) / wall
        log.debug("threads: %s s; other processes took %.1f cores", best, others)
        return cls(candidates[-1] if others > BUSY else fewest_threads(best), onednn_pays())

    @classmethod
    def from_dict(cls, values: Any) -> Self | None:
        """Return stored settings; None if they are invalid."""
        match values:
            case {"threads": int(threads), "onednn": bool(onednn)} if 0 < threads <= max_threads():
                return None if isinstance(threads, bool) else cls(threads, onednn)
        return None


def max_threads() -> int:
    """Return the number of CPUs of this machine: more threads are of no use, and thousands crash the process."""
    return os.cpu_count() or 1


@cache
def tuning() -> Tuning:
    """Return the settings that the first run on this machine stored in the cache, else measure and store them.

    If the cache cannot be written, every process measures for itself.
    """
    file, key = cache_dir() / FILE, _machine()
    try:
        with file_lock(file):
            notes = _notes(file)
            found = Tuning.from_dict(notes.get(key))
            if found is None:
                found = Tuning.measure()
                write_text(file, json.dumps(notes | {key: asdict(found)}, indent=1) + "\n")
            return found
    except (OSError, OutputError) as error:
        log.debug("%s: not written (%s)", file, error)
        return Tuning.measure()


def _notes(file: Path) -> dict[str, Any]:
    """Return the stored settings by machine; none if the file is damaged."""
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _machine() -> str:
    """Return a key of everything that the settings may depend on."""
    threads = f"{torch.get_num_threads()} threads, {os.environ.get('OMP_NUM_THREADS') or 'none'} asked for"
    granted = f"{cpu_quota() or 'all'} CPUs granted"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{processor()}, {capability}, {threads}, {granted}, torch {torch.__version__}"


def fewest_threads(seconds: Mapping[int, float]) -> int:
    """Return the number of threads beyond which more are not worthwhile, from the seconds of increasing numbers."""
    best, shortest = next(iter(seconds.items()))
    for count, taken in seconds.items():
        if taken < shortest * WORTHWHILE:
            best, shortest = count, taken
    return best


def _candidates(available: int, limit: int | None) -> list[int]:
    """Return 1, 2, 4, ... and the maximum; only the latter if the user has set ``OMP_NUM_THREADS``."""
    if os.environ.get("OMP_NUM_THREADS"):
        return [available]
    maximum = min(available, limit or available)
    return sorted({*(1 << power for power in range(maximum.bit_length())), maximum})


def _time_convolution(threads: int) -> float:
    """Return the seconds that a convolution of a size typical of the nets takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = torch.ones(1, 64, 64, 48).to(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3).to(memory_format=torch.channels_last)
        return fastest(lambda: functional.conv2d(x, weight, padding=1))
    finally:
        torch.set_num_threads(before)


def fastest(work: Callable[[], object], tries: int = 20) -> float:
    """Return the seconds of the fastest of some tries, after two warm-up calls."""
    times = []
    for _ in range(tries + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[2:])


def onednn_pays() -> bool:
    """Return whether torch's "medium" precision is true float32 on this machine, and faster.

    It lets oneDNN multiply. On processors with AMX it rounds to bfloat16, which must not happen silently; on AMD
    processors it is up to twice as fast as MKL. So it is measured.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False  # The setting has no effect there.
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 256, generator=generator) for size in (768, 512))

    def multiply(precision: str) -> Tensor:
        torch.set_float32_matmul_precision(precision)
        return functional.linear(x, weight)

    try:
        exact = functional.linear(x.double(), weight.double())
        error = (multiply("medium") - exact).abs().max() / exact.abs().max()
        if error > MAX_ERROR:
            return False
        usual, other = (fastest(lambda way=way: multiply(way)) for way in ("highest", "medium"))  # type: ignore[misc]
        return other < usual * WORTHWHILE
    finally:
        torch.set_float32_matmul_precision(before)
