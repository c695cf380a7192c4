"""Measure the cost of attention relative to poses alone, and how far half-precision maps are from those in fp32."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import DTYPES, Runtime
from tposecli.lab.bench.clock import LapTimes, alternate, ratio
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import checkpoint_of
from tposecli.lab.bench.report import Cell, Table
from tposecli.lab.bench.scene import crowd
from tposecli.models.attention_readout import Attention
from tposecli.types import Boxes, Frame

COLUMNS: Final = (
    *(
        "model",
        "precision",
        "attention",
        "ms a person",
        "times the poses alone",
        "more memory at the peak, MB a person",
    ),
    "elsewhere than in fp32",
)
NOTES: Final = (
    "One person at a time, torch, maps of all keypoints. The kinds of attention alternate in one process.",
    "Elsewhere: the share of a map's attention that lies in other cells than in fp32, for the worst keypoint.",
)
NO_ATTENTION: Final = "none"
REQUESTS: Final[dict[str, Attention | None]] = {
    NO_ATTENTION: None,
    "last layer": Attention((-1,)),
    "last layer, influence": Attention((-1,), mode="influence"),
    "mean of layers": Attention("mean"),
    "rollout": Attention("rollout"),
}


def table(job: BenchJob, device: torch.device, folder: Path) -> Table:
    """Measure all models and precisions, one after another."""
    rows: list[tuple[Cell, ...]] = []
    person = crowd(1)
    for name in job.models:
        checkpoint = checkpoint_of(name, folder)
        for precision in filter(DTYPES.__contains__, job.precisions):  # int8 is not torch's.
            rows += _rows(job, checkpoint, Runtime.resolve(str(device), precision, 1, "torch"), person)
    return Table("attention", "Attention", COLUMNS, rows, list(NOTES))


def _rows(
    job: BenchJob, checkpoint: Checkpoint, runtime: Runtime, person: tuple[Frame, Boxes]
) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each kind of attention."""
    frame, boxes = person
    nets = {what: PoseEstimator(checkpoint, runtime=runtime, attention=request) for what, request in REQUESTS.items()}
    workloads: dict[str, Callable[[], object]] = {
        what: lambda net=net: net.estimate([frame], [boxes])  # type: ignore[misc]
        for what, net in nets.items()
    }
    laps = alternate(workloads, job.rounds, runtime.device)
    peaks = {what: peak_bytes(workload, runtime.device) for what, workload in workloads.items()}
    for what, request in REQUESTS.items():
        more = (peaks[what] - peaks[NO_ATTENTION]) / 1e6
        far = None if request is None else displaced_share(checkpoint, runtime, request, person)
        yield _row(checkpoint, runtime, what, laps, more, far)


def _row(
    checkpoint: Checkpoint, runtime: Runtime, what: str, laps: dict[str, LapTimes], more: float, far: float | None
) -> tuple[Cell, ...]:
    times, extra = (None, None) if what == NO_ATTENTION else (ratio(laps[what], laps[NO_ATTENTION]), more)
    distance = None if far is None else f"{far:.2%}"
    return checkpoint.spec.name, runtime.precision, what, laps[what].each(1), times, extra, distance


def displaced_share(checkpoint: Checkpoint, runtime: Runtime, request: Attention, person: tuple[Frame, Boxes]) -> float:
    """Return the total variation distance, 0..1, between maps and those in fp32, for the worst keypoint."""
    frame, boxes = person
    exact = PoseEstimator(checkpoint, runtime=replace(runtime, precision="fp32"), attention=request)
    near = PoseEstimator(checkpoint, runtime=runtime, attention=request)
    points = exact.estimate([frame], [boxes])[0].poses.xy[0]
    first, second = (net.explain_points(frame, boxes, points) for net in (exact, near))
    total = np.maximum(first.sum(axis=(2, 3)), 1e-12)
    return float((np.abs(first - second).sum(axis=(2, 3)) / total).max() / 2)


def peak_bytes(workload: Callable[[], object], device: torch.device) -> int:
    """Return the peak of memory held by tensors, in bytes, above what was held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        workload()
        return torch.cuda.max_memory_allocated(device) - before
    with _no_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        workload()
    assert recorded.profiler is not None and recorded.profiler.kineto_results is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return max(0, int(held.max(initial=0)))


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Suppress the lines that the profiler's library writes directly to file descriptor 2."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
