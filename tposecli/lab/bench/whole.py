"""A whole video run from the start of the process, and how near it comes to what the machine allows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.lab.bench.clock import Spread
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.report import Table
from tposecli.utils.errors import TposeError
from tposecli.utils.system import cores

GOAL: Final = 1.10
"""A run shall take at most so many times what its slowest stage, or all cores together, need."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        wall_s: From the start of the process to the end of the video.
        ready_s: From the start to when everything is loaded and the video is open.
        first_s: From the start to the first finished frame.
        cpu_s: Processor time of all threads after that start-up.
        others_s: Processor time of all other processes meanwhile; None where nobody says.
        stages: Wall time of each stage; those that overlap count in full.
        peak_mib: Most memory of the process.
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
    def after_s(self) -> float:
        """Wall time after the start-up."""
        return self.wall_s - self.ready_s

    @property
    def bound_s(self) -> float:
        """What cannot be beaten: the slowest stage, or all processor time shared by all cores."""
        return max(self.cpu_s / cores(), max(self.stages.values(), default=0.0))

    @property
    def others(self) -> float | None:
        """How many cores other processes held."""
        return None if self.others_s is None else self.others_s / self.after_s


def run_once(video: Path, job: BenchJob, checkpoint: Checkpoint, folder: Path) -> Run:
    """Make a video and JSON of ``video`` in a fresh process.

    Raises:
        TposeError: The run failed; with what it said.
    """
    request: dict[str, Any] = {
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
        raise TposeError(f"the run under measurement failed:\n{done.stderr.strip()[-2000:]}")
    run = Run(**json.loads(done.stdout))
    if run.failed:
        raise TposeError(f"the run under measurement failed: {run.failed[0]}")
    return run


def table(job: BenchJob, video: Path, checkpoint: Checkpoint, folder: Path) -> Table:
    """Several runs, one after the other."""
    runs = [run_once(video, job, checkpoint, folder) for _ in range(max(2, job.rounds // 2))]
    last = runs[-1]
    slowest = max(last.stages, key=lambda stage: last.stages[stage])
    rows = [
        ("everything loaded, s", _of(run.ready_s for run in runs)),
        ("first frame finished, s", _of(run.first_s for run in runs)),
        ("all finished, s", _of(run.wall_s for run in runs)),
        ("frames/s after start-up", _of(run.frames / run.after_s for run in runs)),
        ("people/s after start-up", _of(run.people / run.after_s for run in runs)),
        ("CPU seconds after start-up", _of(run.cpu_s for run in runs)),
        (f"slowest stage ({slowest}), s", _of(max(run.stages.values()) for run in runs)),
        (f"wall after start-up / max(slowest stage, CPU / {cores()} cores)", _of(r.after_s / r.bound_s for r in runs)),
        ("cores taken by other processes", _of_known(run.others for run in runs)),
        ("peak memory of the process, MiB", _of_known(run.peak_mib for run in runs)),
    ]
    notes = [
        f"{last.frames} frames, {last.people} people, {checkpoint.spec.name}; annotated video and JSON; {len(runs)} "
        "runs, each a process of its own.",
        f"The aim for the ratio is {GOAL:.2f}, on a machine that does nothing else.",
    ]
    return Table("video", "A whole video", ("what", "median (quartiles)"), rows, notes)


def _of(values: Any) -> Spread:
    return Spread.of(list(values))


def _of_known(values: Any) -> Spread | None:
    """None if one of them is not known."""
    known: Sequence[float | None] = list(values)
    there = [value for value in known if value is not None]
    return Spread.of(there) if there and len(there) == len(known) else None
