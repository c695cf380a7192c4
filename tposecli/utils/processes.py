"""All processes of the package: workers that do one task at a time, of which one that dies costs its task only."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Generic, Self, TypeVar

from tposecli.utils.signals import Stopped, stop_on_signals

Task = TypeVar("Task")
Tell = Callable[[Any], None]
"""Sends something small to the process that gave the task."""

Work = Callable[[Task, Tell], Any]
"""Does one task, and returns its answer; it is pickled, and called in another process."""

PATIENCE_S: Final = 20.0
"""Seconds that a worker has for closing its files when all are stopped."""

_TOLD, _DONE = "told", "done"


@dataclass(frozen=True, slots=True)
class Told(Generic[Task]):
    """Something that a worker has told about its task while it goes on."""

    task: Task
    what: Any


@dataclass(frozen=True, slots=True)
class Done(Generic[Task]):
    """The answer of a task."""

    task: Task
    answer: Any


@dataclass(frozen=True, slots=True)
class Died(Generic[Task]):
    """The process that did a task has ended before it.

    Attributes:
        reason: ``SIGKILL``, or ``status 1``.
    """

    task: Task
    reason: str


@dataclass(eq=False, slots=True)
class _Worker(Generic[Task]):
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


@dataclass(eq=False)
class Workers(Generic[Task]):
    """A fixed number of processes, each started with its first task; they end when this process ends, however it does.

    They are started anew rather than forked, since neither torch nor FFmpeg survives a fork. As a context manager it
    stops all of them; they are given time to close their files. A worker never gets Ctrl-C from the terminal.

    Attributes:
        count: How many processes there may be.
        work: What each does with a task.
    """

    count: int
    work: Work[Task]
    _workers: list[_Worker[Task]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(PATIENCE_S)
            worker.process.kill()
            worker.connection.close()

    @property
    def free(self) -> int:
        """How many more tasks can be begun now."""
        return self.count - self.busy

    @property
    def busy(self) -> int:
        """How many tasks are being done."""
        return sum(worker.task is not None for worker in self._workers)

    def begin(self, task: Task) -> None:
        """Give a task to a process that has none."""
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._start()
        worker.task = task
        with suppress(OSError):  # If it has died meanwhile, the next report says so.
            worker.connection.send(task)

    def reports(self) -> list[Told[Task] | Done[Task] | Died[Task]]:
        """Wait until there is something to report, and return it."""
        busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
        return [self._report(busy[found]) for found in wait(list(busy)) if isinstance(found, Connection)]

    def _report(self, worker: _Worker[Task]) -> Told[Task] | Done[Task] | Died[Task]:
        task = worker.task
        assert task is not None
        try:
            kind, what = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._workers.remove(worker)
            worker.connection.close()
            return Died(task, _reason(worker.process.exitcode or 0))
        if kind == _TOLD:
            return Told(task, what)
        worker.task = None
        return Done(task, what)

    def _start(self) -> _Worker[Task]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.work), daemon=True)
        before = signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # The new process inherits that, from its first moment on.
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        worker: _Worker[Task] = _Worker(process, ours)
        self._workers.append(worker)
        return worker


def _reason(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _serve(connection: Connection, work: Work[Any]) -> None:
    """Do one task after the other until the other process has gone, or asks to stop."""
    stop_on_signals()

    def tell(what: Any) -> None:
        connection.send((_TOLD, what))

    try:
        while True:
            task = connection.recv()
            connection.send((_DONE, work(task, tell)))
    except (EOFError, BrokenPipeError, ConnectionResetError, Stopped):
        return
