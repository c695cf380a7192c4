"""What runs on the nodes: a task for each step, and one board where all tasks say how far they are."""

from __future__ import annotations

import logging
import os
import platform
import resource
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from tposecli.formats.journal.provenance import describe_model
from tposecli.pipeline.job import Settings
from tposecli.pipeline.segments.nodes import do_step, sees_parts
from tposecli.pipeline.segments.plan import SegmentPlan
from tposecli.pipeline.segments.steps import Step
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary
from tposecli.types import Result, SourceInfo
from tposecli.utils.errors import TposeError, with_notes
from tposecli.utils.version import __version__

PACKAGES: Final = ("torch", "numpy", "av", "opencv-python", "openvino", "ray")
"""Packages whose versions results may depend on."""

REPORT_S: Final = 1.0
"""Seconds between two reports of a task."""

SHARE: Final = "name outputs on a disk that all nodes share, or in a store (s3://)"

LAST_LINES: Final = 5
MAX_FAILED: Final = 50
"""Inputs that a summary names; it travels through the memory of the cluster."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task returns.

    Attributes:
        node: Name of its node.
        node_id: Ray's id of it.
        facts: What its results depend on, by name, see :func:`facts_of`.
        summary: What the job did; None if it did not run.
        plan: The segments of a job, if it was to be cut.
        differs: In what the node differs from the others, in words; it did not run the job then.
        remedy: What to do about that.
        memory: The most bytes that the process has taken.
    """

    node: str
    node_id: str
    facts: Mapping[str, str]
    summary: Summary | None = None
    plan: SegmentPlan | None = None
    differs: tuple[str, ...] = ()
    remedy: str = "install the same everywhere"
    memory: int = 0


@dataclass(slots=True)
class Progress:
    """How far a job is.

    Attributes:
        frames: Frames seen.
        people: People in them.
        where: Node and process.
        lines: The last lines of its log.
    """

    frames: int = 0
    people: int = 0
    where: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


class Board:
    """An actor on the node of the driver; what it holds is lost with that, and is of use for nothing else."""

    def __init__(self) -> None:
        self._progress: dict[int, Progress] = {}
        self._said: list[tuple[int, str]] = []

    def tell(self, number: int, where: str, counts: tuple[int, int], said: str, level: int = 0) -> None:
        """Note how far a job is, and what it said; what has a level is part of the log."""
        found = self._progress.setdefault(number, Progress())
        found.where = where
        found.frames, found.people = counts
        found.lines.append(said)
        if level:
            self._said.append((level, said))

    def news(self) -> tuple[dict[int, tuple[int, int]], list[tuple[int, str]]]:
        """Return the frames and people of all jobs, and what was logged since the last call."""
        said, self._said = self._said, []
        return {number: (each.frames, each.people) for number, each in self._progress.items()}, said

    def last(self, number: int) -> Progress:
        """Return the last that a job said."""
        return self._progress.get(number, Progress())


class Teller(logging.Handler):
    """Watches a job and its log, and tells the board."""

    def __init__(self, board: Any, number: int, name: str) -> None:
        super().__init__(logging.INFO)
        self._board, self._number, self._name = board, number, name
        self._where = f"{platform.node()}, process {os.getpid()}"
        self._frames = self._people = 0
        self._told = time.monotonic()

    def begin_job(self) -> None:
        """Tell that the job has come to this process."""
        self._tell(f"{self._name}: begun")

    def begin(self, source: SourceInfo, expected: int | None) -> None:
        """Note that an input was opened."""
        self._frames = self._people = 0
        self._tell(f"{self._name}: opened")

    def seen(self, result: Result) -> None:
        """Count a frame, and tell of it about once a second."""
        self._frames += 1
        self._people += len(result.poses)
        if time.monotonic() - self._told >= REPORT_S:
            self._tell(f"{self._name}: frame {result.frame.index}")

    def end(self, summary: Summary) -> None:
        """Tell how many frames there were."""
        self._frames, self._people = summary.frames, summary.people
        self._tell(f"{self._name}: ended")

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a line of the log."""
        self._tell(record.getMessage(), record.levelno)

    def _tell(self, said: str, level: int = 0) -> None:
        self._told = time.monotonic()
        counts = self._frames, self._people
        self._board.tell.remote(self._number, self._where, counts, said, level)


def look(settings: Settings, attention: bool) -> Answer:
    """Task: load the nets, and return what the results of this node depend on."""
    return _answer(facts_of(_session(settings), attention))


def run_step(
    settings: Settings, step: Step, number: int, planned: Mapping[str, str], board: Any, attention: bool
) -> Answer:
    """Task: do a step, if this node is as planned; what is wrong with its input is an answer, and no fault.

    Args:
        settings: What all jobs have in common.
        step: What to do.
        number: The number of the task, for the board.
        planned: The facts that the node must have.
        board: Handle of the :class:`Board`.
        attention: Whether any job of the run asks for attention.
    """
    session, job = _session(settings), step.job
    teller = Teller(board, number, job.title)
    log = logging.getLogger("tposecli")
    log.setLevel(logging.INFO)
    log.handlers[:] = [teller]
    log.propagate = False
    teller.begin_job()
    facts = facts_of(session, attention)
    differs = differences(planned, facts)
    if differs:
        return replace(_answer(facts), differs=tuple(differs))
    if step.parts is not None and not sees_parts(step.parts):
        return replace(_answer(facts), differs=(f"{step.parts} is not there",), remedy=SHARE)
    session.watcher = teller
    try:
        done = do_step(step, session)
    except TposeError as error:
        done = Summary.of_failure(job.name, job.title, with_notes(str(error), error))
    finally:
        log.handlers[:] = []
    if isinstance(done, SegmentPlan):
        return replace(_answer(facts), plan=done)
    return replace(_answer(facts), summary=_short(done))


def facts_of(session: Session, attention: bool) -> dict[str, str]:
    """Return what results depend on besides the settings: versions, device, and how the nets are run."""
    nets = session.nets(attention)
    model = {key: str(value) for key, value in describe_model(nets.estimator).items() if key != "calibration"}
    return {**versions(), **model, "detector": nets.detector_options.name, "machine": platform.machine()}


def differences(planned: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return in what a node differs from the plan, in words."""
    names = [name for name in {**planned, **found} if planned.get(name) != found.get(name)]
    return [f"{name} is {found.get(name, 'missing')}, planned {planned.get(name, 'none')}" for name in names]


def _session(settings: Settings) -> Session:
    """Return the session of this process, which keeps the nets from one task to the next."""
    key = repr(settings)
    if key not in _SESSIONS:
        _SESSIONS.clear()
        _SESSIONS[key] = Session(settings)
    return _SESSIONS[key]


_SESSIONS: Final[dict[str, Session]] = {}
"""The only session of this process, by its settings."""


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python, and of the packages that results may depend on."""
    found = {"tposecli": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _answer(facts: Mapping[str, str]) -> Answer:
    import ray

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Answer(platform.node(), ray.get_runtime_context().get_node_id(), facts, memory=most)


def _short(summary: Summary) -> Summary:
    """Return a summary that names only the first of many inputs that failed."""
    failed = summary.failed
    if len(failed) > MAX_FAILED:
        more = (f"and {len(failed) - MAX_FAILED} more", "see the images that are missing among the outputs")
        failed = [*failed[:MAX_FAILED], more]
    return replace(summary, failed=failed)
