"""Ctrl-C and SIGTERM: the first one ends a run in order, a second one at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

Handler = Callable[[int, FrameType | None], object]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

SHOW_CURSOR: Final = b"\x1b[?25h"
"""A progress line hides the cursor."""


class Stopped(BaseException):
    """A signal asks the program to end: raised in the main thread, wherever that is, but not in ``deferred`` blocks.

    Attributes:
        status: Exit status by convention: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def stop_on_signals() -> None:
    """Turn signals into :class:`Stopped` from now on; one that our parent wants ignored stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _first)


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that arrive in the block take effect at its end: what it does is done whole; a second one is not kept.

    Does nothing in other threads, which never get signals.
    """
    arrived: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        if arrived:
            _at_once(number, frame)
        arrived.append(number)

    before: dict[int, Handler] = {}
    try:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and handler is not _at_once:
                signal.signal(number, keep)
                before[number] = handler
    except ValueError:
        pass
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        if arrived:
            before[arrived[0]](arrived[0], None)


def _first(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind: everything on the way out is closed, and nothing but a second signal disturbs that."""
    for other in SIGNALS:
        signal.signal(other, _at_once)
    raise Stopped(number)


def _at_once(number: int, frame: FrameType | None) -> NoReturn:
    """No waiting for threads, no closing of files; what is on the disk by now stays."""
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(sys.stderr.fileno(), SHOW_CURSOR)
    os._exit(128 + number)
