"""Carries out jobs: opens the source, joins stages and sinks, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tposecli.attention.overlay import AttentionPainter
from tposecli.detection.base import Detector
from tposecli.detection.factory import build_detector, digest_of_argument, stray_score
from tposecli.formats.coco_writer import image_ids
from tposecli.formats.journal.provenance import fingerprint, header
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.job import ImagesJob, Settings, Summary, VideoJob, Watcher
from tposecli.pipeline.outputs import (
    SinkFactory,
    check_outputs,
    deliver,
    discard_partial,
    needs_attention,
    refuse_inputs,
)
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.pipeline.resume import ResumableJournal, earlier_run, is_finished, may_replace, refuse_another
from tposecli.pipeline.stream import Stages, run
from tposecli.sinks.base import opened
from tposecli.sinks.live_window import check_display
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.video import VideoOut
from tposecli.sources import ImageSource, Source, find_images, open_video_input
from tposecli.sources.locations import camera_number, is_read_once, is_url, reason_of, redacted, short_name
from tposecli.utils.errors import InputError, TposeError, UsageError, with_notes
from tposecli.utils.locks import output_locks
from tposecli.utils.signals import deferred

log = logging.getLogger("tposecli")


class RunContext:
    """Nets, built once, and the settings that all inputs of a run share."""

    def __init__(self, settings: Settings, attention: bool) -> None:
        choice = settings.model
        runtime = choice.runtime(exact=attention)
        self.settings = settings
        checkpoint = resolve(choice.model, choice.weights, choice.downloads)
        style = settings.attention.resolved(checkpoint.spec.layers)
        self.estimator = PoseEstimator(
            checkpoint, None, runtime, choice.flip_test, style.request if attention else None
        )
        self.painter = AttentionPainter(style, checkpoint.spec.stride)
        follows = settings.track is not None
        self.detector: Detector = build_detector(settings.detector, runtime.device, choice.downloads, follows)

    def stages(self, plan: OpenedInput) -> Stages:
        """Fresh stages for one input: trackers and filters remember."""
        followers = PostProcessor.of(self.settings, plan.tracked, plan.live, self.estimator.layout)
        return Stages(
            self.detector,
            self.estimator,
            followers.tracker,
            followers.smoother,
            stray_score(self.settings.detector),
            self.settings.detector.every,
        )

    def header(self, plan: OpenedInput) -> dict[str, Any]:
        """The journal's header for an input: everything that its poses depend on."""
        settings = self.settings
        track = asdict(settings.track) if settings.track and plan.tracked else None
        options = {"detector": asdict(settings.detector), "track": track, **settings.smooth.facts(plan.live)}
        run_facts = {
            "command": settings.command,
            "detector": settings.detector.name,
            "detector_sha256": digest_of_argument(settings.detector.name),
            "stray_score": stray_score(settings.detector),
            "group_frames": self.stages(plan).group_frames,
            "options": options,
            **plan.facts,
        }
        return header(plan.source.info, fingerprint(plan.files) if plan.files else None, self.estimator, run_facts)


@dataclass(frozen=True, slots=True)
class OpenedInput:
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
    maker: SinkFactory
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
        _check(job, settings)
    workshop = RunContext(settings, any(needs_attention(job.outputs, settings) for job in jobs))
    if settings.resume:
        for job in jobs:
            _check_earlier(job, workshop)
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
    refuse_inputs(outputs, images)
    check_outputs(outputs, True, settings)
    workshop = RunContext(settings, needs_attention(outputs, settings))
    summary = Summary(f"{len(images)} pictures", skipped=images.skipped)
    ids = image_ids(images.names)
    facts = {"image_ids": "order" if ids == list(range(1, len(ids) + 1)) else "names"}
    maker = SinkFactory(outputs, settings, workshop.painter, ids=ids)
    try:
        with ImageSource(images, max_pixels=settings.max_pixels) as source:
            _carry_out(OpenedInput(source, images.files, maker, False, facts), workshop, watcher, summary)
        summary.failed = list(source.failed)
    finally:
        watcher.end(summary)
    return summary


def _check(job: VideoJob, settings: Settings) -> None:
    """Refuse what cannot be done, before any work."""
    outputs = job.outputs
    if settings.resume and (is_read_once(job.input) or camera_number(job.input) is not None):
        raise UsageError(
            f"{redacted(job.input)}: what can be read only once cannot be resumed; save it to a file first"
        )
    if outputs.wanted or not settings.view.show:
        check_outputs(outputs, False, settings)
    if outputs.picture is not None:
        again = settings.overwrite or outputs.picture.resolve() in may_replace(outputs, settings)
        check_video_output(outputs.picture, job.encoding, again)


def _check_earlier(job: VideoJob, workshop: RunContext) -> None:
    """Refuse to go on with a run that was another one; an input that cannot be opened is told when its turn comes."""
    before = earlier_run(job.outputs)
    if before is not None:
        with suppress(InputError, OSError), _opened(job, workshop) as plan:
            refuse_another(before, workshop.header(plan))


@contextmanager
def _opened(job: VideoJob, workshop: RunContext) -> Iterator[OpenedInput]:
    """The video, and what to make of it."""

    def video(path: Path) -> VideoOut:
        return open_output(path, source, job.encoding)

    most = workshop.settings.max_pixels
    with open_video_input(job.input, job.window, job.stream, job.rate, most) as source:
        maker = SinkFactory(job.outputs, workshop.settings, workshop.painter, video)
        rate = None if job.rate is None else str(job.rate)
        facts = {"window": asdict(job.window), "stream": job.stream, "rate": rate}
        yield OpenedInput(source, source.files, maker, True, facts, source.live)


def _run_video(job: VideoJob, workshop: RunContext, watcher: Watcher) -> Summary:
    """Carry out one job; whatever is wrong with its input or its outputs ends in the summary."""
    summary = Summary(short_name(job.input))
    try:
        with _opened(job, workshop) as plan:
            try:
                _carry_out(plan, workshop, watcher, summary)
            finally:
                summary.corrupt = getattr(plan.source, "corrupt", 0)
    except BrokenPipeError:
        raise
    except TposeError as error:
        summary.failed.append((redacted(job.input), with_notes(str(error), error)))
    except OSError as error:
        # FFmpeg's errors repeat the address, user and password included.
        reason = reason_of(error) if is_url(job.input) else str(error)
        summary.failed.append((redacted(job.input), with_notes(reason, error)))
    finally:
        watcher.end(summary)
    return summary


def _refuse_nothing(plan: OpenedInput, summary: Summary) -> None:
    """Say so where a video had no frame, instead of naming files that were not made."""
    if plan.tracked and not summary.frames:
        raise InputError("no frame came out of it; it ends before --start, or holds none that is whole")


def _carry_out(plan: OpenedInput, workshop: RunContext, watcher: Watcher, summary: Summary) -> None:
    """Run one input through everything; what was written is closed as complete only if nothing was raised.

    A live source is complete, too, when it was stopped; what stopped it is raised afterwards.
    """
    outputs, head = plan.maker.outputs, workshop.header(plan)
    before = earlier_run(outputs) if workshop.settings.resume else None
    if before is not None and is_finished(before, outputs, None if plan.tracked else plan.source.expected):
        refuse_another(before, head)
        log.info("%s: finished already", summary.name)
        return
    with output_locks(outputs.files), ExitStack() as stack:
        stages, ledger = workshop.stages(plan), None
        if outputs.files:
            ledger = stack.enter_context(ResumableJournal(outputs, head, stages.group_frames, before))
            head, stages = ledger.head, replace(stages, record=ledger.record, known=ledger.known)
        sinks = [stack.enter_context(opened(sink)) for sink in plan.maker.open(head, stages.timings)]
        results = stack.enter_context(closing(run(plan.source, stages)))
        watcher.begin(plan.source.info, plan.source.expected)
        start, stop = time.perf_counter(), None
        try:
            deliver(results, sinks, stages.timings, watcher, summary)
            _refuse_nothing(plan, summary)
            if ledger is not None:
                ledger.check_end()
        except BaseException as error:
            if isinstance(error, Exception) or not plan.live:
                raise
            stop = error
        with deferred():  # All or nothing: what is complete by now is not thrown away any more.
            stack.close()
    summary.outputs, summary.seconds = outputs.files, stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
    if before is not None:
        discard_partial(outputs)
    if stop is not None:
        raise stop
