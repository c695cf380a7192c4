"""Carries out jobs: opens the source, joins stages and sinks, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tposecli.detect.base import Detector
from tposecli.detect.select import build_detector
from tposecli.errors import TposeError
from tposecli.follow import Followers
from tposecli.job import ImagesJob, Settings, Summary, VideoJob, Watcher
from tposecli.models.device import Runtime
from tposecli.models.files import resolve
from tposecli.outputs import Maker, check_outputs, deliver, needs_attention
from tposecli.overlay import AttentionPainter
from tposecli.pipeline import Stages, run
from tposecli.pose import PoseEstimator
from tposecli.provenance import fingerprint, header
from tposecli.sinks.base import opened
from tposecli.sinks.coco import image_ids
from tposecli.sinks.journal import JournalWriter, journal_path
from tposecli.sinks.output import check_video_output, open_output
from tposecli.sinks.show import check_display
from tposecli.sinks.video import VideoOut
from tposecli.source import ImageSource, Source, find_images, open_moving
from tposecli.source.access import label, shown
from tposecli.types import SourceInfo

log = logging.getLogger("tposecli")


class Workshop:
    """Nets, built once, and the settings that all inputs of a run share."""

    def __init__(self, settings: Settings, attention: bool) -> None:
        choice = settings.model
        runtime = Runtime.resolve(choice.device, choice.precision, choice.batch_size)
        self.settings = settings
        checkpoint = resolve(choice.model, choice.weights, choice.downloads)
        style = settings.attention.resolved(checkpoint.spec.layers)
        self.estimator = PoseEstimator(
            checkpoint, None, runtime, choice.flip_test, style.request if attention else None
        )
        self.painter = AttentionPainter(style, checkpoint.spec.stride)
        self.detector: Detector = build_detector(settings.detector, runtime.device, choice.downloads)

    def stages(self, tracked: bool, journal: JournalWriter | None) -> Stages:
        """Fresh stages for one input: trackers and filters remember."""
        followers = Followers.of(self.settings, tracked)
        return Stages(
            self.detector,
            self.estimator,
            followers.tracker,
            followers.smoother,
            self.settings.detector.every,
            None if journal is None else lambda result: journal.write(result.frame, result.poses),
        )

    def header(self, info: SourceInfo, files: Sequence[Path]) -> dict[str, Any]:
        """The journal's header for an input."""
        settings = self.settings
        options = {"detector": asdict(settings.detector), "smooth": settings.smooth}
        run_facts = {"command": settings.command, "detector": settings.detector.name, "options": options}
        return header(info, fingerprint(files) if files else None, self.estimator, run_facts)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One input, opened, and what to make of it.

    Attributes:
        source: Where the frames come from.
        files: What it reads, for its fingerprint.
        maker: Opens the sinks.
        tracked: Whether its frames follow one another in time.
        facts: More for the journal's header.
        live: The source goes on for ever: whoever stops it has all that was wanted.
    """

    source: Source
    files: Sequence[Path]
    maker: Maker
    tracked: bool
    facts: Mapping[str, Any]
    live: bool = False


def run_videos(jobs: Sequence[VideoJob], settings: Settings, watcher: Watcher) -> list[Summary]:
    """Carry out the jobs one after the other; an input that cannot be read is reported and the others go on.

    Raises:
        UsageError: An output exists; found before any work is done.
        WeightsError: The net or the detector cannot be loaded.
    """
    if settings.view.show:
        check_display()
    for job in jobs:
        if job.outputs.wanted or not settings.view.show:
            check_outputs(job.outputs, False, settings.overwrite)
        if job.outputs.picture is not None:
            check_video_output(job.outputs.picture, job.encoding, settings.overwrite)
    workshop = Workshop(settings, any(needs_attention(job.outputs, settings) for job in jobs))
    return [_run_video(job, workshop, watcher) for job in jobs]


def run_images(job: ImagesJob, settings: Settings, watcher: Watcher) -> Summary:
    """Carry out the job; a picture that cannot be read is reported and the others go on.

    Raises:
        InputError: There are no pictures.
        UsageError: An output exists; found before any work is done.
        WeightsError: The net or the detector cannot be loaded.
    """
    outputs = job.outputs
    images = find_images(job.inputs, job.recursive)
    check_outputs(outputs, True, settings.overwrite)
    workshop = Workshop(settings, needs_attention(outputs, settings))
    summary = Summary(f"{len(images)} pictures", skipped=images.skipped)
    ids = image_ids(images.names)
    facts = {"image_ids": "order" if ids == list(range(1, len(ids) + 1)) else "names"}
    maker = Maker(outputs, settings, workshop.painter, ids=ids)
    with ImageSource(images) as source:
        _carry_out(_Plan(source, images.files, maker, False, facts), workshop, watcher, summary)
    summary.failed = list(source.failed)
    summary.outputs = outputs.wanted
    watcher.end(summary)
    return summary


def _run_video(job: VideoJob, workshop: Workshop, watcher: Watcher) -> Summary:
    """Carry out one job; whatever is wrong with its input or its outputs ends in the summary."""
    summary = Summary(label(job.input))
    stop: BaseException | None = None

    def video(path: Path) -> VideoOut:
        return open_output(path, source, job.encoding)

    try:
        with open_moving(job.input, job.window, job.stream, job.rate) as source:
            maker = Maker(job.outputs, workshop.settings, workshop.painter, video)
            rate = None if job.rate is None else str(job.rate)
            facts = {"window": asdict(job.window), "stream": job.stream, "rate": rate}
            plan = _Plan(source, source.files, maker, True, facts, source.live)
            stop = _carry_out(plan, workshop, watcher, summary)
            summary.corrupt = source.corrupt
        summary.outputs = job.outputs.files
    except BrokenPipeError:
        raise
    except (TposeError, OSError) as error:
        summary.failed.append((shown(job.input), str(error)))
    watcher.end(summary)
    if stop is not None:
        raise stop
    return summary


def _carry_out(plan: _Plan, workshop: Workshop, watcher: Watcher, summary: Summary) -> BaseException | None:
    """Run one input through everything; what was written is closed as complete only if nothing was raised.

    Returns:
        What stopped a live source, which is then complete all the same.
    """
    start, stop = time.perf_counter(), None
    head = {**workshop.header(plan.source.info, plan.files), **plan.facts}
    with ExitStack() as stack:
        files = plan.maker.outputs.files
        journal = stack.enter_context(closing(JournalWriter(journal_path(files[0]), head))) if files else None
        stages = workshop.stages(plan.tracked, journal)
        sinks = [stack.enter_context(opened(sink)) for sink in plan.maker.open(head)]
        results = stack.enter_context(closing(run(plan.source, stages)))
        watcher.begin(plan.source.info, plan.source.expected)
        try:
            deliver(results, sinks, stages.timings, watcher, summary)
        except BaseException as error:
            if isinstance(error, Exception) or not plan.live:
                raise
            stop = error
    summary.seconds = stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
    return stop
