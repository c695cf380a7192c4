"""Train the pose nets, in a loop that can be stopped at any time and resumes exactly where it stopped."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.inference.backends.cpu import keep_memory
from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.inference.runtime import Runtime
from tposecli.lab.training.batches import Batch, Batches, SamplingConfig, stream
from tposecli.lab.training.data_sources import (
    DataSource,
    ReadOptions,
    ValidationSet,
    digest_of,
    read_checks,
    read_sources,
)
from tposecli.lab.training.distributed import StopRequest, Team, join_team
from tposecli.lab.training.init_weights import load_initial_weights
from tposecli.lab.training.job import PoseJob
from tposecli.lab.training.log import MetricsLog
from tposecli.lab.training.shared import LogCallback, check_new_run, save_weights
from tposecli.lab.training.state import TrainingState
from tposecli.lab.training.validation import ValidationMetrics, measure
from tposecli.models import build, find_spec
from tposecli.models.pose_net import PoseNet
from tposecli.pipeline.summary import count
from tposecli.utils.errors import UsageError
from tposecli.utils.version import __version__

WEIGHTS = "last.safetensors"
BEST = "best.safetensors"


def train(job: PoseJob, log: LogCallback) -> Path:
    """Run a job to its end and return the path of the weights.

    Args:
        job: What to train, and how.
        log: Receives the progress lines, in the main process only.

    Raises:
        UsageError: The options contradict each other, or the folder already holds a run.
        InputError: The data cannot be used, or there is nothing to resume from.
        WeightsError: The initial weights cannot be loaded.
    """
    keep_memory()
    with join_team(job.device) as team:
        if not team.is_main:
            log = _discard
        resumed = check_new_run(job.out, (WEIGHTS, BEST, "metrics.csv", "curves.png"), job.resume)
        team.barrier()  # No process may write before all have looked.
        job = replace(job, resume=resumed)
        job.out.mkdir(parents=True, exist_ok=True)
        run = _Run(job, team, _read_data(job, team, log), log)
        with StopRequest() as stop, exact_float32_matmul(team.device):
            run.run(stop)
        log(f"weights: {job.out / WEIGHTS}")
        return job.out / WEIGHTS


def _discard(_: str) -> None:
    """Drop a progress line: only the main process reports."""


_Data = tuple[KeypointLayout, tuple[DataSource, ...], tuple[ValidationSet, ...]]


def _read_data(job: PoseJob, team: Team, log: LogCallback) -> _Data:
    """Return the keypoints, the sources and the validation sets.

    The main process reads first and checks all images; the others then find its record of readable images.
    """
    height, width = job.input_hw or find_spec(job.model).input_hw
    wh = round(width * 4 / 3), round(height * 4 / 3)
    options = ReadOptions(
        job.coco, job.rendered or job.out / "rendered", wh, job.out / "pictures.json", job.weak_nose, job.strict
    )
    if not team.is_main:
        team.barrier()
    layout, sources = read_sources(job.data, options, log)
    checks = read_checks(job.check, layout, options, log)
    if team.is_main:
        team.barrier()
    return layout, sources, checks


class _Run:
    """A run in progress."""

    def __init__(self, job: PoseJob, team: Team, data: _Data, log: LogCallback) -> None:
        self.job, self.team, self.log = job, team, log
        self.layout, self.sources, self.checks = data
        self.spec = find_spec(job.model)
        size = job.input_hw or self.spec.input_hw
        self.sampling = SamplingConfig(self.sources, self.layout, size, job.augmentation, job.batch, job.seed)
        self.state = TrainingState(self._initial_net(), job.recipe, team, job.seed)
        self.best = -1.0
        self._data_digest = digest_of(self.sources)
        if job.resume:
            self._resume()
        self.metrics = MetricsLog(job.out, self.state.step) if team.is_main else None
        self.steps = self._total_steps()

    def run(self, stop: StopRequest) -> None:
        """Train to the end, or until a stop is requested; the state is saved either way."""
        state, team = self.state, self.team
        clock = _Clock(state.step, state.seconds)
        epoch = self.sampling.epoch
        self.log(f"{self._position()}, {count(len(self.sources), 'source')}, {epoch} samples per epoch, {team.device}")
        with closing(self._batches()) as batches:
            while self._progress() < 1 and not stop.number:
                with clock:
                    state.advance(next(batches), self._progress())
                state.seconds, stopped = team.all_reduce_max(clock.seconds(), bool(stop.number))
                ended = self._progress() >= 1
                if state.step % self.job.every.log_steps == 0 or ended:
                    self._report(clock.speed(state.step) * self.job.batch * team.size)
                if self._validation_due(clock) or ended:
                    self._validate()
                    clock.validated = state.seconds
                if stopped or ended or state.seconds - clock.saved > self.job.every.save_minutes * 60:
                    self._save()
                    clock.saved = state.seconds
                if stopped:
                    self.log(f"stopped at step {state.step}; run the same command with --resume to continue")
                    break
        stop.raise_signal()

    def _batches(self) -> Generator[Batch]:
        """Return this process's batches from the current step on."""
        team, first = self.team, self.state.step
        numbers = range(team.rank + first * team.size, sys.maxsize // 2, team.size)
        return stream(Batches(self.sampling), numbers, self.job.workers, team.device.type == "cuda")

    def _initial_net(self) -> PoseNet:
        """Return the net with its initial weights; random ones are drawn from the job's seed."""
        torch.manual_seed(self.job.seed)
        net = build(self.job.model, self.job.input_hw, len(self.layout.names))
        if self.job.resume:
            return net
        if self.job.init is None:
            self.log("starting from random weights; the authors start from ImageNet weights: --init imagenet")
        else:
            self.log(load_initial_weights(net, self.spec, self.job.init, self.job.downloads, self._first_crops))
        return net

    def _first_crops(self, count: int) -> Tensor:
        """Return the first ``count`` crops of the run."""
        batches = Batches(self.sampling)
        return torch.cat([batches[number].crops for number in range(-(-count // self.job.batch))])[:count]

    def _resume(self) -> None:
        """Restore the state from the checkpoint, and report which options of the job have changed."""
        old, new = self.state.load(self.job.out), self.job.to_dict()
        self.best = float(old.pop("best_figure"))
        if old.pop("data_digest", self._data_digest) != self._data_digest:
            raise UsageError(
                f"{self.job.out}: --resume continues on the data that the run began with, and --data names other "
                "people now; name the same data, or start a new run with another --output and --init"
            )
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        self.log(f"resuming at step {self.state.step}")
        if changed:
            self.log(f"options changed since the checkpoint was written: {', '.join(changed)}")

    def _total_steps(self) -> int | None:
        """Return the length of the run in steps; None if it is given in minutes."""
        length = self.job.length
        if length.steps is not None or length.minutes is not None:
            return length.steps
        return max(1, math.ceil(length.epochs * self.sampling.epoch / (self.job.batch * self.team.size)))

    def _progress(self) -> float:
        """Return the share of the run that is done, 0..1."""
        if self.steps is not None:
            return self.state.step / self.steps
        return self.state.seconds / ((self.job.length.minutes or 0) * 60)

    def _position(self) -> str:
        state = self.state
        total = f"/{self.steps}" if self.steps else f" ({self._progress():.0%})"
        return f"step {state.step}{total}  {state.seconds / 60:.1f} min"

    def _report(self, speed: float) -> None:
        """Write a row of the metrics and a progress line."""
        loss, norm = self.state.pop_means()
        if self.metrics is not None:
            self.metrics.add_loss(self.state.step, self.state.seconds / 60, self.state.rate, (loss, norm, speed))
        left = self.state.seconds * (1 / max(self._progress(), 1e-9) - 1) / 60
        rate = f"rate {self.state.rate:.2e}"
        self.log(f"{self._position()}  loss {loss:.6f}  {rate}  {speed:.0f} samples/s  {left:.0f} min left")

    def _validation_due(self, clock: _Clock) -> bool:
        every = self.job.every
        if every.check_steps is not None:
            return self.state.step % every.check_steps == 0
        return self.state.seconds - clock.validated > every.check_minutes * 60

    def _validate(self) -> None:
        """Measure the averaged weights on every validation set; save them if they are the best so far."""
        if self.metrics is None:
            return
        runtime = Runtime.resolve(str(self.team.device))
        results: list[ValidationMetrics] = []
        for check in self.checks:
            result = measure(self.state.averaged_net, runtime, check)
            self.metrics.add_check(self.state.step, self.state.seconds / 60, check.name, result)
            self.log(result.line(check.name))
            results.append(result)
        figure = getattr(results[0], self.job.best) if results else None
        if figure is not None and figure > self.best:
            self.best = float(figure)
            save_weights(self.state.averaged_net, self.job.out / BEST, self._metadata())
        self.metrics.plot()

    def _save(self) -> None:
        """Write the checkpoint and the averaged weights."""
        if self.team.is_main:
            self.state.save(
                self.job.out, {**self.job.to_dict(), "best_figure": self.best, "data_digest": self._data_digest}
            )
            save_weights(self.state.averaged_net, self.job.out / WEIGHTS, self._metadata())

    def _metadata(self) -> dict[str, str]:
        """Return the metadata of the weights file, with all values as JSON."""
        facts = {"tool": f"tposecli {__version__}", "model": self.spec.name, "input_hw": self.state.net.input_hw}
        known = {**facts, "step": self.state.step, **self.layout.to_dict()}
        return {key: json.dumps(value) for key, value in known.items()}


class _Clock:
    """The clock of a run, interruptions not counted; as a context manager, it times the steps.

    Attributes:
        saved: When the last checkpoint was written, seconds.
        validated: When the last validation ended, seconds.
    """

    def __init__(self, step: int, seconds: float) -> None:
        self.saved = self.validated = seconds
        self._began = time.monotonic() - seconds
        self._step, self._busy, self._entered = step, 0.0, 0.0

    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def speed(self, step: int) -> float:
        """Return the steps per second since the last call, time outside the steps not counted."""
        speed = (step - self._step) / max(self._busy, 1e-9)
        self._step, self._busy = step, 0.0
        return speed

    def __enter__(self) -> None:
        self._entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._busy += time.monotonic() - self._entered
