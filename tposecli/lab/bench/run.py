"""Run a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tposecli.inference.backends.cpu import tune
from tposecli.inference.runtime import DTYPES, Runtime, resolve_device
from tposecli.lab.bench import attention, ceilings, growth, nets, overhead, stages, training, whole
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import BenchReport, Table, environment, heading, markdown
from tposecli.lab.bench.scene import rendered_clip


def run(job: BenchJob, log: Callable[[str], None], emit: Callable[[str], None]) -> BenchReport:
    """Measure everything that the job asks for.

    Args:
        job: The configuration.
        log: Receives what is measured next.
        emit: Receives the report as Markdown, piece by piece: first the heading, then each table.

    Raises:
        UsageError: Unknown device, model or precision.
        InputError: The video cannot be read.
    """
    device = resolve_device(job.device)
    if device.type == "cpu":
        tune()
    precisions = [Runtime.resolve(job.device, name).precision for name in job.precisions]
    job = replace(job, device=str(device), precisions=tuple(dict.fromkeys(precisions)))
    report = BenchReport(environment(job.command, device), [])
    emit(heading(report.environment) + "\n")
    with tempfile.TemporaryDirectory(prefix="tpose-bench-") as folder:
        for table in _tables(job, Path(folder), log):
            report.tables.append(table)
            emit(markdown(table) + "\n")
    return report


def _tables(job: BenchJob, folder: Path, log: Callable[[str], None]) -> Iterator[Table]:
    """Yield the tables; the ceilings are always measured, since other tables refer to them."""
    device = resolve_device(job.device)
    checkpoint = nets.checkpoint_of(job.models[0], folder)
    log("ceilings of the device")
    measured = [name for name in dict.fromkeys(("fp32", *job.precisions)) if name in DTYPES]
    best = ceilings.measure(device, measured, job.rounds)
    yield ceilings.table(best, device)
    if "nets" in job.parts:
        log(f"nets: {', '.join(job.models)}")
        yield nets.table(job, device, best, folder)
    if "attention" in job.parts:
        log("attention")
        yield attention.table(job, device, folder)
    if "overhead" in job.parts:
        log("whole runs with nets that cost nothing")
        clip = folder / "overhead.mp4"
        boxes = rendered_clip(clip, job.people, max(job.frames, overhead.LEAST_FRAMES))
        yield overhead.table(job, clip, boxes, checkpoint, folder)
    if {"stages", "video"} & {*job.parts}:
        video = job.video
        if video is None:
            log(f"rendering {job.frames} frames")
            video = folder / "rendered.mp4"
            rendered_clip(video, job.people, job.frames)
        if "stages" in job.parts:
            log("stages, each alone")
            yield stages.table(job, video, checkpoint, best, folder)
        if "video" in job.parts:
            log("whole runs")
            yield whole.table(job, video, checkpoint, folder)
    if "growth" in job.parts:
        log("growth with people and with length")
        yield growth.people_table(job, device, checkpoint)
        yield growth.length_table(job, checkpoint, folder)
    if "train" in job.parts:
        log("training")
        yield training.table(job, device, checkpoint, folder)
