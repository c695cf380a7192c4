"""Sessions: the nets are loaded once, and any number of jobs run with them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tposecli.formats.coco.write import image_ids, numbering
from tposecli.formats.journal.journal import Journal
from tposecli.formats.journal.provenance import content_of, source_of
from tposecli.hub.remote import is_stored
from tposecli.pipeline.job import ImagesJob, Settings, Unwatched, VideoJob, Watcher
from tposecli.pipeline.outputs import SinkFactory, check_outputs, needs_attention, refuse_inputs, written_names
from tposecli.pipeline.resume import check_same_run, earlier_run, replaceable_outputs
from tposecli.pipeline.run import DescribedSource, Nets, OpenedInput, RunContext, accepting_old, is_done, run_input
from tposecli.pipeline.select import Selector
from tposecli.pipeline.staging import Staged, Staging
from tposecli.pipeline.summary import Summary, count
from tposecli.sinks.live_window import check_display
from tposecli.sinks.open_video import check_video_output, open_output, open_spliced
from tposecli.sinks.video import VideoOut
from tposecli.sources import ImageSource, VideoSource, find_images, open_video_input
from tposecli.sources.locations import camera_number, is_read_once, is_url, reason_of, redacted
from tposecli.utils.errors import InputError, TposeError, UsageError, with_notes

log = logging.getLogger("tposecli")


class Session:
    """Runs jobs one after the other, as ``tpose video`` and ``tpose images`` do, and holds the nets between them.

    The nets are loaded by the first job that needs them; jobs that write attention have a pair of their own. Settings
    and jobs are frozen values that can be pickled: a worker of a cluster makes a session of its own from them.

    A session runs one job at a time, in the thread that calls it.
    """

    def __init__(self, settings: Settings | None = None, watcher: Watcher | None = None) -> None:
        """Set what all jobs have in common; nothing is loaded yet.

        Args:
            settings: Nets, tracking, smoothing, drawing and files; None for the defaults of the command line.
            watcher: Receives the progress of every job; None for nobody.
        """
        self.settings = settings or Settings()
        self.watcher: Watcher = watcher or Unwatched()
        self._nets: dict[bool, Nets] = {}

    def __repr__(self) -> str:
        model, detector = self.settings.inference.model.model, self.settings.inference.detector.name
        return f"Session(model={model!r}, detector={detector!r})"

    def run(self, job: VideoJob | ImagesJob) -> Summary:
        """Run one job and return what it did.

        A video, or images of several, that cannot be read raise nothing: they are in ``Summary.failed``, with reasons.

        Args:
            job: A video or images, and the files to make of them.

        Raises:
            UsageError: An output exists, or what is asked for does not go together; found before any work is done.
            InputError: There are no images.
            OutputError: A folder cannot be created or written.
            WeightsError: The net or the detector cannot be loaded.
        """
        return self._run_images(job) if isinstance(job, ImagesJob) else self.run_videos([job])[0]

    def check_videos(self, jobs: Sequence[VideoJob]) -> None:
        """Check jobs as :meth:`run_videos` does before the first one begins, without loading the nets.

        Raises:
            UsageError: An output exists, or what is asked for does not go together.
            OutputError: A folder cannot be created or written.
        """
        with Staging(self.settings.inference.model.downloads) as staging:
            for job in jobs:
                _check(staging.of_video(job), self.settings, staging)

    def run_videos(self, jobs: Sequence[VideoJob]) -> list[Summary]:
        """Run several jobs, all of them checked before the first one begins; raises as :meth:`run` does.

        An input that cannot be read is reported, and the others go on.
        """
        settings = self.settings
        if settings.drawing.show:
            check_display()
        with Staging(settings.inference.model.downloads) as staging:
            staged = [staging.of_video(job) for job in jobs]
            for each in staged:
                _check(each, settings, staging)
            attention = any(needs_attention(job.outputs, settings.files) for job in jobs)
            context = RunContext(settings, self.nets(attention))
            if settings.flags.resume:
                for each in staged:
                    _check_earlier(each, context)
            return [_run_video(each, context, self.watcher, staging) for each in staged]

    def nets(self, attention: bool = False) -> Nets:
        """Return the nets, loaded if they are not yet.

        Args:
            attention: Whether the net is asked for its attention.

        Raises:
            WeightsError: A checkpoint cannot be found or loaded.
        """
        if attention not in self._nets:
            self._nets[attention] = Nets(self.settings, attention)
        return self._nets[attention]

    def _run_images(self, job: ImagesJob) -> Summary:
        """Run the job; an image that cannot be read is reported and the others go on."""
        with Staging(self.settings.inference.model.downloads) as staging:
            staged = staging.of_images(job)
            summary = Summary("", stills=True)
            try:
                with staging.outputs(staged):
                    run = self._run_measured_images if job.measured else self._run_local_images
                    run(staged.job, summary)  # type: ignore[arg-type]
            finally:
                staging.report(staged, summary)
                if summary.name:
                    self.watcher.end(summary)
        return summary

    def _run_local_images(self, job: ImagesJob, summary: Summary) -> None:
        """Run a job over images of this machine."""
        outputs, settings = job.outputs, self.settings
        images = job.images or find_images(job.inputs, job.recursive)
        refuse_inputs(outputs, images)
        check_outputs(outputs, images.names, settings.flags)
        context = RunContext(settings, self.nets(needs_attention(outputs, settings.files)))
        summary.name, summary.skipped = count(len(images), "image"), images.skipped
        summary.unsupported = len(images.unsupported)
        sinks, entries = _sinks_of_images(job, images.names, context)
        some = [] if job.images is None else list(zip(images.names, images.paths, strict=True))
        found = {"images": [[name, content_of(path)] for name, path in some]} if some else {}
        with ImageSource(images, max_pixels=settings.inference.max_pixels) as source:
            opened_input = OpenedInput(source, images.files, sinks, False, entries, images=images, found=found)
            run_input(opened_input, context, self.watcher, summary)
        summary.failed[:0] = source.failed

    def _run_measured_images(self, job: ImagesJob, summary: Summary) -> None:
        """Make the pose files of images of the journal, which other processes have measured."""
        before = earlier_run(job.outputs)
        if before is None:
            raise InputError(f"{job.outputs.files[0]}: no such journal; run the command again with --resume")
        end, folder = before.end(), before.path.parent
        names = end.get("names", ())
        summary.name = count(len(names) or before.whole_frames(), "image")
        if not names:
            log.info("%s: finished already", summary.name)  # The last line is that of a whole run.
            return
        check_outputs(job.outputs, names, self.settings.flags)
        context = RunContext(self.settings, self.nets(attention=True in self._nets))
        sinks, _ = _sinks_of_images(job, names, context)
        made = {Path(os.path.realpath(folder / name)): size for name, size in end.get("files", {}).items()}
        source = DescribedSource(source_of(before.header))
        # The header is that of the shares, whose nets may have been asked for attention.
        opened_input = OpenedInput(source, (), sinks, False, before.provenance, made=made)
        run_input(opened_input, context, self.watcher, summary)


def _sinks_of_images(job: ImagesJob, names: Sequence[str], context: RunContext) -> tuple[SinkFactory, dict[str, Any]]:
    """Return what opens the sinks of images, and what the header says of all of them."""
    ids, nets, settings = image_ids(names), context.nets, context.settings
    style, stride = nets.attention_style, nets.estimator.spec.stride
    sinks = SinkFactory(job.outputs, settings.drawing, settings.files, style, stride, ids=ids)
    return sinks, {"image_ids": numbering(ids)}


def _check(staged: Staged, settings: Settings, staging: Staging) -> None:
    """Refuse what cannot be done, before any work."""
    job, given = staged.job, staged.origin
    assert isinstance(job, VideoJob) and isinstance(given, VideoJob)
    outputs, flags = job.outputs, settings.flags
    track = settings.post.track
    Selector(settings.post.select, 0.0 if track is None else track.lost_s).check()
    if job.rate is not None and not is_read_once(given.input):
        with suppress(InputError, OSError), open_video_input(job.input, rate=job.rate):
            pass  # What has times of its own takes no rate; an input that cannot be opened is reported in its turn.
    if flags.resume and (is_read_once(given.input) or camera_number(given.input) is not None):
        with suppress(InputError):
            staging.inspected(staged)
        if not staged.version and not is_stored(given.input):
            raise UsageError(
                f"{redacted(given.input)}: what can be read only once cannot be resumed; save it to a file first"
            )
    if outputs.wanted or not settings.drawing.show:
        check_outputs(outputs, None, settings.flags)
    if outputs.picture is not None:
        again = flags.overwrite or outputs.picture.resolve() in replaceable_outputs(outputs, flags)
        check_video_output(outputs.picture, job.encoding, again)


def _check_earlier(staged: Staged, context: RunContext) -> None:
    """Refuse to resume a run with other options; an input that cannot be opened is reported when its turn comes."""
    job = staged.job
    assert isinstance(job, VideoJob)
    before = earlier_run(job.outputs)
    if before is None:
        return
    with suppress(InputError, OSError), ExitStack() as stack:
        if staged.version:
            opened_input = _as_before(staged, before, context)
        else:
            opened_input = stack.enter_context(_opened(job, context))
        head = accepting_old(before, context.header(opened_input), opened_input)
        check_same_run(before, head)


def _sinks(job: VideoJob, context: RunContext, video: Callable[[Path], VideoOut] | None = None) -> SinkFactory:
    """Return what opens the sinks of a video."""
    settings = context.settings
    names = written_names(job.outputs.picture, job.encoding, settings.drawing.side_by_side)
    style, stride = context.nets.attention_style, context.nets.estimator.spec.stride
    return SinkFactory(
        *(job.outputs, settings.drawing, settings.files, style, stride, video),
        written_names=names,
        label=job.label,
        begun=context.begun,
        drawn=bool(job.parts),
    )


def _header_entries(job: VideoJob) -> dict[str, Any]:
    """Return what identifies a video in the journal's header besides its source."""
    rate = None if job.rate is None else str(job.rate)
    return {"window": job.window.to_dict(), "stream": job.stream, "rate": rate, **job.view.to_dict()}


@contextmanager
def _opened(job: VideoJob, context: RunContext, version: str = "") -> Iterator[OpenedInput]:
    """Open the video."""

    def video(path: Path) -> VideoOut:
        if job.parts:
            return open_spliced(path, source, job.encoding, job.parts)
        return open_output(path, source, job.encoding)

    max_pixels = context.settings.inference.max_pixels
    with open_video_input(job.input, job.window, job.stream, job.rate, max_pixels, job.view) as source:
        before = earlier_run(job.outputs) if job.parts else None
        if before is not None and isinstance(source, VideoSource):
            source.begins_at(before.end().get("begin", 0))
        sinks, entries = _sinks(job, context, video), _header_entries(job)
        yield OpenedInput(
            *(source, source.files, sinks, True, entries, source.live, job.encoding),
            version=version,
        )


def _as_before(staged: Staged, before: Journal, context: RunContext) -> OpenedInput:
    """Return a remote input as a journal describes it, without fetching it; it is of use if it is still the same."""
    job = staged.job
    assert isinstance(job, VideoJob)
    source = DescribedSource(source_of(before.header))
    return OpenedInput(
        *(source, (), _sinks(job, context), True, _header_entries(job), False, job.encoding), version=staged.version
    )


def _is_done(staged: Staged, context: RunContext) -> bool:
    """Return whether a remote input needs no fetching, because an earlier run has made everything from it."""
    if not (staged.version and context.settings.flags.resume):
        return False
    before = earlier_run(staged.job.outputs)
    same = before is not None and before.header.get("source_version") == staged.version
    return before is not None and same and is_done(before, _as_before(staged, before, context), context)


def _run_video(staged: Staged, context: RunContext, watcher: Watcher, staging: Staging) -> Summary:
    """Run one job; what is wrong with its input or its outputs goes into the summary."""
    job, given = staged.job, staged.origin
    assert isinstance(job, VideoJob) and isinstance(given, VideoJob)
    summary = Summary(given.name, path=given.title)
    try:
        with staging.outputs(staged):
            if _is_done(staging.inspected(staged), context):
                log.info("%s: finished already", summary.name)
                return summary
            job = replace(job, input=staging.input(staged))
            with _opened(job, context, staged.version) as opened_input:
                try:
                    run_input(opened_input, context, watcher, summary)
                finally:
                    summary.corrupt = getattr(opened_input.source, "corrupt", 0)
    except BrokenPipeError:
        raise
    except TposeError as error:
        summary.failed.append((given.title, with_notes(str(error), error)))
    except OSError as error:
        # FFmpeg's errors repeat the address, user and password included.
        reason = reason_of(error) if is_url(given.input) else str(error)
        summary.failed.append((given.title, with_notes(reason, error)))
    finally:
        staging.report(staged, summary)
        watcher.end(summary)
    return summary
