"""The one place with threads: run a generator ahead of the one who reads it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

POLL_S: Final = 0.1
"""How soon a reader that waits in another thread notices that it is stopped."""


class Stop(threading.Event):
    """Ends, once set, what was given it, from any thread."""


class Abandoned(Exception):
    """The reader was told to stop while it waited."""


class _End:
    """Says that the source is exhausted, or why it stopped."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(
    source: Iterable[T], depth: int, name: str = "prefetch", stop: Stop | None = None, patience_s: float | None = None
) -> Generator[T]:
    """Yield the items of ``source`` in order while a thread makes up to ``depth`` of them ahead.

    An exception of the source is raised here, after the items before it. When the reader stops early, for whatever
    reason (``close``, an exception, Ctrl-C), the thread is told, the source is closed in its own thread, and the thread
    is joined: nothing is left running.

    Args:
        source: Anything iterable; it is consumed in the other thread only.
        depth: How many finished items may wait, at least 1.
        name: Name of the thread, for debuggers.
        stop: Ends it from outside, also while the reader waits for an item.
        patience_s: How long to wait for the thread at the end where it may hang in a read that never returns; it is
            then left to end by itself, or with the process. None: as long as it takes.

    Raises:
        Abandoned: ``stop`` was set.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(max(1, depth))
    stopped = threading.Event()
    thread = threading.Thread(target=_produce, args=(source, waiting, stopped), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get() if stop is None else _get(waiting, stop)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while thread.is_alive() and (deadline is None or time.monotonic() < deadline):
            _drain(waiting)
            thread.join(timeout=0.05)


def _get(waiting: queue.Queue[T | _End], stop: Stop) -> T | _End:
    """The next item, or ``Abandoned``."""
    while not stop.is_set():
        try:
            return waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
    raise Abandoned


def _produce(source: Iterable[T], waiting: queue.Queue[T | _End], stopped: threading.Event) -> None:
    """Fill the queue until the source ends, fails, or nobody reads any more."""
    items = iter(source)
    error: BaseException | None = None
    try:
        while not stopped.is_set():
            waiting.put(next(items))
    except StopIteration:
        pass
    except BaseException as failure:  # noqa: BLE001 - carried to the reader, which raises it
        error = failure
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    waiting.put(_End(error))


def _drain(waiting: queue.Queue[T | _End]) -> None:
    """Throw away what waits, so that a blocked producer can go on and notice that it was stopped."""
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        return
