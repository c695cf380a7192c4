"""Many videos, or a long one in segments, over the processes of one machine."""

from __future__ import annotations

import logging
import shutil
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from tposecli.formats.journal.journal import journal_path
from tposecli.inference.runtime import resolve_device
from tposecli.pipeline.job import RunFlags, Settings, VideoJob, Watcher
from tposecli.pipeline.resume import earlier_run, how_to_resume
from tposecli.pipeline.segments.draw import Piece, draw_piece, pieces_of
from tposecli.pipeline.segments.join import join_journals
from tposecli.pipeline.segments.plan import SegmentPlan, parts_folder, plan_segments
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary, count
from tposecli.sinks.destination import STDOUT
from tposecli.sinks.parts import fit_together
from tposecli.sources.locations import is_stdin, redacted, short_name
from tposecli.types import Result, SourceInfo
from tposecli.utils.errors import InputError, TposeError, UsageError
from tposecli.utils.locks import output_locks
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
class SegmentTask:
    """Something to be done by one process.

    It is a whole video, a segment to measure, the joining of all, a segment to draw, or what is made of all of them.

    Attributes:
        number: Which video.
        job: The job to run.
        settings: How.
        journals: Journals to join before it.
        piece: The segment of the job to draw; nothing else is done.
        joins: Only join the journals.
        attempt: How often it was begun before.
    """

    number: int
    job: VideoJob
    settings: Settings
    journals: tuple[Path, ...] = ()
    piece: Piece | None = None
    joins: bool = False
    attempt: int = 0


@dataclass(slots=True)
class _Video:
    """A video on its way.

    Attributes:
        plan: Its segments.
        pieces: Segments to draw; empty if one process draws it.
        steps: What is still to be done: tasks of one step wait for those before.
        left: Tasks of the present step that are not done.
        corrupt: Frames that were lost.
        began: When its first task began.
        failed: What failed, with reasons.
        summary: What was done, at the end.
    """

    plan: SegmentPlan
    pieces: tuple[Piece, ...] = ()
    steps: deque[list[SegmentTask]] = field(default_factory=deque)
    left: int = 0
    corrupt: int = 0
    began: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    summary: Summary | None = None

    @property
    def passes(self) -> int:
        """How often each frame is reported."""
        return 1 + bool(self.plan.segments) + bool(self.pieces)

    def plan_steps(self, number: int, settings: Settings) -> None:
        """Set the steps."""
        plan = self.plan
        self.steps.append([SegmentTask(number, job, settings) for job in plan.segments or (plan.job,)])
        if self.pieces:
            self.steps.append([SegmentTask(number, plan.job, settings, plan.journals, joins=True)])
            self.steps.append([SegmentTask(number, plan.job, settings, piece=piece) for piece in self.pieces])
            parts = tuple(piece.path for piece in self.pieces)
            self.steps.append([SegmentTask(number, replace(plan.job, parts=parts), settings)])
        elif plan.segments:
            self.steps.append([SegmentTask(number, plan.job, settings, plan.journals)])


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
    if settings.drawing.show:
        raise UsageError("--show: one process only can show its frames; give --workers 1")
    for job in jobs:
        if is_stdin(job.input) or STDOUT in job.outputs.wanted:
            raise UsageError("-: one process only can use standard input and output; give --workers 1")
        _check_parts(job, settings.flags)
    Session(settings).check_videos(jobs)
    videos = [_Video(plan, pieces_of(plan, settings)) for plan in _plans(jobs, settings, workers)]
    try:
        _Run(videos, settings, watcher).run(workers)
    except BaseException as error:
        error.add_note(how_to_resume(settings.flags.command))
        raise
    return [video.summary for video in videos if video.summary is not None]


def _check_parts(job: VideoJob, flags: RunFlags) -> None:
    """Refuse to begin anew where segments of an interrupted run are, or remove them."""
    folder = parts_folder(job.outputs)
    if not folder.is_dir() or flags.resume:
        return
    if not flags.overwrite:
        raise UsageError(f"{folder}: an interrupted run; add --resume to continue it, or --overwrite to start over")
    shutil.rmtree(folder, ignore_errors=True)


def _plans(jobs: Sequence[VideoJob], settings: Settings, workers: int) -> list[SegmentPlan]:
    """Cut videos that are longer than the share of a worker; what an earlier run began as a whole stays whole."""
    plans = [_plan(job, settings, None) for job in jobs]
    share = -(-sum(plan.frames or 0 for plan in plans) // workers)
    return [
        plan if not plan.frames or plan.frames <= share else _plan(plan.job, settings, share * plan.job.window.stride)
        for plan in plans
    ]


def _plan(job: VideoJob, settings: Settings, frames: int | None) -> SegmentPlan:
    try:
        begun = settings.flags.resume and earlier_run(job.outputs) is not None
        if begun and not parts_folder(job.outputs).is_dir():
            return SegmentPlan(job)
        return plan_segments(job, settings, frames)
    except (InputError, OSError):
        return SegmentPlan(job)  # It is reported in its turn.


class _Run:
    """The tasks of all videos."""

    def __init__(self, videos: Sequence[_Video], settings: Settings, watcher: RunWatcher) -> None:
        self._videos, self._settings, self._watcher = videos, settings, watcher
        self._ready: deque[SegmentTask] = deque()
        for number, video in enumerate(videos):
            video.plan_steps(number, settings)
            self._ready += self._next(video)

    @staticmethod
    def _next(video: _Video) -> list[SegmentTask]:
        """Return the tasks of the next step."""
        tasks = video.steps.popleft()
        video.left = len(tasks)
        return tasks

    def run(self, count_: int) -> None:
        """Do all of them."""
        known = [(video.plan.frames or 0) * video.passes for video in self._videos]
        processes = min(count_, len(self._ready))
        name = f"{count(len(self._videos), 'input')} in {count(processes, 'process', 'processes')}"
        self._watcher.begin(SourceInfo(name), sum(known) or None)
        with Workers(processes, TaskRunner()) as workers:
            while self._ready or workers.busy:
                while self._ready and workers.free:
                    task = self._ready.popleft()
                    self._videos[task.number].began = self._videos[task.number].began or time.perf_counter()
                    workers.begin(task)
                for report in workers.reports():
                    self._take(report)

    def _take(self, report: Told[SegmentTask] | Done[SegmentTask] | Died[SegmentTask]) -> None:
        if isinstance(report, Died):
            self._died(report.task, report.reason)
        elif isinstance(report, Done):
            self._done(report.task, report.answer)
        elif isinstance(report.what, _Progress):
            self._watcher.advance(report.what.frames, report.what.people)
        else:
            log.log(report.what.level, "%s", report.what.message)

    def _died(self, task: SegmentTask, reason: str) -> None:
        """Begin again where it stopped, unless it has died too often."""
        name = redacted(task.job.input)
        if task.attempt + 1 < TRIES:
            log.warning("%s: its process ended (%s); starting another", name, reason)
            flags = replace(task.settings.flags, resume=True, overwrite=False)
            again = replace(task, settings=replace(task.settings, flags=flags), attempt=task.attempt + 1)
            self._ready.appendleft(again)
            return
        why = f"its process ended {TRIES} times ({reason}); check the video, or add memory or fewer --workers"
        self._done(task, Summary(task.job.label or short_name(task.job.input), path=name, failed=[(name, why)]))

    def _done(self, task: SegmentTask, summary: Summary) -> None:
        """Go on with the video: with the next step when all of this one is done, or report it."""
        video = self._videos[task.number]
        if not video.steps and video.left == 1:
            summary.corrupt = max(summary.corrupt, video.corrupt)
            self._end(video, summary)
            return
        video.left -= 1
        video.corrupt += summary.corrupt
        video.failed += [entry for entry in summary.failed if entry not in video.failed]
        if video.failed:
            video.left -= sum(other.number == task.number for other in self._ready)
            self._ready = deque(other for other in self._ready if other.number != task.number)
        if not video.left and video.failed:
            self._end(video, replace(summary, failed=video.failed, outputs=[]))
        elif not video.left:
            self._ready.extendleft(reversed(self._next(video)))

    def _end(self, video: _Video, summary: Summary) -> None:
        summary.wall_s = time.perf_counter() - video.began
        video.summary = summary
        self._watcher.end(summary)


class TaskRunner:
    """Does tasks in the process that calls it; the nets are loaded with the first task and kept."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def __call__(self, task: SegmentTask, tell: Tell) -> Summary:
        """Do a task; what is wrong with its input or its outputs is in the summary.

        Args:
            task: What to do.
            tell: Receives progress and log messages.
        """
        logger = logging.getLogger("tposecli")
        logger.handlers[:] = [_Handler(tell)]
        logger.setLevel(logging.INFO)
        try:
            return self._run(task, tell)
        except TposeError as error:
            name = redacted(task.job.input)
            return Summary(task.job.label or short_name(task.job.input), path=name, failed=[(name, str(error))])

    def _run(self, task: SegmentTask, tell: Tell) -> Summary:
        job, settings = task.job, task.settings
        if task.piece is not None:
            return draw_piece(job, task.piece, self._session_with(settings, tell), _Telling(tell))
        if task.journals:
            again = settings.flags.overwrite or settings.flags.resume
            with output_locks(job.outputs.files):
                join_journals(task.journals, journal_path(job.outputs.files[0]), job.outputs.files, replace_it=again)
        if task.joins:
            return Summary(job.label or short_name(job.input), path=redacted(job.input))
        if task.journals or job.parts:
            settings = replace(settings, flags=replace(settings.flags, resume=True, overwrite=False))
        if job.parts and not fit_together(job.parts):
            log.warning("%s: its parts do not fit together; drawing it at once", short_name(job.input))
            job = replace(job, parts=())
        summary = self._session_with(settings, tell).run(job)
        if not summary.failed and job.outputs.journal is None:
            shutil.rmtree(parts_folder(job.outputs), ignore_errors=True)
        return summary

    def _session_with(self, settings: Settings, tell: Tell) -> Session:
        """Return the session of this process, with other settings."""
        if self._session is None:
            self._session = Session(watcher=_Telling(tell))
        self._session.settings = settings
        return self._session


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
