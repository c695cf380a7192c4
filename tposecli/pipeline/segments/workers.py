"""Many videos, or a long one in segments, over the processes of one machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tposecli.inference.runtime import resolve_device
from tposecli.pipeline.job import AnyJob, ImagesJob, Settings, VideoJob, Watcher
from tposecli.pipeline.resume import earlier_run, how_to_resume
from tposecli.pipeline.segments.draw import pieces_of
from tposecli.pipeline.segments.images import of_images
from tposecli.pipeline.segments.nodes import do_step, plan_images
from tposecli.pipeline.segments.parts import HowCut, check_parts, cut_before, forget, has_parts, lacks_of, note_cut
from tposecli.pipeline.segments.plan import SegmentPlan, plan_segments
from tposecli.pipeline.segments.steps import Step, Steps
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary, count
from tposecli.sinks.destination import STDOUT
from tposecli.sources import ImageList
from tposecli.sources.locations import is_stdin
from tposecli.types import Result, SourceInfo
from tposecli.utils.errors import InputError, TposeError, UsageError
from tposecli.utils.processes import Died, Done, Tell, Told, Workers
from tposecli.utils.system import cores, cpu_quota, memory_bytes

log = logging.getLogger("tposecli")

TRIES: Final = 3
"""How often an input is begun whose process dies."""

TELL_S: Final = 0.2
"""Seconds between two reports of a worker's progress."""

MEMORY_BYTES: Final = 1 << 30
"""Memory that a worker needs, about."""

CORES_BESIDE_GPU: Final = 4
"""Cores that one process keeps busy while the net runs elsewhere: decoding, tracking, drawing, encoding."""


class RunWatcher(Watcher, Protocol):
    """Receives the progress of several inputs that run at the same time."""

    def advance(self, frames: int, people: int) -> None:
        """Note finished frames of any of them."""


@dataclass(frozen=True, slots=True)
class _Progress:
    frames: int
    people: int


@dataclass(frozen=True, slots=True)
class _Said:
    level: int
    message: str


def workers_of(wanted: int | None, settings: Settings) -> tuple[int, Settings]:
    """Return the number of workers, and the settings with the threads that each of them may use.

    Args:
        wanted: As many; None for as many as keep this machine busy.
        settings: Those of the run. The number of threads affects the last digits, so it is fixed once for all.
    """
    model = settings.inference.model
    on_cpu = resolve_device(model.device.partition(",")[0].strip()).type == "cpu"
    free = min(cores(), cpu_quota() or cores())
    if wanted is None:
        each = (model.threads or 1) if on_cpu else CORES_BESIDE_GPU
        wanted = max(1, min(free // each, memory_bytes() // MEMORY_BYTES))
    if on_cpu and model.threads is None and wanted > 1:
        inference = replace(settings.inference, model=replace(model, threads=max(1, free // wanted)))
        settings = replace(settings, inference=inference)
    return wanted, settings


def run_in_workers(jobs: Sequence[VideoJob], settings: Settings, workers: int, watcher: RunWatcher) -> list[Summary]:
    """Run jobs in several processes, long videos in segments, and return a summary of each.

    Outputs equal those of :meth:`Session.run_videos` with the same settings. A process that dies is replaced, and its
    input begun again where it stopped, twice at most; the others go on.

    Raises:
        UsageError: An output exists, or what is asked for does not go together; found before any work is done.
        OutputError: A folder cannot be created or written.
    """
    _refuse_what_one_does(jobs, settings)
    Session(settings).check_videos(jobs)
    for job in jobs:
        check_parts(job, settings.flags, lacks_of(job))
    steps, frames = _steps(jobs, settings, workers)
    name = count(len(jobs), "input")
    return _Run(name, steps, len(jobs), settings, watcher).run(workers, frames)


def run_images_in_workers(job: ImagesJob, settings: Settings, workers: int, watcher: RunWatcher) -> Summary:
    """Run a job over images in several processes, each with a share, and return its summary.

    Outputs equal those of :meth:`Session.run` with the same settings; see :func:`run_in_workers`.

    Raises:
        UsageError: An output exists, or what is asked for does not go together; found before any work is done.
        InputError: There are no images.
        OutputError: A folder cannot be created or written.
    """
    _refuse_what_one_does([job], settings)
    plan, images = plan_images(job, settings, lacks_of(job))
    steps = Steps([job])
    steps.planned(steps.next(), plan)
    name = job.title if images is None else count(len(images), "image")
    (summary,) = _Run(name, steps, 1, settings, watcher, images).run(workers, plan.frames)
    return summary


def _refuse_what_one_does(jobs: Sequence[AnyJob], settings: Settings) -> None:
    """Refuse what one process only can do."""
    if settings.drawing.show:
        raise UsageError("--show: one process only can show its frames; give --workers 1")
    for job in jobs:
        if STDOUT in job.outputs.wanted or (isinstance(job, VideoJob) and is_stdin(job.input)):
            raise UsageError("-: one process only can use standard input and output; give --workers 1")


def _steps(jobs: Sequence[VideoJob], settings: Settings, workers: int) -> tuple[Steps, int | None]:
    """Return the steps of all videos, and the number of frames that they will report, if it is known.

    Videos are cut that are longer than the share of a worker; what an earlier run began as a whole stays whole.
    """
    plans = [_plan(job, settings, None) for job in jobs]
    share = -(-sum(plan.frames or 0 for plan in plans) // workers)
    steps, frames = Steps(jobs), 0
    waiting = [steps.next() for _ in jobs]
    for step, plan in reversed(list(zip(waiting, plans, strict=True))):
        job, how = step.job, cut_before(step.job.outputs)
        assert isinstance(job, VideoJob)
        if how is None and (plan.frames or 0) > share:
            how = HowCut(share * job.window.stride, settings.inference.model.threads)
        if how is not None:
            plan = _plan(job, settings, how.frames)
        if plan.segments and how is not None:
            if settings.flags.overwrite and not settings.flags.resume:
                forget(job.outputs)
            note_cut(job.outputs, how)
        pieces = pieces_of(plan, settings)
        steps.planned(step, plan, pieces)
        frames += (plan.frames or 0) * (1 + bool(plan.segments) + bool(pieces))
    return steps, frames or None


def _plan(job: VideoJob, settings: Settings, frames: int | None) -> SegmentPlan:
    try:
        begun = settings.flags.resume and earlier_run(job.outputs) is not None
        if begun and not has_parts(job.outputs):
            return SegmentPlan(job)
        return plan_segments(job, settings, frames)
    except (InputError, OSError):
        return SegmentPlan(job)  # It is reported in its turn.


class _Run:
    """The steps of all videos, waiting, being done and done."""

    def __init__(
        self,
        name: str,
        steps: Steps,
        inputs: int,
        settings: Settings,
        watcher: RunWatcher,
        images: ImageList | None = None,
    ) -> None:
        self._name, self._steps, self._settings, self._watcher = name, steps, settings, watcher
        self._done: list[Summary | None] = [None] * inputs
        self._images = images

    def run(self, count_: int, frames: int | None) -> list[Summary]:
        """Do all of them, in as many processes at most, and return the summaries of the inputs."""
        processes = min(count_, len(self._steps))
        self._watcher.begin(SourceInfo(f"{self._name} in {count(processes, 'process', 'processes')}"), frames)
        try:
            self._run(processes)
        except BaseException as error:
            error.add_note(how_to_resume(self._settings.flags.command))
            raise
        return [summary for summary in self._done if summary is not None]

    def _run(self, processes: int) -> None:
        with Workers(processes, TaskRunner(self._settings)) as workers:
            while self._steps or workers.busy:
                while self._steps and workers.free:
                    workers.begin(self._steps.next())
                for report in workers.reports():
                    self._take(report)

    def _take(self, report: Told[Step] | Done[Step] | Died[Step]) -> None:
        if isinstance(report, Died):
            self._died(report.task, report.reason)
        elif isinstance(report, Done):
            self._end(report.task, report.answer)
        elif isinstance(report.what, _Progress):
            self._watcher.advance(report.what.frames, report.what.people)
        else:
            log.log(report.what.level, "%s", report.what.message)

    def _died(self, step: Step, reason: str) -> None:
        """Begin again where it stopped, unless it has died too often."""
        name = step.job.title
        if step.attempt + 1 < TRIES:
            log.warning("%s: its process ended (%s); starting another", name, reason)
            self._steps.again(replace(step, attempt=step.attempt + 1))
            return
        why = f"its process ended {TRIES} times ({reason}); check the file, or add memory or fewer --workers"
        self._end(step, Summary.of_failure(step.job.name, name, why))

    def _end(self, step: Step, summary: Summary) -> None:
        whole = self._steps.done(step, summary)
        if whole is not None:
            whole = of_images(whole, self._images)
            self._done[step.video] = whole
            self._watcher.end(whole)


class TaskRunner:
    """Does steps in the process that calls it; the nets are loaded with the first one and kept."""

    def __init__(self, settings: Settings) -> None:
        """Set what all steps have in common."""
        self._settings = settings
        self._session: Session | None = None

    def __call__(self, step: Step, tell: Tell) -> Summary:
        """Do a step; what is wrong with its input or its outputs is in the summary.

        Args:
            step: What to do.
            tell: Receives progress and log messages.
        """
        logger = logging.getLogger("tposecli")
        logger.handlers[:] = [_Handler(tell)]
        logger.setLevel(logging.INFO)
        if self._session is None:
            self._session = Session(watcher=_Telling(tell))
        settings = self._settings
        if step.attempt or step.kind in ("join", "draw", "finish"):
            settings = replace(settings, flags=replace(settings.flags, resume=True, overwrite=False))
        self._session.settings = settings
        try:
            done = do_step(step, self._session)
        except TposeError as error:
            return Summary.of_failure(step.job.name, step.job.title, str(error))
        assert isinstance(done, Summary)
        return done


class _Telling:
    """Tells another process of the progress, now and then."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._frames = self._people = 0
        self._told = time.perf_counter()

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Do nothing: the run began before."""

    def seen(self, result: Result) -> None:
        """Count a frame."""
        self._frames += 1
        self._people += len(result.poses)
        if time.perf_counter() - self._told >= TELL_S:
            self._flush()

    def end(self, summary: Summary) -> None:
        """Tell what was not told yet; the summary is the answer of the task."""
        self._flush()

    def _flush(self) -> None:
        if self._frames:
            self._tell(_Progress(self._frames, self._people))
        self._frames = self._people = 0
        self._told = time.perf_counter()


class _Handler(logging.Handler):
    """Sends log messages to another process."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        self._tell(_Said(record.levelno, record.getMessage()))
