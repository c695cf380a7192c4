"""Sessions: the nets are loaded once, and any number of jobs run with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tposecli.formats.coco import image_ids
from tposecli.pipeline.job import ImagesJob, Settings, Unwatched, VideoJob, Watcher
from tposecli.pipeline.outputs import SinkFactory, check_outputs, needs_attention, refuse_inputs, written_names
from tposecli.pipeline.resume import check_same_run, earlier_run, replaceable_outputs
from tposecli.pipeline.run import Nets, OpenedInput, RunContext, accepting_old, run_input
from tposecli.pipeline.select import Selector
from tposecli.pipeline.summary import Summary, count
from tposecli.sinks.live_window import check_display
from tposecli.sinks.open_video import check_video_output, open_output
from tposecli.sinks.video import VideoOut
from tposecli.sources import ImageSource, find_images, open_video_input
from tposecli.sources.locations import camera_number, is_read_once, is_url, reason_of, redacted, short_name
from tposecli.utils.errors import InputError, TposeError, UsageError, with_notes


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

    def run_videos(self, jobs: Sequence[VideoJob]) -> list[Summary]:
        """Run several jobs, all of them checked before the first one begins; raises as :meth:`run` does.

        An input that cannot be read is reported, and the others go on.
        """
        settings = self.settings
        if settings.drawing.show:
            check_display()
        for job in jobs:
            _check(job, settings)
        attention = any(needs_attention(job.outputs, settings.files) for job in jobs)
        context = RunContext(settings, self.nets(attention))
        if settings.flags.resume:
            for job in jobs:
                _check_earlier(job, context)
        return [_run_video(job, context, self.watcher) for job in jobs]

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
        outputs, settings = job.outputs, self.settings
        images = find_images(job.inputs, job.recursive)
        refuse_inputs(outputs, images)
        check_outputs(outputs, images.names, settings.flags)
        context = RunContext(settings, self.nets(needs_attention(outputs, settings.files)))
        summary = Summary(
            count(len(images), "image"), skipped=images.skipped, unsupported=len(images.unsupported), stills=True
        )
        ids = image_ids(images.names)
        header_entries = {"image_ids": "order" if ids == list(range(1, len(ids) + 1)) else "names"}
        nets = context.nets
        style, stride = nets.attention_style, nets.estimator.spec.stride
        sinks = SinkFactory(outputs, settings.drawing, settings.files, style, stride, ids=ids)
        try:
            with ImageSource(images, max_pixels=settings.inference.max_pixels) as source:
                opened_input = OpenedInput(source, images.files, sinks, False, header_entries, images=images)
                run_input(opened_input, context, self.watcher, summary)
            summary.failed[:0] = source.failed
        finally:
            self.watcher.end(summary)
        return summary


def _check(job: VideoJob, settings: Settings) -> None:
    """Refuse what cannot be done, before any work."""
    outputs, flags = job.outputs, settings.flags
    Selector(settings.post.select).check()
    if job.rate is not None and not is_read_once(job.input):
        with suppress(InputError, OSError), open_video_input(job.input, rate=job.rate):
            pass  # What has times of its own takes no rate; an input that cannot be opened is reported in its turn.
    if flags.resume and (is_read_once(job.input) or camera_number(job.input) is not None):
        raise UsageError(
            f"{redacted(job.input)}: what can be read only once cannot be resumed; save it to a file first"
        )
    if outputs.wanted or not settings.drawing.show:
        check_outputs(outputs, None, settings.flags)
    if outputs.picture is not None:
        again = flags.overwrite or outputs.picture.resolve() in replaceable_outputs(outputs, flags)
        check_video_output(outputs.picture, job.encoding, again)


def _check_earlier(job: VideoJob, context: RunContext) -> None:
    """Refuse to resume a run with other options; an input that cannot be opened is reported when its turn comes."""
    before = earlier_run(job.outputs)
    if before is not None:
        with suppress(InputError, OSError), _opened(job, context) as opened_input:
            head = accepting_old(before, context.header(opened_input), opened_input)
            check_same_run(before, head)


@contextmanager
def _opened(job: VideoJob, context: RunContext) -> Iterator[OpenedInput]:
    """Open the video."""

    def video(path: Path) -> VideoOut:
        return open_output(path, source, job.encoding)

    settings = context.settings
    max_pixels = settings.inference.max_pixels
    with open_video_input(job.input, job.window, job.stream, job.rate, max_pixels, job.view) as source:
        names = written_names(job.outputs.picture, job.encoding, settings.drawing.side_by_side)
        style, stride = context.nets.attention_style, context.nets.estimator.spec.stride
        sinks = SinkFactory(
            *(job.outputs, settings.drawing, settings.files, style, stride, video),
            written_names=names,
            label=job.label,
            begun=context.begun,
        )
        rate = None if job.rate is None else str(job.rate)
        header_entries = {
            **{"window": job.window.to_dict(), "stream": job.stream, "rate": rate},
            **job.view.to_dict(),
        }
        yield OpenedInput(source, source.files, sinks, True, header_entries, source.live, job.encoding)


def _run_video(job: VideoJob, context: RunContext, watcher: Watcher) -> Summary:
    """Run one job; what is wrong with its input or its outputs goes into the summary."""
    summary = Summary(job.label or short_name(job.input), path=redacted(job.input))
    try:
        with _opened(job, context) as opened_input:
            try:
                run_input(opened_input, context, watcher, summary)
            finally:
                summary.corrupt = getattr(opened_input.source, "corrupt", 0)
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
