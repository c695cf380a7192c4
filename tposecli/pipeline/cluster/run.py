"""Run jobs on a cluster: connect, plan, submit a few more than there is room for, collect."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from tposecli.hub.download.options import Downloads, no_progress
from tposecli.hub.remote import is_stored, is_web
from tposecli.pipeline.cluster.options import ClusterOptions
from tposecli.pipeline.cluster.worker import Answer, Board, differences, look, run_step, versions
from tposecli.pipeline.job import AnyJob, ImagesJob, Settings, VideoJob
from tposecli.pipeline.outputs import needs_attention
from tposecli.pipeline.segments.draw import pieces_of
from tposecli.pipeline.segments.images import of_images
from tposecli.pipeline.segments.nodes import plan_images
from tposecli.pipeline.segments.parts import check_parts, forget
from tposecli.pipeline.segments.steps import Step, Steps
from tposecli.pipeline.segments.workers import RunWatcher
from tposecli.pipeline.session import Session
from tposecli.pipeline.summary import Summary, count
from tposecli.sinks.destination import STDOUT
from tposecli.sources import ImageList
from tposecli.sources.locations import camera_number, is_stdin
from tposecli.types import SourceInfo
from tposecli.utils.errors import UsageError
from tposecli.utils.telemetry import block_telemetry

log = logging.getLogger("tposecli")

Job = TypeVar("Job", VideoJob, ImagesJob)

AHEAD: Final = 2
"""Tasks that are submitted, for each that there is room for."""

POLL_S: Final = 0.5
THREADS: Final = 1
"""CPU threads of the net of one job if not said otherwise: many jobs at a time use all cores better."""

CONNECT_S: Final = 5.0

MEMORY: Final = 1 << 30
"""Bytes that a job is taken to need before the first has shown what it takes."""
MARGIN: Final = 1.2


@dataclass(eq=False)
class _Cluster:
    """A connection, and what is known of the nodes.

    Attributes:
        ray: The package.
        options: How jobs are placed.
        gpus: GPUs of a job.
        threads: CPUs of a job.
        board: Handle of the :class:`Board`.
        refused: Ray's ids of the nodes that are not as planned.
        memory: Bytes that a job takes.
    """

    ray: Any
    options: ClusterOptions
    gpus: float
    threads: int
    board: Any
    refused: set[str] = field(default_factory=set)
    memory: int = MEMORY

    def task(self, function: Any) -> Any:
        """Return a task that is placed where there is room for a job, on a node that is as planned."""
        most = max((int(node["Resources"].get("memory", 0)) for node in self.nodes()), default=0)
        placed: dict[str, Any] = {"num_cpus": self.threads, "num_gpus": self.gpus}
        placed["memory"] = min(self.memory, most) or None
        if self.refused:
            placed["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self.refused))})"}
        retried = {"max_retries": self.options.retries, "retry_exceptions": False}
        return self.ray.remote(**placed, **retried, scheduling_strategy="SPREAD")(function)

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that live and are as planned."""
        return [node for node in self.ray.nodes() if node["Alive"] and node["NodeID"] not in self.refused]

    def room(self) -> int:
        """Return the number of jobs that run at a time."""
        rooms = [int(node["Resources"].get("CPU", 0) // self.threads) for node in self.nodes()]
        if self.gpus:
            per_node = zip(rooms, self.nodes(), strict=True)
            rooms = [min(room, int(node["Resources"].get("GPU", 0) / self.gpus)) for room, node in per_node]
        return max(1, sum(rooms))


def run_on_cluster(
    jobs: Sequence[VideoJob], settings: Settings, options: ClusterOptions, watcher: RunWatcher
) -> list[Summary]:
    """Run jobs on the nodes of a cluster, and return what each did, in order.

    All jobs are checked before the first one begins. Files that are not in stores must be on a disk that all nodes see.

    Args:
        jobs: Videos, and what to make of them.
        settings: What they have in common.
        options: Which cluster, and how.
        watcher: Receives the progress.

    Raises:
        UsageError: There is no such cluster, Ray is not installed, a job cannot be done, or no node can do it.
        WeightsError: A node cannot load the nets.
    """
    jobs = [_absolute(job) for job in jobs]
    _check(jobs, settings)
    Session(settings).check_videos(jobs)
    for job in jobs:
        check_parts(job, settings.flags, lacks="" if options.segment_s is not None else "--segment")
    with _connected(options, settings) as cluster:
        if settings.flags.overwrite and not settings.flags.resume:
            for job in jobs:
                forget(job.outputs)
        run = _Run(cluster, jobs, Steps(jobs, options.segment_s), settings, watcher)
        return run.run(count(len(jobs), "video"))


def run_images_on_cluster(job: ImagesJob, settings: Settings, options: ClusterOptions, watcher: RunWatcher) -> Summary:
    """Run a job over images on the nodes of a cluster, a share of the images at a time, and return what was done.

    Raises:
        UsageError: As :func:`run_on_cluster`.
        InputError: There are no images.
        WeightsError: A node cannot load the nets.
    """
    job = _absolute(job)
    _check([job], settings)
    threads = settings.inference.model.threads or THREADS
    plan, images = plan_images(job, _of_workers(settings, threads, settings.flags.resume))
    steps = Steps([job])
    steps.planned(steps.next(), plan)
    name = job.title if images is None else count(len(images), "image")
    with _connected(options, settings) as cluster:
        (summary,) = _Run(cluster, [job], steps, settings, watcher, images).run(name, plan.frames)
    return summary


class _Run:
    """The jobs of a run, waiting, running and done."""

    def __init__(
        self,
        cluster: _Cluster,
        jobs: Sequence[AnyJob],
        steps: Steps,
        settings: Settings,
        watcher: RunWatcher,
        images: ImageList | None = None,
    ) -> None:
        self._cluster, self._steps, self._watcher, self._images = cluster, steps, watcher, images
        self._inputs = len(jobs)
        self._settings = _of_workers(settings, cluster.threads, resume=True)
        self._attention = any(needs_attention(job.outputs, settings.files) for job in jobs)
        self._planned = _plan(cluster, self._settings, self._attention)
        self._running: dict[Any, tuple[int, Step]] = {}
        self._count = 0
        self._done: dict[int, Summary] = {}
        self._told = (0, 0)

    def run(self, name: str, expected: int | None = None) -> list[Summary]:
        """Run all jobs.

        Args:
            name: Of all of them.
            expected: Frames or images; None if unknown.
        """
        ray = self._cluster.ray
        self._watcher.begin(SourceInfo(f"{name} on {count(len(self._cluster.nodes()), 'node')}"), expected)
        while self._steps or self._running:
            while self._steps and len(self._running) < AHEAD * self._cluster.room():
                self._submit(self._steps.next())
            ended, _ = ray.wait(list(self._running), timeout=POLL_S)
            self._report()
            for task in ended:
                self._collect(task, *self._running.pop(task))
        return [self._done[number] for number in range(self._inputs)]

    def _submit(self, step: Step) -> None:
        cluster, number = self._cluster, self._count
        self._count += 1
        arguments = (step, number, dict(self._planned.facts), cluster.board, self._attention)
        self._running[cluster.task(run_step).remote(self._settings, *arguments)] = number, step

    def _collect(self, task: Any, number: int, step: Step) -> None:
        cluster = self._cluster
        try:
            answer: Answer = cluster.ray.get(task)
        except cluster.ray.exceptions.RayError as error:
            self._end(step, _lost(step.job, self._last(number), error, cluster.options.retries))
            return
        if answer.differs:
            _refuse(cluster, answer)
            self._steps.again(step)
            return
        cluster.memory = max(cluster.memory, int(answer.memory * MARGIN))
        if answer.plan is not None:
            self._steps.planned(step, answer.plan, pieces_of(answer.plan, self._settings))
        elif answer.summary is not None:
            self._end(step, answer.summary)

    def _end(self, step: Step, summary: Summary) -> None:
        whole = self._steps.done(step, summary)
        if whole is not None:
            whole = of_images(whole, self._images)
            self._done[step.video] = whole
            self._watcher.end(whole)

    def _last(self, number: int) -> Any:
        """Return the last that a task told; None if the board is lost."""
        with suppress(self._cluster.ray.exceptions.RayError):
            return self._cluster.ray.get(self._cluster.board.last.remote(number), timeout=10)
        return None

    def _report(self) -> None:
        """Report the frames and the log of all jobs; nothing if the board is lost."""
        with suppress(self._cluster.ray.exceptions.RayError):
            counts, said = self._cluster.ray.get(self._cluster.board.news.remote(), timeout=10)
            for level, text in said:
                log.log(level, "%s", text)
            frames, people = (sum(each[place] for each in counts.values()) for place in (0, 1))
            self._watcher.advance(max(0, frames - self._told[0]), max(0, people - self._told[1]))
            self._told = max(frames, self._told[0]), max(people, self._told[1])  # A lost job begins again.


def _check(jobs: Sequence[AnyJob], settings: Settings) -> None:
    """Refuse what a cluster cannot do.

    Raises:
        UsageError: It says what.
    """
    if settings.drawing.show:
        raise UsageError("--show: there is no window on a cluster; leave it out")
    for job in jobs:
        if STDOUT in job.outputs.wanted:
            raise UsageError("-: standard output is of this machine; name a file or a folder for a cluster")
        if isinstance(job, VideoJob) and (is_stdin(job.input) or camera_number(job.input) is not None):
            raise UsageError(f"{job.title}: of this machine only; name files that all nodes can read")


def _absolute(job: Job) -> Job:
    """Return a job whose paths mean the same in other folders."""

    def absolute(path: Path) -> Path:
        return path if is_stored(path) else Path(os.path.abspath(path))

    if isinstance(job, ImagesJob):
        remote = (is_stored(text) or is_web(text) for text in job.inputs)
        inputs = (text if there else os.path.abspath(text) for text, there in zip(job.inputs, remote, strict=True))
        return replace(job, inputs=tuple(inputs), outputs=job.outputs.placed(absolute))
    location = absolute(job.input) if isinstance(job.input, Path) else job.input
    return replace(job, input=location, outputs=job.outputs.placed(absolute))


def _of_workers(settings: Settings, threads: int, resume: bool) -> Settings:
    """Return the settings of the tasks, which resume what a lost one has left, and show nothing."""
    choice = settings.inference.model
    downloads = Downloads(choice.downloads.offline, choice.downloads.retry, no_progress)
    inference = replace(settings.inference, model=replace(choice, threads=threads, downloads=downloads))
    return replace(settings, inference=inference, flags=replace(settings.flags, resume=resume))


def _plan(cluster: _Cluster, settings: Settings, attention: bool) -> Answer:
    """Return what results depend on, of the first node that has the versions of this machine; all must be like it.

    Raises:
        UsageError: There is none.
    """
    here = versions()
    log.info("%s of the cluster: loading the nets on one", count(len(cluster.nodes()), "node"))
    while True:
        try:
            found: Answer = cluster.ray.get(cluster.task(look).remote(settings, attention))
        except cluster.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except cluster.ray.exceptions.RayError as error:
            raise UsageError(f"cluster: no node can load the nets ({_words(error)}); see the logs of Ray") from error
        differs = differences(here, {name: found.facts.get(name, "missing") for name in here})
        if not differs:
            cluster.memory = max(cluster.memory, int(found.memory * MARGIN))
            return found
        _refuse(cluster, replace(found, differs=tuple(differs)))


def _refuse(cluster: _Cluster, answer: Answer) -> None:
    """Place no more jobs on a node.

    Raises:
        UsageError: It was the last.
    """
    if answer.node_id not in cluster.refused:
        cluster.refused.add(answer.node_id)
        log.warning(
            "node %s (%s) is refused: %s; %s",
            *(answer.node, answer.node_id[:8], "; ".join(answer.differs), answer.remedy),
        )
    if not cluster.nodes():
        raise UsageError(f"cluster: no node is left that is as planned; {answer.remedy}")


def _lost(job: AnyJob, last: Any, error: Exception, retries: int) -> Summary:
    """Return the summary of a job that its workers did not survive, or that met an error of the program."""
    name = job.title
    lines = " | ".join(last.lines) if last is not None else ""
    where = last.where if last is not None and last.where else "no worker told where"
    tries = count(retries + 1, "try", "tries")
    reason = f"{name}: ended its worker in each of {tries} ({_words(error)}); leave it out, or report it"
    said = f"; last lines ({where}): {lines}" if lines else ""
    return Summary.of_failure(job.name, name, reason + said)


def _words(error: Exception) -> str:
    """Return an error of Ray in a few words."""
    cause = getattr(error, "cause", None)
    text = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
    return (text.splitlines() or [""])[0].partition(" Check ")[0].rstrip(".")[:160] or type(error).__name__


def _check_address(address: str) -> None:
    """Check that something listens at an address, which Ray would wait for.

    Raises:
        OSError: Nothing does.
        ValueError: It has no port.
    """
    if address not in ("auto", "local"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), CONNECT_S).close()


@contextmanager
def _connected(options: ClusterOptions, settings: Settings) -> Iterator[_Cluster]:
    """Connect to a cluster, or start one of this machine.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    block_telemetry()
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise UsageError("--cluster needs Ray; pip install 'tposecli[cluster]', or use --workers") from error
    arguments: dict[str, Any] = {"address": options.address}
    if options.address == "local":
        arguments["include_dashboard"] = False
    try:
        _check_address(options.address)
        ray.init(**arguments, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError, OSError) as error:
        raise UsageError(
            f"--cluster {options.address}: no cluster can be reached ({_words(error)}); start one with ray start, or "
            "use --cluster local"
        ) from error
    try:
        gpus = options.gpus_per_job
        has_gpus = any(node["Resources"].get("GPU") for node in ray.nodes())
        gpus = gpus if gpus is not None else float(has_gpus)
        here = ray.get_runtime_context().get_node_id()
        beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        board = ray.remote(num_cpus=0, scheduling_strategy=beside)(Board).remote()
        yield _Cluster(ray, options, gpus, settings.inference.model.threads or THREADS, board)
    finally:
        ray.shutdown()
