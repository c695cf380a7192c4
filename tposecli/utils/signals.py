"""Ctrl-C, SIGTERM and SIGHUP: the first signal shuts down in order, a second one exits immediately."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

Handler = Callable[[int, FrameType | None], object]

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

SHOW_CURSOR: Final = b"\x1b[?25h"
"""ANSI sequence; progress bars hide the cursor."""


class Stopped(BaseException):
    """Raised in the main thread when a signal asks the program to end, except inside ``deferred`` blocks.

    Attributes:
        status: Conventional exit status: 128 plus the signal number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def stop_on_signals() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Stopped`; a signal that the parent process ignores stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_stopped)


@contextmanager
def deferred() -> Iterator[None]:
    """Delay a signal that arrives inside the ``with`` block until its end; a second one exits immediately.

    Has no effect outside the main thread: other threads never receive signals.
    """
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if arrived:
            _exit_now(number, frame)
        arrived.append(number)

    before: dict[int, Handler] = {}
    try:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and handler is not _exit_now:
                signal.signal(number, remember)
                before[number] = handler
    except ValueError:  # Handlers can be set in the main thread only.
        pass
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
        if arrived:
            before[arrived[0]](arrived[0], None)


def _raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind the stack so that everything is closed; only a second signal interrupts that."""
    for other in SIGNALS:
        signal.signal(other, _exit_now)
    raise Stopped(number)


def _exit_now(number: int, frame: FrameType | None) -> NoReturn:
    """Exit without joining threads or closing files; whatever is on disk by now stays."""
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(sys.stderr.fileno(), SHOW_CURSOR)
    os._exit(128 + number)
