"""Carries out jobs: opens the source, joins stages and sinks, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tposecli.detect.base import Detector
from tposecli.detect.select import build_detector
from tposecli.draw import Draw
from tposecli.errors import TposeError, UsageError
from tposecli.files import check_output
from tposecli.job import ImagesJob, Settings, Summary, VideoJob, Watcher
from tposecli.models.device import Runtime
from tposecli.pipeline import Stages, run
from tposecli.pose import Attention, PoseEstimator
from tposecli.provenance import fingerprint, header
from tposecli.sinks.annotated import AnnotatedVideo
from tposecli.sinks.base import Sink, opened
from tposecli.sinks.coco import CocoDatasetSink, CocoResultsSink, image_ids
from tposecli.sinks.images import AnnotatedImages, AttentionImages
from tposecli.sinks.journal import JournalWriter, journal_path
from tposecli.sinks.video import VideoSink
from tposecli.smooth import OneEuro
from tposecli.source import ImageSource, Source, VideoSource, find_images
from tposecli.track import Tracker
from tposecli.types import SourceInfo

log = logging.getLogger("tposecli")


class Workshop:
    """Nets, built once, and the settings that all inputs of a run share."""

    def __init__(self, settings: Settings, attention: bool) -> None:
        choice = settings.model
        runtime = Runtime.resolve(choice.device, choice.precision, choice.batch_size)
        self.settings = settings
        self.estimator = PoseEstimator(
            choice.model, choice.weights, runtime, choice.flip_test, Attention() if attention else None
        )
        self.detector: Detector = build_detector(settings.detector, runtime.device)

    def stages(self, tracked: bool, journal: JournalWriter) -> Stages:
        """Fresh stages for one input: trackers and filters remember."""
        smoothed = tracked and self.settings.smooth == "one-euro"
        return Stages(
            self.detector,
            self.estimator,
            Tracker() if tracked else None,
            OneEuro() if smoothed else None,
            self.settings.detector.every,
            lambda result: journal.write(result.frame, result.poses),
        )

    def header(self, info: SourceInfo, files: Iterable[Path]) -> dict[str, Any]:
        """The journal's header for an input."""
        settings = self.settings
        options = {"detector": asdict(settings.detector), "smooth": settings.smooth}
        run_facts = {"command": settings.command, "detector": settings.detector.name, "options": options}
        return header(info, fingerprint(files), self.estimator, run_facts)

    def json_sink(self, path: Path, head: dict[str, Any], ids: Sequence[int] | None) -> Sink:
        """The JSON file in the format that was asked for."""
        if self.settings.json_format == "results":
            return CocoResultsSink(path, ids)
        return CocoDatasetSink(path, {"description": "poses", **head}, self.settings.style.min_score, ids)

    def attention_sink(self, folder: Path) -> Sink:
        """The folder of overlays."""
        stride = self.estimator.net.input_hw[0] // self.estimator.net.grid_hw[0]
        return AttentionImages(folder, stride, Draw(self.settings.style))


@dataclass(frozen=True, slots=True)
class _Plan:
    """One input, opened, and what to make of it.

    Attributes:
        source: Where the frames come from.
        files: What it reads, for its fingerprint.
        tracked: Whether its frames follow one another in time.
        sinks: Opens the sinks, one after the other, given the journal's header; the one that draws on the frame's own
            pixels comes last.
    """

    source: Source
    files: Sequence[Path]
    journal: Path
    tracked: bool
    sinks: Callable[[dict[str, Any]], Iterator[Sink]]


def run_videos(jobs: Sequence[VideoJob], settings: Settings, watcher: Watcher) -> list[Summary]:
    """Carry out the jobs one after the other; an input that cannot be read is reported and the others go on.

    Raises:
        UsageError: An output exists; found before any work is done.
        WeightsError: The net or the detector cannot be loaded.
    """
    for job in jobs:
        _check_outputs((job.output, job.json), job.attention, settings.overwrite)
    workshop = Workshop(settings, any(job.attention for job in jobs))
    return [_run_video(job, workshop, watcher) for job in jobs]


def run_images(job: ImagesJob, settings: Settings, watcher: Watcher) -> Summary:
    """Carry out the job; a picture that cannot be read is reported and the others go on.

    Raises:
        InputError: There are no pictures.
        UsageError: An output exists; found before any work is done.
        WeightsError: The net or the detector cannot be loaded.
    """
    images = find_images(job.inputs, job.recursive)
    _check_outputs((job.json,), job.output or job.attention, settings.overwrite)
    workshop = Workshop(settings, job.attention is not None)
    summary = Summary(f"{len(images)} pictures", skipped=images.skipped)
    ids = image_ids(images.names)

    def sinks(head: dict[str, Any]) -> Iterator[Sink]:
        if job.json is not None:
            yield workshop.json_sink(job.json, head, ids)
        if job.attention is not None:
            yield workshop.attention_sink(job.attention)
        if job.output is not None:
            yield AnnotatedImages(job.output, Draw(settings.style))

    main_output = job.json or job.output or job.attention
    assert main_output is not None
    with ImageSource(images) as source:
        _carry_out(_Plan(source, images.paths, journal_path(main_output), False, sinks), workshop, watcher, summary)
    summary.failed = list(source.failed)
    summary.outputs = [path for path in (job.json, job.output, job.attention) if path is not None]
    watcher.end(summary)
    return summary


def _check_outputs(files: Iterable[Path | None], folder: Path | None, overwrite: bool) -> None:
    """Refuse what would overwrite something, journal included, and a job that asks for nothing."""
    wanted = [path for path in files if path is not None]
    for path in wanted:
        check_output(path, overwrite)
    main_output = wanted[0] if wanted else folder
    if main_output is None:
        raise UsageError("nothing to write; name an output with -o, --json or --attention")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the pictures")
    check_output(journal_path(main_output), overwrite)


def _run_video(job: VideoJob, workshop: Workshop, watcher: Watcher) -> Summary:
    """Carry out one job; whatever is wrong with its input or its outputs ends in the summary."""
    summary = Summary(job.input.name)
    style = workshop.settings.style
    window = job.window
    encoding = replace(job.encoding, audio_from=job.input, start_s=window.start_s, end_s=window.end_s)

    def sinks(head: dict[str, Any]) -> Iterator[Sink]:
        if job.json is not None:
            yield workshop.json_sink(job.json, head, None)
        if job.attention is not None:
            yield workshop.attention_sink(job.attention)
        if job.output is not None:
            yield AnnotatedVideo(VideoSink(job.output, source.info, encoding), Draw(style))

    outputs = [path for path in (job.output, job.json, job.attention) if path is not None]
    try:
        with VideoSource(job.input, job.window) as source:
            plan = _Plan(source, [job.input], journal_path(outputs[0]), True, sinks)
            _carry_out(plan, workshop, watcher, summary)
            summary.corrupt = source.corrupt
        summary.outputs = outputs
    except (TposeError, OSError) as error:
        summary.failed.append((str(job.input), str(error)))
    watcher.end(summary)
    return summary


def _carry_out(plan: _Plan, workshop: Workshop, watcher: Watcher, summary: Summary) -> None:
    """Run one input through everything; what was written is closed as complete only if nothing was raised."""
    start = time.perf_counter()
    head = workshop.header(plan.source.info, plan.files)
    with ExitStack() as stack:
        journal = stack.enter_context(closing(JournalWriter(plan.journal, head)))
        stages = workshop.stages(plan.tracked, journal)
        sinks = [stack.enter_context(opened(sink)) for sink in plan.sinks(head)]
        results = stack.enter_context(closing(run(plan.source, stages)))
        watcher.begin(plan.source.info, plan.source.expected)
        for result in results:
            with stages.timings.measure("write"):
                for sink in sinks:
                    sink.write(result)
            summary.frames += 1
            summary.people += len(result.poses)
            watcher.seen(result)
    summary.seconds = stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
