"""Threads: order, errors, early ends, and no thread left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tposecli.utils.threads import BackgroundWorker, ParallelMap, prefetch


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "under-test"]


def test_items_come_in_order() -> None:
    assert list(prefetch(range(100), 3, "under-test")) == list(range(100))
    assert not running()


def test_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = prefetch(source(), 4, "under-test")
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)
    assert not running()


def test_closing_early_closes_the_source_in_its_own_thread() -> None:
    closed: list[str] = []

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    items = prefetch(source(), 2, "under-test")
    next(items)
    items.close()
    assert closed == ["under-test"]
    assert not running()


def test_at_most_depth_items_are_produced_ahead() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = prefetch(source(), 3, "under-test")
    next(items)
    time.sleep(0.2)
    assert len(made) == 1 + 3
    items.close()


def test_next_item_is_produced_while_the_reader_works() -> None:
    begun = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        begun.set()
        yield 1

    items = prefetch(source(), 1, "under-test")
    assert next(items) == 0
    assert begun.wait(10)
    items.close()


def test_source_blocked_by_a_full_buffer_is_closed() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(source(), 1, "under-test")
    next(items)
    time.sleep(0.1)
    items.close()
    assert closed.is_set() and not running()


def test_worker_keeps_the_order_and_finish_waits() -> None:
    done: list[int] = []

    def slowly(item: int) -> None:
        time.sleep(0.002)
        done.append(item)

    behind = BackgroundWorker(slowly, 3, "slow")
    for item in range(20):
        behind.put(item)
    behind.finish()
    assert done == list(range(20))


def test_worker_error_is_raised_once_and_stops_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 2:
            raise ValueError("two")
        done.append(item)

    behind = BackgroundWorker(work, 1, "failing")
    with pytest.raises(ValueError, match="two"):
        for item in range(10):
            behind.put(item)
            time.sleep(0.01)
    behind.finish()
    assert done == [0, 1]
    late = BackgroundWorker(work, 4, "failing at the end")
    late.put(2)
    with pytest.raises(ValueError, match="two"):
        late.finish()


@pytest.mark.parametrize("threads", [1, 3])
def test_parallel_map_keeps_the_order_and_raises(threads: int) -> None:
    parallel = ParallelMap(threads, "squares")

    def square(item: int) -> int:
        time.sleep(0.01 / (item + 1))
        return item * item

    assert parallel(square, range(8)) == [item * item for item in range(8)]
    with pytest.raises(ZeroDivisionError):
        parallel(lambda item: 1 // item, [1, 0, 2])
    assert parallel(square, []) == []
