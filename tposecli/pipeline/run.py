"""Running one input with the nets: connect source, stages and sinks, and report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tposecli.detection.base import Detector
from tposecli.detection.factory import DetectorOptions, digest_of_argument, open_detector, weak_score
from tposecli.formats.journal.journal import Journal, journal_path
from tposecli.formats.journal.provenance import (
    describe_model,
    fingerprint,
    fingerprint_of_version,
    header,
    header_differences,
    is_same_source,
)
from tposecli.formats.with_frames import without_pixels
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import runtime_for
from tposecli.pipeline.job import Settings, Watcher
from tposecli.pipeline.outputs import (
    SinkFactory,
    deliver,
    discard_partial,
    reserved,
)
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.pipeline.resume import (
    JournalPlan,
    earlier_run,
    is_finished,
    know_partial_videos,
    open_journal,
    output_options,
)
from tposecli.pipeline.stream import Stages, group_frames, run
from tposecli.pipeline.summary import Summary
from tposecli.sinks.base import opened
from tposecli.sinks.video import VideoOptions
from tposecli.sources import ImageList, Source
from tposecli.types import Frame, SourceInfo
from tposecli.utils.errors import InputError
from tposecli.utils.files import published_files
from tposecli.utils.signals import deferred

log = logging.getLogger("tposecli")


class Nets:
    """Estimator and detector, loaded once for all inputs of a run.

    Attributes:
        estimator: The net.
        detector: Finds the people for it.
        detector_options: Its options, with the detector that ``auto`` stands for.
        attention_style: Which attention is shown, and how, for the layers of the net.
        weak_score: Boxes below this score are detected only because they may continue a track.
    """

    def __init__(self, settings: Settings, attention: bool, detector: Detector | None = None) -> None:
        """Load them.

        Args:
            settings: Which, and how.
            attention: Whether the net is asked for its attention.
            detector: Use this one instead of loading that of the settings.

        Raises:
            WeightsError: A checkpoint cannot be found or loaded.
        """
        inference = settings.inference
        choice = inference.model
        runtime = runtime_for(choice, exact=attention)
        checkpoint = resolve(choice.model, choice.weights, choice.downloads, explaining=attention)
        self.attention_style = settings.drawing.attention.resolved(checkpoint.spec.layers)
        self.estimator = PoseEstimator(
            checkpoint, None, runtime, choice.flip_test, self.attention_style.request if attention else None
        )
        self.detector: Detector
        self.detector_options: DetectorOptions
        if detector is not None:
            self.detector, self.detector_options, self.weak_score = detector, inference.detector, 0.0
            return
        self.detector, self.detector_options = open_detector(
            inference.detector, self.estimator.runtime, choice.downloads, settings.post.track is not None
        )
        self.weak_score = weak_score(self.detector_options)


@dataclass(frozen=True, slots=True)
class DescribedSource:
    """A source of which only the description is known, from the journal of an earlier run.

    Attributes:
        info: The description.
        expected: None: the number of its frames is unknown.
    """

    info: SourceInfo
    expected: int | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise TypeError("a description has no frames")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class OpenedInput:
    """One input, opened, and what to make of it.

    Attributes:
        source: Where the frames come from.
        files: What it reads, for its fingerprint.
        sinks: Opens the sinks.
        tracked: Whether its frames follow one another in time.
        header: What identifies it besides, for the journal's header.
        live: Endless source; stopping it counts as a complete run.
        version: What a server calls this version of the source, see :attr:`tposecli.hub.remote.Found.version`.
        found: What the last line of the journal says besides.
        made: Real path and size of files that were made of it before.
    """

    source: Source
    files: Sequence[Path]
    sinks: SinkFactory
    tracked: bool
    header: Mapping[str, Any]
    live: bool = False
    encoding: VideoOptions | None = None
    images: ImageList | None = None
    version: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[Path, int] = field(default_factory=dict)

    def plan(self, settings: Settings) -> JournalPlan:
        """Return what the journal must know of the run."""
        options = output_options(settings.drawing, settings.files, self.encoding)
        return JournalPlan(self.sinks.outputs, options, self.images, self.found)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all inputs of a run share.

    Attributes:
        settings: What the user asked for.
        nets: The loaded nets.
        begun: Outputs shared by all inputs that have been begun.
    """

    settings: Settings
    nets: Nets
    begun: set[Path] = field(default_factory=set)

    def stages(self, opened_input: OpenedInput) -> Stages:
        """Build the stages for one input; tracker and filters are stateful."""
        post = PostProcessor.build(
            self.settings.post if opened_input.tracked else self.settings.post.of_stills(),
            opened_input.live,
            self.nets.estimator.layout,
            self.nets.weak_score,
            {**describe_model(self.nets.estimator), "detector": self.nets.detector_options.name},
        )
        stages = Stages(self.nets.detector, self.nets.estimator, post, self.settings.inference.detector.every)
        return replace(stages, by_index=not opened_input.tracked)

    def header(self, opened_input: OpenedInput) -> dict[str, Any]:
        """Return the journal's header for an input: everything that its poses depend on."""
        detector = self.nets.detector_options
        post = self.settings.post.to_dict(opened_input.tracked, opened_input.live)
        run_entries = {
            "command": self.settings.flags.command,
            "detector": detector.name,
            "detector_sha256": digest_of_argument(detector.name),
            "stray_score": self.nets.weak_score,
            "group_frames": group_frames(self.nets.estimator.runtime, detector.every),
            "options": {"detector": asdict(detector), **post},
            **opened_input.header,
            **({"source_version": opened_input.version} if opened_input.version else {}),
        }
        files, version = opened_input.files, opened_input.version
        source = fingerprint(files) if files else fingerprint_of_version(version)
        return header(opened_input.source.info, source, self.nets.estimator, run_entries)


def accepting_old(before: Journal, head: dict[str, Any], opened_input: OpenedInput) -> dict[str, Any]:
    """Return the header with the fingerprint of the journal, if that is of the same source by other means.

    It is if a server calls the source the same version, however it was read, or the journal is an older one of it.
    """
    if head.get("source_version") and head["source_version"] == before.header.get("source_version"):
        return head | {key: before.header.get(key) for key in ("source", "source_sha256")}
    same = head["source_sha256"] and not before.checked and is_same_source(before.header, opened_input.files)
    return head | {"source_sha256": before.header["source_sha256"]} if same else head


def is_done(before: Journal, opened_input: OpenedInput, context: RunContext) -> bool:
    """Return whether an earlier run has made all that is asked for, from the same input with the same options."""
    expected = None if opened_input.tracked else opened_input.source.expected
    head = accepting_old(before, context.header(opened_input), opened_input)
    outputs, options = opened_input.sinks.outputs, opened_input.plan(context.settings).options
    return is_finished(before, outputs, expected, options) and not header_differences(before.provenance, head)


class _NoFramesError(InputError):
    """No frame of a video was decoded."""


@contextmanager
def _no_empty_journal(outputs: Iterable[Path]) -> Iterator[None]:
    """Remove the journals of these outputs if there was no frame to be written to them."""
    try:
        yield
    except _NoFramesError:
        for output in outputs:
            journal_path(output).unlink(missing_ok=True)
        raise


def _require_frames(opened_input: OpenedInput, summary: Summary) -> None:
    """Raise InputError if no frame of a video was decoded."""
    if not opened_input.tracked or summary.frames:
        return
    ends_s, start_s = getattr(opened_input.source, "ends_s", None), getattr(opened_input.source, "start_s", 0)
    if ends_s is not None and ends_s <= start_s:
        raise _NoFramesError(f"no frames: the video ends at {ends_s:.2f} s, before --start {start_s:g}; start earlier")
    raise _NoFramesError("no frames decoded; every frame is damaged, or not in the time from --start to --end")


def _frames(opened_input: OpenedInput, before: Journal | None, context: RunContext) -> Iterable[Frame]:
    """Return the frames of an input; black ones if all were measured and nothing is made of their pixels."""
    seen = opened_input.sinks.need_frames or context.settings.drawing.show
    attended = context.nets.estimator.attention is not None
    if before is not None and isinstance(opened_input.source, DescribedSource):
        return (result.frame for result in without_pixels(before))
    if before is None or not before.complete or not opened_input.tracked or seen or attended:
        return opened_input.source
    return (result.frame for result in without_pixels(before))


def _made(sinks: SinkFactory) -> list[Path]:
    """Return the files of one input, the journal last; its part of a table that several share is not among them."""
    files = sinks.outputs.files
    shared = sinks.outputs.poses.get("csv") if sinks.label else None
    own = [path for path in files if path != shared]
    return list(dict.fromkeys([*own, journal_path(files[0])])) if files else own


def run_input(opened_input: OpenedInput, context: RunContext, watcher: Watcher, summary: Summary) -> None:
    """Run one input through everything; outputs are closed as complete only if nothing was raised.

    A live source is complete when it is stopped, too; what stopped it is raised afterwards.
    """
    outputs, head = opened_input.sinks.outputs, context.header(opened_input)
    before = earlier_run(outputs) if context.settings.flags.resume else None
    plan = opened_input.plan(context.settings)
    if before is not None:
        head = accepting_old(before, head, opened_input)
        if is_done(before, opened_input, context):
            log.info("%s: finished already", summary.name)
            return
    new = outputs.files[:1] if before is None else []
    with reserved(outputs), _no_empty_journal(new), published_files() as made, ExitStack() as stack:
        made.update(opened_input.made)
        know_partial_videos(outputs)
        stages, journal = context.stages(opened_input), None
        frames = _frames(opened_input, before, context)
        if outputs.files:
            journal = stack.enter_context(open_journal(plan, head, before, made))
            head, stages = journal.head, replace(stages, record=journal.record, known=journal.known)
        sinks = [stack.enter_context(opened(sink)) for sink in opened_input.sinks.open(head, stages.timings)]
        if not sinks:  # Nobody asks who is who: the journal has what was measured.
            stages = replace(stages, post=PostProcessor())
        results = stack.enter_context(closing(run(frames, stages)))
        watcher.begin(opened_input.source.info, opened_input.source.expected)
        start, stop = time.perf_counter(), None
        try:
            deliver(opened_input.sinks.prepare(results), sinks, stages.timings, watcher, summary)
            _require_frames(opened_input, summary)
            if journal is not None:
                journal.check_end(getattr(opened_input.source, "cut", 0))
        except BaseException as error:
            if isinstance(error, Exception) or not opened_input.live:
                raise
            stop = error
        with deferred():  # All or nothing: what is complete by now is kept even if a second signal comes.
            stack.close()
    summary.outputs = _made(opened_input.sinks)
    summary.seconds = stages.timings.seconds
    summary.wall_s = time.perf_counter() - start
    discard_partial(outputs)
    if stop is not None:
        raise stop
