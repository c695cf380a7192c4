"""All threads of the package: generators that run ahead of their readers, and background workers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

POLL_S: Final = 0.1
"""How often a waiting reader checks whether it was stopped, in seconds."""


class Stop(threading.Event):
    """Event that ends a prefetch from any thread."""


class AbandonedError(Exception):
    """The prefetch was stopped while its reader waited."""


class _End:
    """Sentinel: the source is exhausted, or failed with ``error``."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(
    source: Iterable[T], depth: int, name: str = "prefetch", stop: Stop | None = None, patience_s: float | None = None
) -> Generator[T]:
    """Yield the items of ``source`` in order while a thread produces up to ``depth`` of them ahead.

    An exception in the source is raised here, after the items before it. When the reader stops early for any reason
    (``close``, an exception, Ctrl-C), the source is closed in its own thread and the thread is joined, so that nothing
    keeps running.

    Args:
        source: Any iterable; it is consumed only in the other thread.
        depth: How many items may be waiting or in production, at least 1; with 1, the next item is produced while the
            reader works on the previous one.
        name: Thread name, for debuggers.
        stop: Ends the iteration from outside, also while the reader waits for an item.
        patience_s: How long to wait for the thread at the end if it may hang in a blocking read; it is then left to end
            by itself, or with the process. None waits as long as it takes.

    Raises:
        AbandonedError: ``stop`` was set.
    """
    ahead: _Buffer[T] = _Buffer(max(1, depth))
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
    """Run a short task in a thread of its own; the process waits for it before it exits."""
    threading.Thread(target=work, name=name).start()


@contextmanager
def repeatedly(work: Callable[[], object], every_s: float, name: str) -> Iterator[None]:
    """Call ``work``, which must not raise, in a thread while the block runs; its end waits for the last call.

    Args:
        work: What to do.
        every_s: Seconds between two calls; more where a call takes longer than a tenth of it.
        name: Thread name, for debuggers.
    """
    ended = threading.Event()

    def run() -> None:
        pause_s = every_s
        while not ended.wait(pause_s):
            begun = time.monotonic()
            work()
            pause_s = max(every_s, 10 * (time.monotonic() - begun))

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class ParallelMap:
    """A map over a fixed number of threads, which are started when they are first needed and then kept."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, name) if threads > 1 else None

    def __call__(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the function's results in the order of the items; its first exception is raised."""
        return list((map if self._pool is None else self._pool.map)(function, items))


class BackgroundWorker(Generic[T]):
    """Processes items in order on a background thread.

    An exception there is raised by the next ``put``, or by ``finish``; items after it are dropped.
    """

    def __init__(self, work: Callable[[T], object], depth: int, name: str) -> None:
        """Start the thread.

        Args:
            work: Called with each item.
            depth: Queue size, at least 1; ``put`` blocks while the queue is full.
            name: Thread name, for debuggers.
        """
        self._work = work
        self._waiting: queue.Queue[T | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue an item."""
        self._raise_failure()
        self._waiting.put(item)

    def finish(self) -> None:
        """Wait until all items are processed; nothing may be put afterwards."""
        self._waiting.put(_End())
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        """Raise the exception of the worker, once."""
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
            except BaseException as failure:  # noqa: BLE001 - raised again by put or finish
                self._error, failed = failure, True


class _Buffer(Generic[T]):
    """State shared by the two threads of a prefetch.

    Attributes:
        waiting: Finished items; bounded by ``room``, so that adding one never blocks.
        room: One permit per item that may be produced ahead, acquired before it is produced.
        stopped: Set when the reader has gone.
    """

    def __init__(self, depth: int) -> None:
        self.waiting: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self.room = threading.Semaphore(depth)
        self.stopped = threading.Event()


def _get(waiting: queue.SimpleQueue[T | _End], stop: Stop) -> T | _End:
    """Return the next item; raise :class:`AbandonedError` when ``stop`` is set."""
    while not stop.is_set():
        try:
            return waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
    raise AbandonedError


def _produce(source: Iterable[T], ahead: _Buffer[T]) -> None:
    """Produce items, as far as there is room, until the source ends or fails, or the reader has gone."""
    items = iter(source)
    error: BaseException | None = None
    try:
        while ahead.room.acquire() and not ahead.stopped.is_set():
            ahead.waiting.put(next(items))
    except StopIteration:
        pass
    except BaseException as failure:  # noqa: BLE001 - raised again by the reader
        error = failure
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    ahead.waiting.put(_End(error))


def running_s() -> dict[str, float]:
    """Return the processor seconds of each thread that runs Python now, by name; nothing where none are known."""
    seconds: dict[str, float] = {}
    for thread in threading.enumerate():
        try:
            taken = time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
        except (AttributeError, OSError):  # Not on this system; or it has ended.
            continue
        seconds[thread.name] = seconds.get(thread.name, 0.0) + taken
    return seconds
