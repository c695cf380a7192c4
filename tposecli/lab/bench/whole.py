"""Measure whole video runs from the start of the process, relative to a lower bound for this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.lab.bench.clock import Spread
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import Table
from tposecli.utils.errors import TposeError
from tposecli.utils.system import cores

TARGET_RATIO: Final = 1.10
"""Target for the run time relative to the lower bound."""


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one run.

    Attributes:
        frames: Number of frames.
        people: Number of people.
        wall_s: From the start of the process to the end of the video.
        ready_s: From the start until everything is loaded and the video is open.
        first_s: From the start until the first finished frame.
        cpu_s: Processor time of all threads after start-up.
        others_s: Processor time of all other processes after start-up; None if unknown.
        stages: Wall time of each stage; overlapping stages count in full.
        failed: Error messages of failed videos.
        peak_mib: Peak memory of the process; None if unknown.
    """

    frames: int
    people: int
    wall_s: float
    ready_s: float
    first_s: float
    cpu_s: float
    others_s: float | None
    stages: dict[str, float]
    failed: list[str]
    peak_mib: float | None

    @property
    def running_s(self) -> float:
        """The wall time after start-up."""
        return self.wall_s - self.ready_s

    @property
    def lower_bound_s(self) -> float:
        """The lower bound of the run time: the slowest stage, or the processor time shared by all cores."""
        return max(self.cpu_s / cores(), max(self.stages.values(), default=0.0))

    @property
    def other_cores(self) -> float | None:
        """The number of cores used by other processes; None if unknown."""
        return None if self.others_s is None else self.others_s / self.running_s


def run_once(video: Path, job: BenchJob, checkpoint: Checkpoint, folder: Path) -> Run:
    """Process ``video`` to a video and JSON in a new process.

    Raises:
        TposeError: The run failed; the message holds its output.
    """
    facts = measured_child(video, job, checkpoint, folder)
    return Run(**{field.name: facts[field.name] for field in fields(Run)})


def measured_child(video: Path, job: BenchJob, checkpoint: Checkpoint, folder: Path, **request: Any) -> dict[str, Any]:
    """Process ``video`` in a new process, and return what :mod:`tposecli.lab.bench.child` says of it.

    Args:
        video: The video.
        job: The configuration.
        checkpoint: The model.
        folder: Where its outputs go.
        request: What else to ask for.

    Raises:
        TposeError: The run failed; the message holds its output.
    """
    request |= {
        "video": str(video.resolve()),
        "output": str((folder / "whole.mp4").resolve()),
        "model": checkpoint.spec.name,
        "weights": str(checkpoint.path.resolve()),
        "device": job.device,
        "started": time.time(),
    }
    command = [sys.executable, "-m", "tposecli.lab.bench.child"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise TposeError(f"the measured run failed; its error was: {reason}")
    facts: dict[str, Any] = json.loads(done.stdout)
    if facts["failed"]:
        raise TposeError(f"the measured run failed; its error was: {facts['failed'][0]}")
    return facts


def table(job: BenchJob, video: Path, checkpoint: Checkpoint, folder: Path) -> Table:
    """Measure several runs, one after another."""
    runs = [run_once(video, job, checkpoint, folder) for _ in range(max(2, job.rounds // 2))]
    last = runs[-1]
    slowest = max(last.stages, key=lambda stage: last.stages[stage])
    rows = [
        ("everything loaded, s", _spread(run.ready_s for run in runs)),
        ("first frame finished, s", _spread(run.first_s for run in runs)),
        ("all finished, s", _spread(run.wall_s for run in runs)),
        ("frames/s after start-up", _spread(run.frames / run.running_s for run in runs)),
        ("people/s after start-up", _spread(run.people / run.running_s for run in runs)),
        ("CPU seconds after start-up", _spread(run.cpu_s for run in runs)),
        (f"slowest stage ({slowest}), s", _spread(max(run.stages.values()) for run in runs)),
        (
            f"wall after start-up / max(slowest stage, CPU / {cores()} cores)",
            _spread(r.running_s / r.lower_bound_s for r in runs),
        ),
        ("cores taken by other processes", Spread.if_known(run.other_cores for run in runs)),
        ("peak memory of the process, MiB", Spread.if_known(run.peak_mib for run in runs)),
    ]
    notes = [
        f"{last.frames} frames, {last.people} people, {checkpoint.spec.name}; annotated video and JSON; {len(runs)} "
        "runs, each in its own process.",
        f"The target for the ratio is {TARGET_RATIO:.2f} on an otherwise idle machine.",
    ]
    return Table("video", "A whole video", ("what", "median (quartiles)"), rows, notes)


def _spread(values: Any) -> Spread:
    return Spread.of(list(values))
