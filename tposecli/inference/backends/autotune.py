"""What is measured on a machine once and then holds for all runs on it.

Threads and libraries differ in the last digits of what they compute. Were they chosen anew in every run, by what else
the machine does at that moment, no run could be repeated, nor gone on with, to the digit.
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
from tposecli.utils.files import write_text
from tposecli.utils.locks import file_lock
from tposecli.utils.system import cpu_quota, processor

log = logging.getLogger("tposecli")

FILE: Final = "tuning.json"
WORTHWHILE: Final = 0.95
"""A further thread, or another library, must bring the time below this part of what it was."""
ROUNDS: Final = 3
"""Times that every number of threads has its turn: what else the machine does is not to decide."""
EXACT: Final = 1e-5
"""Largest error of a product, as part of its largest value, that still counts as single precision."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What pays on this machine.

    Attributes:
        threads: Of torch.
        onednn: Whether it multiplies float32 matrices faster than MKL, and no less exactly.
    """

    threads: int
    onednn: bool

    @classmethod
    def measured(cls) -> Self:
        """What pays now."""
        candidates = _candidates(torch.get_num_threads(), cpu_quota())
        rounds = [[_time_convolution(threads) for threads in candidates] for _ in range(ROUNDS)]
        best = dict(zip(candidates, map(min, zip(*rounds, strict=True)), strict=True))
        return cls(fewest_threads(best), onednn_pays())

    @classmethod
    def of(cls, facts: Any) -> Self | None:
        """What an earlier run has noted; None if it makes no sense."""
        match facts:
            case {"threads": int(threads), "onednn": bool(onednn)} if threads > 0:
                return cls(threads, onednn)
        return None


@cache
def tuning() -> Tuning:
    """As noted in ``tuning.json`` of the cache by the first run on this machine; a cache that cannot be written is no
    obstacle, but then every process measures anew.
    """
    file, key = cache_dir() / FILE, _machine()
    try:
        with file_lock(file):
            notes = _notes(file)
            found = Tuning.of(notes.get(key))
            if found is None:
                found = Tuning.measured()
                write_text(file, json.dumps(notes | {key: asdict(found)}, indent=1) + "\n")
            return found
    except OSError as error:
        log.debug("%s: not written (%s)", file, error)
        return Tuning.measured()


def _notes(file: Path) -> dict[str, Any]:
    """By machine; a damaged file counts as empty."""
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _machine() -> str:
    """All that what pays may depend on, as far as it is known."""
    threads = f"{torch.get_num_threads()} threads, {os.environ.get('OMP_NUM_THREADS') or 'none'} asked for"
    granted = f"{cpu_quota() or 'all'} CPUs granted"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{processor()}, {capability}, {threads}, {granted}, torch {torch.__version__}"


def fewest_threads(seconds: Mapping[int, float]) -> int:
    """The number of threads, of rising ones and what each took, after which more do not pay."""
    best, least = next(iter(seconds.items()))
    for count, taken in seconds.items():
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


def fastest(work: Callable[[], object], tries: int = 20) -> float:
    """Seconds of the quickest of some tries; two before them do not count."""
    times = []
    for _ in range(tries + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[2:])


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
