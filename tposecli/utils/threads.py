"""The one place with threads: generators run ahead of their readers, work lags behind its givers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

POLL_S: Final = 0.1
"""How soon a reader that waits in another thread notices that it is stopped."""


class Stop(threading.Event):
    """Ends, once set, what was given it, from any thread."""


class AbandonedError(Exception):
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
        depth: How many items may wait or be in the making, at least 1: with 1, the next one is made while the reader
            works on the last.
        name: Name of the thread, for debuggers.
        stop: Ends it from outside, also while the reader waits for an item.
        patience_s: How long to wait for the thread at the end where it may hang in a read that never returns; it is
            then left to end by itself, or with the process. None: as long as it takes.

    Raises:
        Abandoned: ``stop`` was set.
    """
    ahead: _Ahead[T] = _Ahead(max(1, depth))
    thread = threading.Thread(target=_produce, args=(source, ahead), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = ahead.waiting.get() if stop is None else _get(ahead.waiting, stop)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            ahead.room.release()
            yield item
    finally:
        ahead.stopped.set()
        ahead.room.release()
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while thread.is_alive() and (deadline is None or time.monotonic() < deadline):
            thread.join(timeout=0.05)


def in_background(work: Callable[[], object], name: str) -> None:
    """Do something short in a thread that ends by itself; the process does not end before."""
    threading.Thread(target=work, name=name).start()


class BackgroundWorker(Generic[T]):
    """Does with each item, in order and in a thread of its own, what is to be done, while the giver goes on.

    What goes wrong there is raised where the next item is given, or at the end; items after it are dropped.
    """

    def __init__(self, work: Callable[[T], object], depth: int, name: str) -> None:
        """Begin.

        Args:
            work: What is to be done with an item.
            depth: How many items may wait, at least 1; the giver waits then.
            name: Name of the thread, for debuggers.
        """
        self._work = work
        self._waiting: queue.Queue[T | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Give an item."""
        self._complain()
        self._waiting.put(item)

    def finish(self) -> None:
        """Wait until all is done; nothing may be given after it."""
        self._waiting.put(_End())
        self._thread.join()
        self._complain()

    def _complain(self) -> None:
        """Raise what went wrong, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        failed = False
        while not isinstance(item := self._waiting.get(), _End):
            if failed:
                continue
            try:
                self._work(item)
            except BaseException as failure:  # noqa: BLE001 - carried to the giver, where it is raised
                self._error, failed = failure, True


class _Ahead(Generic[T]):
    """What the two threads share.

    Attributes:
        waiting: Finished items; ``room`` bounds them, so that putting one here never blocks.
        room: A place for each item that may be made ahead, taken before it is begun.
        stopped: Nobody reads any more.
    """

    def __init__(self, depth: int) -> None:
        self.waiting: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self.room = threading.Semaphore(depth)
        self.stopped = threading.Event()


def _get(waiting: queue.SimpleQueue[T | _End], stop: Stop) -> T | _End:
    """The next item, or ``AbandonedError``."""
    while not stop.is_set():
        try:
            return waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
    raise AbandonedError


def _produce(source: Iterable[T], ahead: _Ahead[T]) -> None:
    """Make items, as many as there is room for, until the source ends, fails, or nobody reads any more."""
    items = iter(source)
    error: BaseException | None = None
    try:
        while ahead.room.acquire() and not ahead.stopped.is_set():
            ahead.waiting.put(next(items))
    except StopIteration:
        pass
    except BaseException as failure:  # noqa: BLE001 - carried to the reader, which raises it
        error = failure
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    ahead.waiting.put(_End(error))
