"""Progress of downloads and unpacking: a bar on standard error, JSON lines, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from tposecli.cli.terminal import console, emit_event, printable

if TYPE_CHECKING:
    from tposecli.hub.download.options import ProgressBar

PROGRESS_S: Final = 1.0
"""Seconds between two JSON lines."""


def bar(quiet: bool, log_json: bool, verb: str = "download") -> ProgressBar:
    """Return the progress bar for the options; ``verb`` is what happens to the file."""
    from tposecli.hub.download.options import no_progress

    if log_json:
        return partial(_json_lines, verb)
    return no_progress if quiet else partial(_terminal, verb)


@contextmanager
def _terminal(verb: str, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar until the transfer ends."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    progress = Progress(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console(stderr=True), transient=True
    )
    with progress:
        task = progress.add_task(printable(f"{verb}ing {label}"), total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _json_lines(verb: str, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Write an event about once a second, and one at the end."""
    reported = time.perf_counter()
    last = 0

    def emit() -> None:
        emit_event(verb, file=label, done_bytes=last, total_bytes=total)

    def tell(done: int) -> None:
        nonlocal reported, last
        last = done
        if time.perf_counter() - reported >= PROGRESS_S:
            reported = time.perf_counter()
            emit()

    yield tell
    emit()
