"""Draw and encode a video by segments: each takes everybody's way from the joined journal, and its own frames' pixels.

Tracking and smoothing go through the whole journal up to the end of the segment, so nothing is lost at its borders:
neither ids nor smoothed paths nor trails.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tposecli.formats.journal.journal import Journal, journal_path, read_journal
from tposecli.formats.with_frames import AHEAD, blank, make_frame
from tposecli.hub.remote import is_stored
from tposecli.pipeline.job import ImagesJob, Outputs, Settings, VideoJob, Watcher
from tposecli.pipeline.outputs import SinkFactory
from tposecli.pipeline.resume import output_options
from tposecli.pipeline.run import OpenedInput, RunContext
from tposecli.pipeline.segments.plan import SegmentPlan, parts_folder
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary
from tposecli.sinks.annotated import AnnotatedVideo
from tposecli.sinks.base import opened
from tposecli.sinks.open_video import is_divisible
from tposecli.sinks.parts import SUFFIX, PartSink, is_whole
from tposecli.sources import Source, open_video_input
from tposecli.types import Result
from tposecli.utils.errors import InputError
from tposecli.utils.locks import output_locks
from tposecli.utils.signals import deferred
from tposecli.utils.threads import prefetch
from tposecli.utils.version import __version__


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of an annotated video.

    Attributes:
        job: The segment, as it was measured.
        span: Its frames, by their numbers in the video.
        path: The part to write.
    """

    job: VideoJob
    span: range
    path: Path


def pieces_of(plan: SegmentPlan, settings: Settings) -> tuple[Piece, ...]:
    """Return the segments in which the annotated video is drawn; none if one process must draw it.

    One process does if there is no annotated video, if it cannot be encoded in parts or is to be in a store, or if all
    pixels are needed in one place anyway, as for crops. A part has a name of its own for each way to draw, so none is
    taken for another.
    """
    job, outputs = plan.job, plan.job.outputs
    picture = outputs.picture
    if isinstance(job, ImagesJob) or not plan.segments or picture is None or is_stored(picture):
        return ()
    if not is_divisible(picture, job.encoding):
        return ()
    if replace(outputs, picture=None).need_frames:
        return ()
    options = output_options(settings.drawing, settings.files, job.encoding)
    how = [picture.suffix, options, asdict(settings.post), __version__]
    digest = hashlib.sha256(json.dumps(how, default=str, sort_keys=True).encode()).hexdigest()[:12]
    folder = parts_folder(outputs)
    return tuple(
        Piece(segment, span, folder / f"{span.start:09d}-{span.stop:09d}-{digest}{SUFFIX}")
        for segment, span in zip(plan.segments, plan.spans, strict=True)
        if isinstance(segment, VideoJob)
    )


def draw_piece(whole: VideoJob, piece: Piece, session: Session, watcher: Watcher) -> Summary:
    """Draw and encode one segment, unless an earlier run has.

    Args:
        whole: The job that the segment is of; its journal is complete.
        piece: The segment.
        session: Settings and nets; nothing is measured.
        watcher: Is told of each frame that is drawn.

    Raises:
        InputError: The journal or the video is damaged, or they do not belong together.
        OutputError: The part cannot be written.
    """
    job, settings = piece.job, session.settings
    summary = Summary(whole.name, path=whole.title)
    if is_whole(piece.path):
        return summary
    journal = read_journal(journal_path(whole.outputs.files[0]))
    context = RunContext(settings, session.nets())
    limits = job.window, job.stream, job.rate, settings.inference.max_pixels, job.view
    assert whole.outputs.picture is not None
    name = whole.outputs.picture
    with output_locks([piece.path]), open_video_input(job.input, *limits) as source, ExitStack() as stack:
        sinks = SinkFactory(
            *(Outputs(piece.path), settings.drawing, settings.files, context.nets.attention_style),
            context.nets.estimator.spec.stride,
            lambda path: PartSink(path, source.info, whole.encoding, name),
        )
        opened_input = OpenedInput(source, source.files, sinks, True, {}, encoding=whole.encoding)
        stages = context.stages(opened_input)
        (sink,) = (stack.enter_context(opened(each)) for each in sinks.open(journal.provenance, stages.timings))
        assert isinstance(sink, AnnotatedVideo)
        frames = stack.enter_context(closing(_frames(journal, source, piece)))
        for result in stack.enter_context(closing(stages.post.process(frames, stages.timings))):
            if result.frame.index >= piece.span.stop:
                break
            if result.frame.index < piece.span.start:
                sink.follow(result)
                continue
            for shown in sinks.prepare([result]):
                with deferred():
                    sink.write(shown)
                summary.frames += 1
                watcher.seen(shown)
    return summary


def _frames(journal: Journal, source: Source, piece: Piece) -> Generator[Result]:
    """Yield all frames of the journal, those of the segment with their pixels.

    Raises:
        InputError: The video has other frames than the journal.
    """
    with closing(prefetch(source, depth=AHEAD, name="read")) as read:
        for entry in journal:
            if entry.index not in piece.span:
                yield Result(make_frame(entry, blank(entry.size_wh)), entry.poses)
                continue
            frame = next(read, None)
            if frame is None or (frame.index, frame.size_wh) != (entry.index, entry.size_wh):
                raise InputError(
                    f"{source.info.name}: frame {entry.index} is not the one that was measured; start over with "
                    "--overwrite (without --resume)"
                )
            yield Result(make_frame(entry, frame.image, frame.duration_s), entry.poses)
