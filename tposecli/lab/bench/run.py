"""Carries out a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tposecli.inference.backends.cpu import tune
from tposecli.inference.runtime import Runtime, resolve_device
from tposecli.lab.bench import attention, ceilings, growth, nets, stages, whole
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import BenchReport, Table, facts, heading, markdown
from tposecli.lab.bench.scene import rendered_clip


def run(job: BenchJob, say: Callable[[str], None], show: Callable[[str], None]) -> BenchReport:
    """Measure what the job names.

    Args:
        job: What.
        say: Is told what is measured next.
        show: Is given Markdown as it comes: what is measured where, then each table.

    Raises:
        UsageError: No such device, model or precision.
        InputError: The video cannot be read.
    """
    device = resolve_device(job.device)
    if device.type == "cpu":
        tune()
    precisions = [Runtime.resolve(job.device, name).precision for name in job.precisions]
    job = replace(job, device=str(device), precisions=tuple(dict.fromkeys(precisions)))
    report = BenchReport(facts(job.command, device), [])
    show(heading(report.facts) + "\n")
    with tempfile.TemporaryDirectory(prefix="tpose-bench-") as folder:
        for table in _tables(job, Path(folder), say):
            report.tables.append(table)
            show(markdown(table) + "\n")
    return report


def _tables(job: BenchJob, folder: Path, say: Callable[[str], None]) -> Iterator[Table]:
    """One table after the other; the ceilings are always measured, for shares of them."""
    device = resolve_device(job.device)
    checkpoint = nets.checkpoint_of(job.models[0], folder)
    say("ceilings of the device")
    best = ceilings.measure(device, list(dict.fromkeys(("fp32", *job.precisions))), job.rounds)
    yield ceilings.table(best, device)
    if "nets" in job.parts:
        say(f"nets: {', '.join(job.models)}")
        yield nets.table(job, device, best, folder)
    if "attention" in job.parts:
        say("attention")
        yield attention.table(job, device, folder)
    if {"stages", "video"} & {*job.parts}:
        video = job.video
        if video is None:
            say(f"rendering {job.frames} frames")
            video = folder / "rendered.mp4"
            rendered_clip(video, job.people, job.frames)
        if "stages" in job.parts:
            say("stages, each alone")
            yield stages.table(job, video, checkpoint, best, folder)
        if "video" in job.parts:
            say("whole runs")
            yield whole.table(job, video, checkpoint, folder)
    if "growth" in job.parts:
        say("growth with people and with length")
        yield growth.people_table(job, device, checkpoint)
        yield growth.length_table(job, checkpoint, folder)
