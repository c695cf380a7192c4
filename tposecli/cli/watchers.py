"""Progress of a run as the user sees it: a progress bar or log lines, then a summary, or all of it as JSON lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tposecli.cli.terminal import LineHandler, console, emit_event, printable, say, silence_libraries
from tposecli.pipeline.summary import count, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from tposecli.pipeline.summary import Summary
    from tposecli.types import Result, SourceInfo

PROGRESS_S = 1.0
"""Seconds between two progress events."""
LINE_S = 60.0
"""Seconds between two lines of progress where there is no terminal."""


class Reporter(Protocol):
    """Receives the progress of a run over one or more inputs; the pipeline knows the part that is a ``Watcher``."""

    def plan(self, inputs: int, together: bool = False) -> None:
        """Note how many inputs there will be, and whether they run together, with one ``begin`` for all of them."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Note that an input was opened."""

    def seen(self, result: Result) -> None:
        """Note a finished frame."""

    def advance(self, frames: int, people: int) -> None:
        """Note several finished frames."""

    def end(self, summary: Summary) -> None:
        """Note that an input is finished, or could not be read at all."""

    def done(self, summaries: Sequence[Summary], status: int, *lines: str) -> None:
        """Note that the run is over; ``lines`` say what else it made."""


def watcher(quiet: bool, log_json: bool, verbose: bool = False) -> Reporter:
    """Return the watcher for the options, and send log lines the same way."""
    chosen: Reporter
    handler: logging.Handler
    if log_json or quiet:
        silence_libraries()
    screen = console(stderr=True)
    if log_json:
        chosen, handler = JsonWatcher(), _JsonHandler()
    elif quiet:
        chosen, handler = QuietWatcher(), LineHandler(screen)
        handler.setLevel(logging.ERROR)
    else:
        kind = TerminalWatcher if screen.is_terminal else LineWatcher
        chosen, handler = kind(screen, verbose), LineHandler(screen)
    logger = logging.getLogger("tposecli")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    return chosen


def exit_status(summaries: Sequence[Summary], reporter: Reporter, *lines: str) -> int:
    """Return 1 if an input failed, else 0, after reporting the whole run.

    Args:
        summaries: Those of all inputs.
        reporter: Where to report it.
        lines: What else was made.
    """
    status = int(any(summary.failed for summary in summaries))
    reporter.done(summaries, status, *lines)
    return status


class QuietWatcher:
    """Reports failures only."""

    def plan(self, inputs: int, together: bool = False) -> None:
        """Do nothing."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Do nothing."""

    def seen(self, result: Result) -> None:
        """Do nothing."""

    def advance(self, frames: int, people: int) -> None:
        """Do nothing."""

    def end(self, summary: Summary) -> None:
        """Name the inputs that failed."""
        for name, reason in summary.failed:
            say(_failure(name, reason), err=True)

    def done(self, summaries: Sequence[Summary], status: int, *lines: str) -> None:
        """Do nothing: what failed was said."""


class LineWatcher:
    """Writes a line a minute, and a summary of each input; for log files, where a progress bar is of no use.

    Args:
        console: Where to.
        verbose: Whether summaries say how long each stage took.
    """

    def __init__(self, console: Console, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose
        self.inputs = self.finished = 0
        self.together = False
        self.name = ""
        self.frames = 0
        self.expected: int | None = None
        self.started = self.said = time.perf_counter()

    def plan(self, inputs: int, together: bool = False) -> None:
        """Note how many inputs there will be."""
        self.inputs, self.together = inputs, together

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Begin to count."""
        self.name, self.frames, self.expected = source.name, 0, expected
        self.started = self.said = time.perf_counter()

    def seen(self, result: Result) -> None:
        """Count a frame."""
        self.advance(1, 0)

    def advance(self, frames: int, people: int) -> None:
        """Count frames, and write a line if a minute has passed."""
        self.frames += frames
        now = time.perf_counter()
        if now - self.said >= LINE_S:
            self.said = now
            self.console.print(self.progress_line(now - self.started), soft_wrap=True)

    def progress_line(self, seconds: float) -> str:
        """Return a line that says how far the input is.

        Args:
            seconds: How long it has taken so far.
        """
        rate = self.frames / max(seconds, 1e-9)
        place = "" if self.together else self.place
        if self.expected is None or self.expected < self.frames:
            return f"{place}{self.name}: {self.frames} frames, {rate:.1f} frames/s"
        left = (self.expected - self.frames) / max(rate, 1e-9)
        return (
            f"{place}{self.name}: {self.frames} of {self.expected} frames ({self.frames / self.expected:.0%}), "
            f"{rate:.1f} frames/s, {duration(left)} left"
        )

    @property
    def place(self) -> str:
        """The number of the present input, if there are several."""
        return f"[{self.finished + 1} of {self.inputs}] " if self.inputs > 1 else ""

    def end(self, summary: Summary) -> None:
        """Write the summary of the input."""
        for name, reason in summary.failed:
            self.console.print(f"{self.place}{_failure(name, reason)}", style="red", soft_wrap=True)
        if summary.outputs:
            headline, *more = summary.lines(self.verbose)
            for line in (f"{self.place}{headline}", *more):
                self.console.print(line, soft_wrap=True)
        self.finished += 1

    def done(self, summaries: Sequence[Summary], status: int, *lines: str) -> None:
        """Write the totals of several inputs, and once more what failed."""
        for line in lines:
            self.console.print(line, soft_wrap=True)
        if self.inputs < 2:
            return
        failed = [entry for summary in summaries for entry in summary.failed]
        faulty = sum(bool(summary.failed) for summary in summaries)
        frames = sum(summary.frames for summary in summaries)
        total = f"{len(summaries)} inputs: {len(summaries) - faulty} done, {faulty} failed; {count(frames, 'frame')}"
        self.console.print(total, soft_wrap=True)
        for name, reason in failed:
            self.console.print(f"  failed: {_failure(name, reason)}", style="red", soft_wrap=True)


class TerminalWatcher(LineWatcher):
    """Shows a progress bar, then a summary."""

    def __init__(self, console: Console, verbose: bool = False) -> None:
        super().__init__(console, verbose)
        self.progress: Progress | None = None

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Show the progress bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        super().begin(source, expected)
        name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        rest = [Column(no_wrap=True) for _ in range(3)]
        self.progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False, table_column=name),
            BarColumn(bar_width=16),
            MofNCompleteColumn(table_column=rest[0]),
            TextColumn("{task.fields[rate]}", table_column=rest[1]),
            TimeRemainingColumn(compact=True, table_column=rest[2]),
            console=self.console,
            transient=True,
            expand=True,
        )
        place = "" if self.together else self.place
        self.progress.add_task(printable(f"{place}{source.name}"), total=expected, rate="")
        self.progress.start()

    def advance(self, frames: int, people: int) -> None:
        """Advance the bar."""
        if self.progress is None:
            return
        task = self.progress.tasks[0]
        elapsed = max(task.elapsed or 0.0, 1e-3)
        self.progress.update(task.id, advance=frames, rate=f"{(task.completed + frames) / elapsed:.1f}/s")

    def end(self, summary: Summary) -> None:
        """Replace the bar with the summary; of several inputs that run together, write it above the bar."""
        if not self.together or self.finished + 1 == self.inputs:
            self._stop()
        super().end(summary)

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


class JsonWatcher:
    """Writes one JSON object per line to standard error."""

    def __init__(self) -> None:
        self.begun = False
        self.frames = self.people = 0
        self.started = self.reported = time.perf_counter()

    def plan(self, inputs: int, together: bool = False) -> None:
        """Do nothing: the last event has their number."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Report what was opened."""
        self.frames = self.people = 0
        self.started = self.reported = time.perf_counter()
        self.begun = True
        emit_event("begin", source=source.name, frames=expected)

    def seen(self, result: Result) -> None:
        """Count a frame."""
        self.advance(1, len(result.poses))

    def advance(self, frames: int, people: int) -> None:
        """Report progress about once a second."""
        self.frames += frames
        self.people += people
        now = time.perf_counter()
        if now - self.reported >= PROGRESS_S:
            self.reported = now
            elapsed = now - self.started
            emit_event("progress", frames=self.frames, frames_per_s=round(self.frames / elapsed, 2), people=self.people)

    def end(self, summary: Summary) -> None:
        """Report the summary."""
        if not self.begun:
            emit_event("begin", source=summary.name, frames=None)
        self.begun = False
        emit_event(
            "end",
            source=summary.name,
            path=summary.path,
            frames=summary.frames,
            people=summary.people,
            most_people=summary.most,
            ids=summary.ids,
            skipped=summary.skipped,
            unsupported=summary.unsupported,
            corrupt=summary.corrupt,
            failed=[{"input": name, "reason": reason} for name, reason in summary.failed],
            wall_s=round(summary.wall_s, 3),
            seconds={stage: round(seconds, 3) for stage, seconds in summary.seconds.items()},
            outputs=[str(path) for path in summary.outputs],
        )

    def done(self, summaries: Sequence[Summary], status: int, *lines: str) -> None:
        """Report the whole run."""
        for line in lines:
            emit_event("log", level="info", message=line)
        failed = [name for summary in summaries for name, _ in summary.failed]
        emit_event("done", inputs=len(summaries), failed=failed, exit_status=status)


class _JsonHandler(logging.Handler):
    """Writes log records as events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        emit_event("log", level=record.levelname.lower(), message=record.getMessage())


def _failure(name: str, reason: str) -> str:
    """Return the reason, prefixed with the input's name unless it contains it."""
    return reason if name in reason else f"{name}: {reason}"
