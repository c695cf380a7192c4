"""Progress of a run as the user sees it: a progress bar, log lines and a summary, or all of it as JSON lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tposecli.cli.terminal import LineHandler, console, emit_event, printable, say, silence_libraries

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from tposecli.pipeline.job import Summary, Watcher
    from tposecli.types import Result, SourceInfo

PROGRESS_S = 1.0
"""Seconds between two progress events."""


def watcher(quiet: bool, log_json: bool, verbose: bool = False) -> Watcher:
    """Return the watcher for the options, and send log lines the same way."""
    chosen: JsonWatcher | QuietWatcher | TerminalWatcher
    handler: logging.Handler
    if log_json or quiet:
        silence_libraries()
    if log_json:
        chosen, handler = JsonWatcher(), _JsonHandler()
    elif quiet:
        chosen, handler = QuietWatcher(), LineHandler(console(stderr=True))
        handler.setLevel(logging.ERROR)
    else:
        screen = console(stderr=True)
        chosen, handler = TerminalWatcher(screen, verbose), LineHandler(screen)
    logger = logging.getLogger("tposecli")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    return chosen


def exit_status(summaries: Sequence[Summary], watcher: Watcher) -> int:
    """Return 1 if an input failed, else 0; JSON lines end with that."""
    status = int(any(summary.failed for summary in summaries))
    if isinstance(watcher, JsonWatcher):
        watcher.done(summaries, status)
    return status


class QuietWatcher:
    """Reports failures only."""

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Do nothing."""

    def seen(self, result: Result) -> None:
        """Do nothing."""

    def end(self, summary: Summary) -> None:
        """Name the inputs that failed."""
        for name, reason in summary.failed:
            say(_failure(name, reason), err=True)


class TerminalWatcher:
    """Shows a progress bar, then a summary."""

    def __init__(self, console: Console, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose
        self.people = 0
        self.progress: Progress | None = None

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Show the progress bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.people = 0
        self.progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.progress.add_task(printable(source.name), total=expected, rate="")
        self.progress.start()

    def seen(self, result: Result) -> None:
        """Advance the bar."""
        if self.progress is None:
            return
        self.people += len(result.poses)
        task = self.progress.tasks[0]
        elapsed = max(task.elapsed or 0.0, 1e-3)
        rate = f"{(task.completed + 1) / elapsed:.1f} frames/s  {self.people / elapsed:.1f} people/s"
        self.progress.update(task.id, advance=1, rate=rate)

    def end(self, summary: Summary) -> None:
        """Replace the bar with the summary."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
        for name, reason in summary.failed:
            self.console.print(_failure(name, reason), style="red", soft_wrap=True)
        if summary.outputs:
            for line in _lines(summary, self.verbose):
                self.console.print(line, soft_wrap=True)


class JsonWatcher:
    """Writes one JSON object per line to standard error."""

    def __init__(self) -> None:
        self.begun = False
        self.frames = self.people = 0
        self.started = self.reported = time.perf_counter()

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Report what was opened."""
        self.frames = self.people = 0
        self.started = self.reported = time.perf_counter()
        self.begun = True
        emit_event("begin", source=source.name, frames=expected)

    def seen(self, result: Result) -> None:
        """Report progress about once a second."""
        self.frames += 1
        self.people += len(result.poses)
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
            skipped=summary.skipped,
            unsupported=summary.unsupported,
            corrupt=summary.corrupt,
            failed=[{"input": name, "reason": reason} for name, reason in summary.failed],
            wall_s=round(summary.wall_s, 3),
            seconds={stage: round(seconds, 3) for stage, seconds in summary.seconds.items()},
            outputs=[str(path) for path in summary.outputs],
        )

    def done(self, summaries: Sequence[Summary], status: int) -> None:
        """Report the whole run."""
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


def _lines(summary: Summary, verbose: bool) -> list[str]:
    """Return the lines of the summary."""
    wall = max(summary.wall_s, 1e-9)
    rates = f"{summary.frames / wall:.1f} frames/s, {summary.people / wall:.1f} people/s"
    lines = [f"{summary.name}: {summary.frames} frames, {summary.people} people in {wall:.1f} s ({rates})"]
    if verbose and summary.seconds:
        lines.append(
            "  time of each stage, which overlap: "
            + ", ".join(f"{name} {spent:.1f} s" for name, spent in summary.seconds.items())
        )
    lost = {
        "skipped, no pictures": summary.skipped,
        "skipped, unsupported image formats": summary.unsupported,
        "corrupt": summary.corrupt,
        "failed": len(summary.failed),
    }
    if any(lost.values()):
        lines.append("  " + ", ".join(f"{count} {what}" for what, count in lost.items() if count))
    return lines + [f"  {path}" for path in summary.outputs]
