"""What is measured, in the order of importance, and how long each part may take."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """A program that prints tables.

    Attributes:
        name: Short name.
        title: Heading of its tables.
        command: What is run, in the repository.
        limit_s: It is ended after so many seconds.
        least_s: It is not begun if less time than that is left.
    """

    name: str
    title: str
    command: Sequence[str]
    limit_s: float
    least_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        models: The nets to measure, the most important first.
        profiled: Those of the first whose kernels are listed.
        batches: Batch sizes.
        rounds: Measurements of each.
        people: People in a frame.
        frames: Frames of a whole run.
        workers: Numbers of processes.
        videos: Videos that these share.
        compared: Frames whose poses are compared with the CPU's.
        first: Nets whose first frame is waited for.
        heuristics: How cuDNN guesses which kernel is the fastest.
        tests: Arguments of pytest.
        patience: Factor of all limits.
    """

    models: tuple[str, ...]
    profiled: tuple[str, ...]
    batches: tuple[int, ...]
    rounds: int
    people: tuple[int, ...]
    frames: int
    workers: tuple[int, ...]
    videos: int
    compared: int
    first: tuple[str, ...]
    heuristics: tuple[str, ...]
    tests: tuple[str, ...]
    patience: float = 1.0


TESTS: Final = tuple(f"tests/inference/test_{name}.py" for name in ("cuda", "kernels", "autotune"))
LARGE: Final = Sizes(
    models=("transpose-r-a3", "transpose-h-a6", "transpose-m-a3", "transpose-h-s", "transpose-r-a4", "transpose-h-a4"),
    profiled=("transpose-r-a3", "transpose-h-a6"),
    batches=(1, 8, 64, 256),
    rounds=7,
    people=(3, 10, 1),
    frames=600,
    workers=(4, 8, 1),
    videos=8,
    compared=48,
    first=("transpose-m-a3",),
    heuristics=("a", "b"),
    tests=TESTS,
)
"""For a GPU."""
SMALL: Final = Sizes(
    models=("transpose-s-a4",),
    profiled=("transpose-s-a4",),
    batches=(1, 2),
    rounds=1,
    people=(1,),
    frames=16,
    workers=(2, 1),
    videos=2,
    compared=4,
    first=("transpose-s-a4",),
    heuristics=("a",),
    tests=(TESTS[0], TESTS[2]),
    patience=2.0,
)
"""For a CPU, to see that all of it runs."""

PRECISION: Final = "bf16"


def _study(name: str, *words: object) -> list[str]:
    return [sys.executable, "-m", f"{__package__}.{name}", *map(str, words)]


def _bench(device: str, *words: object) -> list[str]:
    return [sys.executable, "-m", "tposecli", "bench", "--device", device, *map(str, words)]


def _listed(values: Sequence[object]) -> str:
    return ",".join(map(str, values))


def parts(device: str, sizes: Sizes) -> list[Part]:
    """Return the parts, the most important first."""
    quiet = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "--timeout", "60"]
    tests = Part("tests", "Tests", [sys.executable, "-m", "pytest", *quiet, *sizes.tests], 110)
    nets = list(_nets(device, sizes))
    most = 2 * len(sizes.profiled)
    chosen = [tests, *nets[:most], *_runs(device, sizes), *nets[most:]]
    return [replace(part, limit_s=part.limit_s * sizes.patience) for part in chosen]


def _nets(device: str, sizes: Sizes) -> Iterator[Part]:
    """Yield the speed of each net; with the kernels of those that come first."""
    how = ["--batches", _listed(sizes.batches), "--precisions", PRECISION, "--rounds", sizes.rounds]
    profiled = ["--device", device, "--batch", max(sizes.batches), "--precision", PRECISION]
    for name in sizes.models:
        yield Part(f"nets {name}", f"Net: {name}", _bench(device, "--only", "nets", "--models", name, *how), 75, 20)
        if name in sizes.profiled:
            yield Part(f"kernels {name}", f"Kernels: {name}", _study("top_kernels", name, *profiled), 40)


def _runs(device: str, sizes: Sizes) -> Iterator[Part]:
    """Yield what is measured on whole runs."""
    on, first = ["--device", device], sizes.first
    yield Part("first frame", "First frame", _study("first_frame", *on, *first), 100, 30)
    yield Part("equality", "Equality with the CPU", _study("equality", device, sizes.compared), 45)
    whole = _study("whole_runs", *on, "--frames", sizes.frames, "--people", _listed(sizes.people))
    yield Part("whole runs", "Whole runs, one process", whole, 150, 30)
    for mode in sizes.heuristics:
        title = f"What the first batches wait for, cuDNN's heuristic {mode}"
        calls = _study("first_calls", *on, "--precision", PRECISION, "--heuristics", mode, first[0])
        yield Part(f"first calls {mode}", title, calls, 40)
    around = _bench(device, "--only", "overhead", "--people", sizes.people[0], "--rounds", 2)
    yield Part("overhead", "Around the nets", around, 100, 30)
    shared = ["--frames", sizes.frames // 2, "--people", sizes.people[0], "--videos", sizes.videos]
    workers = _study("whole_runs", *on, *shared, "--workers", _listed(sizes.workers))
    yield Part("workers", "Whole runs, several processes", workers, 150, 40)
