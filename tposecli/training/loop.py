"""The pose nets' training: a loop that can be stopped at any time and goes on exactly where it was."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.inference.backends.cpu import keep_memory
from tposecli.inference.backends.matmul_precision import float32_products
from tposecli.inference.runtime import Runtime
from tposecli.models import build, find_spec
from tposecli.models.pose_net import PoseNet
from tposecli.training.batches import Batch, Batches, Drawing, stream
from tposecli.training.checkpoint import CHECKPOINT
from tposecli.training.data_sources import DataSource, Reading, ValidationSet, read_checks, read_sources
from tposecli.training.distributed import StopRequest, Team, joined
from tposecli.training.init_weights import start_from
from tposecli.training.job import PoseJob
from tposecli.training.log import Log
from tposecli.training.state import State, save_weights
from tposecli.training.validation import ValidationMetrics, measure
from tposecli.utils.errors import UsageError
from tposecli.utils.version import __version__

Say = Callable[[str], None]
WEIGHTS = "last.safetensors"
BEST = "best.safetensors"


def train(job: PoseJob, say: Say) -> Path:
    """Run a job to its end and return the weights' path; ``say`` is told how it goes.

    Raises:
        UsageError: The job contradicts itself, or a run lies in its folder already.
        InputError: The data cannot be used, or there is nothing to resume from.
        WeightsError: The weights to start from cannot be had.
    """
    keep_memory()
    with joined(job.device) as team:
        speak = say if team.chief else _silent
        if not job.resume and (job.out / CHECKPOINT).exists():
            raise UsageError(f"{job.out}: holds a run already; add --resume to go on with it, or choose another --out")
        job.out.mkdir(parents=True, exist_ok=True)
        layout, sources, checks = _data(job, team, speak)
        run = _Run(job, team, (layout, sources, checks), speak)
        with StopRequest() as stop, float32_products(team.device):
            run.go(stop)
        speak(f"weights: {job.out / WEIGHTS}")
        return job.out / WEIGHTS


def _data(
    job: PoseJob, team: Team, say: Say
) -> tuple[KeypointLayout, tuple[DataSource, ...], tuple[ValidationSet, ...]]:
    """Sources and checks; the first process looks at the pictures, the others rely on that."""
    height, width = job.input_hw or find_spec(job.model).input_hw
    wh = round(width * 4 / 3), round(height * 4 / 3)
    how = Reading(
        job.coco, job.rendered or job.out / "rendered", wh, job.out / "pictures.json", job.weak_nose, job.strict
    )
    if not team.chief:
        team.wait()
    layout, sources = read_sources(job.data, how, say)
    checks = read_checks(job.check, layout, how, say)
    if team.chief:
        team.wait()
    return layout, sources, checks


def _silent(_: str) -> None:
    """What the other processes say."""


class _Run:
    """A run in progress."""

    def __init__(
        self,
        job: PoseJob,
        team: Team,
        data: tuple[KeypointLayout, tuple[DataSource, ...], tuple[ValidationSet, ...]],
        say: Say,
    ) -> None:
        self.job, self.team, self.say = job, team, say
        self.layout, self.sources, self.checks = data
        self.spec = find_spec(job.model)
        size = job.input_hw or self.spec.input_hw
        self.drawing = Drawing(self.sources, self.layout, size, job.augmentation, job.batch, job.seed)
        self.state = State(self._net(), job.recipe, team, job.seed)
        self.best = -1.0
        if job.resume:
            self._resume()
        self.log = Log(job.out, self.state.step) if team.chief else None
        self.steps = self._steps()

    def go(self, stop: StopRequest) -> None:
        """From here to the end, or to Ctrl-C; the state is saved either way."""
        state, team = self.state, self.team
        pace = _Pace(state.step, state.seconds)
        self.say(f"{self._where()}, {len(self.sources)} sources, {self.drawing.epoch} samples an epoch, {team.device}")
        with closing(self._batches()) as batches:
            while self._progress() < 1 and not stop.number:
                with pace:
                    state.advance(next(batches), self._progress())
                state.seconds, stopped = team.agree(pace.clock(), bool(stop.number))
                ended = self._progress() >= 1
                if state.step % self.job.every.log_steps == 0 or ended:
                    self._report(pace.speed(state.step) * self.job.batch * team.size)
                if self._check_due(pace) or ended:
                    self._check()
                    pace.checked = state.seconds
                if stopped or ended or state.seconds - pace.saved > self.job.every.save_minutes * 60:
                    self._save()
                    pace.saved = state.seconds
                if stopped:
                    self.say(f"stopped at step {state.step}; the same command with --resume goes on from here")
                    break
        stop.raise_signal()

    def _batches(self) -> Generator[Batch]:
        """This process's batches from the next step on."""
        team, first = self.team, self.state.step
        numbers = range(team.rank + first * team.size, sys.maxsize // 2, team.size)
        return stream(Batches(self.drawing), numbers, self.job.workers, team.device.type == "cuda")

    def _net(self) -> PoseNet:
        """The net to be trained, with the weights to start from; random ones depend on the seed."""
        torch.manual_seed(self.job.seed)
        net = build(self.job.model, self.job.input_hw, len(self.layout.names))
        if self.job.resume:
            return net
        if self.job.init is None:
            self.say("begun from random weights; the authors start from ImageNet's: --init imagenet")
        else:
            self.say(start_from(net, self.spec, self.job.init, self.job.downloads, self._crops))
        return net

    def _crops(self, count: int) -> Tensor:
        """The first crops that will be learnt from."""
        batches = Batches(self.drawing)
        return torch.cat([batches[number].crops for number in range(-(-count // self.job.batch))])[:count]

    def _resume(self) -> None:
        """Go on from the checkpoint, and say what of the job has changed."""
        old, new = self.state.load(self.job.out), self.job.facts()
        self.best = float(old.pop("best_figure"))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        self.say(f"going on from step {self.state.step}")
        if changed:
            self.say(f"not the same run any more: changed {', '.join(changed)}")

    def _steps(self) -> int | None:
        """Length of the run in steps; None where the clock decides."""
        length = self.job.length
        if length.steps is not None or length.minutes is not None:
            return length.steps
        return max(1, math.ceil(length.epochs * self.drawing.epoch / (self.job.batch * self.team.size)))

    def _progress(self) -> float:
        """Part of the run that is done, 0..1."""
        if self.steps is not None:
            return self.state.step / self.steps
        return self.state.seconds / ((self.job.length.minutes or 0) * 60)

    def _where(self) -> str:
        state = self.state
        whole = f"/{self.steps}" if self.steps else f" ({self._progress():.0%})"
        return f"step {state.step}{whole}  {state.seconds / 60:.1f} min"

    def _report(self, speed: float) -> None:
        """A row of the log and a line."""
        loss, norm = self.state.recent()
        if self.log is not None:
            self.log.loss(self.state.step, self.state.seconds / 60, self.state.rate, (loss, norm, speed))
        left = self.state.seconds * (1 / max(self._progress(), 1e-9) - 1) / 60
        self.say(
            f"{self._where()}  loss {loss:.6f}  rate {self.state.rate:.2e}  {speed:.0f} samples/s  {left:.0f} min left"
        )

    def _check_due(self, pace: _Pace) -> bool:
        every = self.job.every
        if every.check_steps is not None:
            return self.state.step % every.check_steps == 0
        return self.state.seconds - pace.checked > every.check_minutes * 60

    def _check(self) -> None:
        """Measure the averaged weights on every set; keep them if they are the best so far."""
        if self.log is None:
            return
        runtime = Runtime.resolve(str(self.team.device))
        found: list[ValidationMetrics] = []
        for check in self.checks:
            figures = measure(self.state.averaged, runtime, check)
            self.log.check(self.state.step, self.state.seconds / 60, check.name, figures)
            self.say(figures.line(check.name))
            found.append(figures)
        figure = getattr(found[0], self.job.best) if found else None
        if figure is not None and figure > self.best:
            self.best = float(figure)
            save_weights(self.state.averaged, self.job.out / BEST, self._metadata())
        self.log.plot()

    def _save(self) -> None:
        """Write the checkpoint and the averaged weights."""
        if self.team.chief:
            self.state.save(self.job.out, {**self.job.facts(), "best_figure": self.best})
            save_weights(self.state.averaged, self.job.out / WEIGHTS, self._metadata())

    def _metadata(self) -> dict[str, str]:
        """What the weights say of themselves: all values are JSON."""
        facts = {"tool": f"tposecli {__version__}", "model": self.spec.name, "input_hw": self.state.net.input_hw}
        known = {**facts, "step": self.state.step, **self.layout.facts()}
        return {key: json.dumps(value) for key, value in known.items()}


class _Pace:
    """The clock of a run, interruptions not counted; as a context, it takes the time that steps need.

    Attributes:
        saved, checked: When that was last done, seconds.
    """

    def __init__(self, step: int, seconds: float) -> None:
        self.saved = self.checked = seconds
        self._began = time.monotonic() - seconds
        self._step, self._busy, self._entered = step, 0.0, 0.0

    def clock(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def speed(self, step: int) -> float:
        """Steps a second since this was last asked."""
        speed = (step - self._step) / max(self._busy, 1e-9)
        self._step, self._busy = step, 0.0
        return speed

    def __enter__(self) -> None:
        self._entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._busy += time.monotonic() - self._entered
