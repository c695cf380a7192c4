"""Measure people per second for each model, backend, precision and batch, with the authors' way as a baseline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import Checkpoint, locate, resolve
from tposecli.hub.download.options import Downloads
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.lab.bench.authors import AuthorsBaseline
from tposecli.lab.bench.ceilings import Ceilings
from tposecli.lab.bench.clock import LapTimes, PeakMemory, alternate, ratio
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import Cell, Table
from tposecli.lab.bench.scene import crowd
from tposecli.models import build, find_spec
from tposecli.utils.errors import TposeError
from tposecli.utils.timings import Timings

COLUMNS: Final = (
    *("model", "backend", "precision", "batch", "people/s", "ms a person", "CPU ms a person"),
    *("times the authors' way", "GFLOP/s", "share of the ceiling", "peak memory, MiB"),
)
HOME: Final = "TPOSE_HOME"
AUTHORS: Final = "authors' way"


@dataclass(frozen=True, slots=True)
class Variant:
    """The configuration of one row.

    Attributes:
        backend: Backend, or ``AUTHORS``.
        precision: Precision of the net.
        batch: Batch size.
        alone: Whether to measure only net and decoding, on crops that are already on the device.
    """

    backend: str
    precision: str
    batch: int
    alone: bool = False

    @property
    def title(self) -> str:
        """The name of what runs."""
        return f"{self.backend}, net alone" if self.alone else self.backend


BASELINE: Final = Variant(AUTHORS, "fp32", 1)


def table(job: BenchJob, device: torch.device, ceilings: Ceilings, folder: Path) -> Table:
    """Measure all models, one after another; the variants of each alternate."""
    rows: list[tuple[Cell, ...]] = []
    notes = ["A row is timed from a frame and its boxes to keypoints in frame pixels: crop, net, decoding."]
    if device.type == "cuda":
        notes.append("Net alone: from crops that are on the device to keypoints on the crops, there.")
    for name in job.models:
        checkpoint = checkpoint_of(name, folder)
        if checkpoint.path.parent == folder:
            notes.append(
                f"{checkpoint.spec.name}: its weights are not on this machine; random ones take the same time."
            )
        with _temporary_cache(checkpoint, folder):
            rows += _model_rows(job, checkpoint, device, ceilings, notes)
    return Table("nets", "Nets", COLUMNS, rows, notes)


def checkpoint_of(name: str, folder: Path) -> Checkpoint:
    """Return the model's weights if they are on this machine, else random ones in a temporary file."""
    if name == "auto":
        return resolve(name, None, Downloads(offline=True))
    spec = find_spec(name)
    path = locate(spec)
    if path is None:
        path = folder / f"random-{name}.safetensors"
        torch.manual_seed(0)
        save_file({key: value.contiguous() for key, value in build(name).state_dict().items()}, path)
    return Checkpoint(spec, path)


@contextmanager
def _temporary_cache(checkpoint: Checkpoint, folder: Path) -> Iterator[None]:
    """Keep exports of random weights out of the user's cache."""
    before = os.environ.get(HOME)
    if checkpoint.path.parent == folder:
        os.environ[HOME] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(HOME, None)
        if before is not None:
            os.environ[HOME] = before


def flops(checkpoint: Checkpoint) -> float:
    """Return the floating-point operations per crop, in convolutions and matrix products."""
    net = load(checkpoint)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        net(torch.zeros(1, 3, *net.input_hw))
    return float(counter.get_total_flops())


def _model_rows(
    job: BenchJob, checkpoint: Checkpoint, device: torch.device, ceilings: Ceilings, notes: list[str]
) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each variant of a model; those that cannot run are listed in the notes."""
    workloads, peaks = _workloads(job, checkpoint, device, notes)
    laps, work = alternate(workloads, job.rounds, device), flops(checkpoint)
    for variant in workloads:
        yield _row(checkpoint, variant, laps, work, ceilings, peaks[variant])


def _workloads(
    job: BenchJob, checkpoint: Checkpoint, device: torch.device, notes: list[str]
) -> tuple[dict[Variant, Callable[[], object]], dict[Variant, float | None]]:
    """Return the workload of each variant, and its peak memory in MiB."""
    workloads: dict[Variant, Callable[[], object]] = {}
    peaks: dict[Variant, float | None] = {}
    variants = [Variant(*choice) for choice in product(job.backends, job.precisions, job.batches)]
    for variant in [BASELINE, *variants] if job.baseline else variants:
        try:
            for chosen, workload in _variant_workloads(checkpoint, variant, device):
                with PeakMemory(device) as peak:
                    workload()
                workloads[chosen], peaks[chosen] = workload, peak.mib
        except TposeError as error:
            note = f"{checkpoint.spec.name}, {variant.backend}, {variant.precision}: not measured ({error})."
            notes += [note] * (note not in notes)
    return workloads, peaks


def _variant_workloads(
    checkpoint: Checkpoint, variant: Variant, device: torch.device
) -> Iterator[tuple[Variant, Callable[[], object]]]:
    """Yield the variant with ``auto`` resolved, and its workload; on CUDA, also those of the net alone."""
    frame, boxes = crowd(variant.batch)
    if variant == BASELINE:
        authors = AuthorsBaseline(checkpoint, device)
        yield variant, lambda: authors.estimate(frame, boxes)
        return
    estimator = estimator_of(checkpoint, variant, device)
    chosen = replace(variant, backend=estimator.runtime.backend)
    yield chosen, lambda: estimator.estimate([frame], [boxes])
    if device.type == "cuda":
        worker, crops = estimator.workers[0], estimator.crops([frame], [boxes]).batch(slice(None), device)
        yield replace(chosen, alone=True), torch.inference_mode()(lambda: worker.estimate(crops, Timings()))


def estimator_of(checkpoint: Checkpoint, variant: Variant, device: torch.device) -> PoseEstimator:
    """Return the regular estimator, configured as the variant."""
    return PoseEstimator(
        checkpoint, None, Runtime.resolve(str(device), variant.precision, variant.batch, variant.backend)
    )


def _row(
    checkpoint: Checkpoint,
    variant: Variant,
    laps: dict[Variant, LapTimes],
    work: float,
    ceilings: Ceilings,
    peak: float | None,
) -> tuple[Cell, ...]:
    """Return the row of a variant; batches are compared with as many single forwards of the authors' way."""
    own = laps[variant]
    rate = own.rate(variant.batch)
    times = None
    if BASELINE in laps:
        theirs = LapTimes([seconds * variant.batch for seconds in laps[BASELINE].wall])
        times = ratio(theirs, own)
    share = ceilings.share(variant.precision, own, variant.batch * work)
    names = checkpoint.spec.name, variant.title, variant.precision, variant.batch
    spent = own.each(variant.batch), own.cpu_each(variant.batch)
    return (*names, rate, *spent, times, rate.median * work / 1e9, share, peak)
