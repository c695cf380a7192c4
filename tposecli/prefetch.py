"""The one place with threads: run a generator ahead of the one who reads it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Says that the source is exhausted, or why it stopped."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(source: Iterable[T], depth: int, name: str = "prefetch") -> Generator[T]:
    """Yield the items of ``source`` in order while a thread makes up to ``depth`` of them ahead.

    An exception of the source is raised here, after the items before it. When the reader stops early, for whatever
    reason (``close``, an exception, Ctrl-C), the thread is told, the source is closed in its own thread, and the thread
    is joined: nothing is left running.

    Args:
        source: Anything iterable; it is consumed in the other thread only.
        depth: How many finished items may wait, at least 1.
        name: Name of the thread, for debuggers.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(max(1, depth))
    stopped = threading.Event()
    thread = threading.Thread(target=_produce, args=(source, waiting, stopped), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            _drain(waiting)
            thread.join(timeout=0.05)


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
