"""Train the person detector, in a loop that can be interrupted at any time and resumes from its last checkpoint."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tposecli.detection.base import BoxFilter
from tposecli.detection.bundled import BundledDetector, load_person_detector
from tposecli.lab.training.detector.dataset import Photo, PhotoSource
from tposecli.lab.training.detector.loss import Targets, detector_loss
from tposecli.lab.training.detector.scenes import Composer, stack
from tposecli.lab.training.detector.validation import PRECISION, evaluate
from tposecli.lab.training.nanodet import start_from_nanodet
from tposecli.lab.training.schedule import cosine_decay, warm_up
from tposecli.lab.training.shared import (
    WEIGHTS_SUFFIX,
    LogCallback,
    check_new_run,
    moving_average,
    read_checkpoint,
    save_weights,
    write_checkpoint,
)
from tposecli.lab.training.state import autocast_dtype
from tposecli.models.person_detector import PersonDetector
from tposecli.utils.errors import InputError
from tposecli.utils.threads import prefetch

SHAPES = ((320, 320), (384, 256), (256, 384), (448, 256), (416, 320))
"""Widths and heights of training images; one is drawn per batch, and all batches have about as many pixels."""
MEAN_PIXELS = 320 * 320
"""Average number of pixels of a training image."""
WARM_UP = 60
"""Steps over which the learning rate rises."""
FINAL_RATE = 0.01
"""Learning rate at the end, relative to the highest."""
AVERAGING = 0.998
"""Share that the moving average of the weights keeps at each step."""
CLIP = 3.0
"""Largest norm of the gradient: a net without normalisation layers diverges with larger steps."""
BACKBONE_RATE = 0.4
"""Learning rate of all layers but the heads, relative to theirs, if the run starts from trained weights."""
WEIGHTS_NAME = "person-detector.safetensors"


@dataclass(frozen=True)
class DetectorCheck:
    """A set of photos on which the detector is measured during training.

    Attributes:
        name: Name in logs.
        photos: The photos.
    """

    name: str
    photos: tuple[Photo, ...]


@dataclass(frozen=True)
class DetectorJob:
    """The configuration of a training run.

    Attributes:
        sources: Photos to train on.
        checks: Photos to measure on, never used for training.
        out: Folder for the checkpoint, the log and the weights.
        init: NanoDet-g's graph, or weights of this detector, to start from; None for random weights.
        minutes: Length of the run, interruptions not counted; the learning rate decays over it. 0 writes the initial
            weights without training.
        batch: Images per step at ``MEAN_PIXELS`` pixels each; fewer if they are larger.
        rate: Highest learning rate.
        seed: Seeds everything random.
        save_minutes: Time between checkpoints.
        check_minutes: Time between measurements.
        resume: Resume from the checkpoint in ``out``.
    """

    sources: tuple[PhotoSource, ...]
    checks: tuple[DetectorCheck, ...]
    out: Path
    init: Path | None = None
    minutes: float = 100.0
    batch: int = 8
    rate: float = 2e-4
    seed: int = 0
    save_minutes: float = 2.0
    check_minutes: float = 12.0
    resume: bool = False


def train(job: DetectorJob, log: LogCallback) -> Path:
    """Run a job to its end and return the path of the weights.

    Args:
        job: What to train, and how.
        log: Receives the progress lines.

    Raises:
        InputError: There is nothing to resume from.
        WeightsError: The file to start from is neither NanoDet-g's graph nor weights of this detector.
    """
    resumed = check_new_run(job.out, (WEIGHTS_NAME, "log.jsonl"), job.resume)
    job.out.mkdir(parents=True, exist_ok=True)
    run = _Run(job)
    if resumed:
        run.load()
    elif job.init is not None:
        _start_from(run.net, job.init)
        run.average.module.load_state_dict(run.net.state_dict())
        log(f"starting from {job.init}")
    if job.minutes == 0:
        run.save()
        log(measure(job.out / WEIGHTS_NAME, job.checks))
        return job.out / WEIGHTS_NAME
    next_save, next_check = run.seconds + job.save_minutes * 60, run.seconds + job.check_minutes * 60
    for images, targets in prefetch(_batches(job, run.step), 3, "compose"):
        run.advance(images, targets)
        if run.step % 100 == 0:
            log(run.report())
        if run.seconds >= next_save or run.progress >= 1:
            run.save()
            next_save = run.seconds + job.save_minutes * 60
        if run.seconds >= next_check or run.progress >= 1:
            log(measure(job.out / WEIGHTS_NAME, job.checks, job.out / "log.jsonl", run.step))
            next_check = run.seconds + job.check_minutes * 60
        if run.progress >= 1:
            return job.out / WEIGHTS_NAME
    raise InputError("the training data ended before the run did; name more with --data")


def _start_from(net: PersonDetector, path: Path) -> None:
    """Load a graph, or weights of this detector, depending on the suffix."""
    if path.suffix == WEIGHTS_SUFFIX:
        net.load_state_dict(load_person_detector(path).state_dict())
    else:
        start_from_nanodet(net, path)


def _batches(job: DetectorJob, step: int) -> Iterator[tuple[Tensor, Targets]]:
    """Yield batches without end; each depends only on the seed and its step, so a resumed run sees the same ones."""
    compose = Composer(job.sources)
    while True:
        rng = np.random.default_rng([job.seed, step])
        width, height = SHAPES[rng.integers(len(SHAPES))]
        count = max(2, round(job.batch * MEAN_PIXELS / (width * height)))
        images, boxes, real, weight = stack([compose(rng, (width, height)) for _ in range(count)])
        targets = Targets(torch.from_numpy(boxes), torch.from_numpy(real), torch.from_numpy(weight))
        yield torch.from_numpy(images).permute(0, 3, 1, 2), targets
        step += 1


class _Run:
    """The state of a training run."""

    def __init__(self, job: DetectorJob) -> None:
        torch.manual_seed(job.seed)
        self.job = job
        self.net = PersonDetector().to(memory_format=torch.channels_last)
        self.average = moving_average(self.net, AVERAGING, lambda: self.step)
        rate = 1.0 if job.init is None else BACKBONE_RATE
        self.optimizer = torch.optim.AdamW(parameter_groups(self.net, rate), lr=job.rate, betas=(0.9, 0.99))
        self.autocast = autocast_dtype(torch.device("cpu"), "auto") is not None
        self.step = 0
        self.seconds = 0.0
        self._recent: list[tuple[float, float]] = []

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0..1."""
        return self.seconds / (self.job.minutes * 60)

    def advance(self, images: Tensor, targets: Targets) -> None:
        """Train one step on a batch; only the time spent here counts towards the length of the run."""
        began = time.monotonic()
        rate = self.job.rate * warm_up(self.step, WARM_UP)
        rate *= FINAL_RATE + (1 - FINAL_RATE) * cosine_decay(min(1.0, self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            dense = self.net(images)
        score, box = detector_loss(dense, targets, (images.shape[2], images.shape[3]))
        self.optimizer.zero_grad()
        (score + box).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        self.optimizer.step()
        self.average.update_parameters(self.net)
        self.step += 1
        self._recent = [*self._recent[-49:], (score.item(), box.item())]
        self.seconds += time.monotonic() - began

    def report(self) -> str:
        """Return a progress line with the mean losses of the last 50 steps."""
        score, box = np.mean(self._recent, axis=0)
        return f"step {self.step}  {self.seconds / 60:.1f} min  score {score:.3f}  box {box:.3f}"

    def save(self) -> None:
        """Write the checkpoint and the averaged weights."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        write_checkpoint(self.job.out, {**state, "step": self.step, "seconds": self.seconds})
        save_weights(self.average.module, self.job.out / WEIGHTS_NAME, half=True)

    def load(self) -> None:
        """Restore the state from the checkpoint."""
        state = read_checkpoint(self.job.out, self._parts())
        self.step, self.seconds = state["step"], state["seconds"]

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer}


def parameter_groups(net: PersonDetector, backbone_rate: float) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: weight decay only on kernels, a rate of its own for all but the heads.

    Each group stores its share of the learning rate as ``share``, which is also its key in checkpoints.
    """
    groups = []
    head = {id(p) for p in net.head.parameters()}
    for inside, share in ((False, backbone_rate), (True, 1.0)):
        mine = [p for p in net.parameters() if (id(p) in head) == inside]
        groups.append({"params": [p for p in mine if p.ndim > 1], "weight_decay": 0.02, "share": share})
        groups.append({"params": [p for p in mine if p.ndim <= 1], "weight_decay": 0.0, "share": share})
    return groups


def measure(weights: Path, checks: Sequence[DetectorCheck], log: Path | None = None, step: int = 0) -> str:
    """Measure weights on every check, and return a line for each and each size of people.

    Args:
        weights: The weights file.
        checks: Photos to measure on.
        log: File to which the results are appended as JSON lines.
        step: Step of the run, for the log.
    """
    detector = BundledDetector(weights, BoxFilter(min_score=0.02, max_people=100))
    parts = []
    for check in checks:
        for size, result in evaluate(detector, check.photos).items():
            if not result.people:
                continue
            parts.append(
                f"{check.name}, {size}: {result.people} people, AP {result.average_precision:.3f}, "
                f"AP50 {result.at_50:.3f}, recall {result.recall:.3f} at precision {PRECISION} "
                f"(score {result.threshold:.2f})"
            )
            if log is not None:
                line = {"step": step, "check": check.name, "size": size, **asdict(result)}
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + os.linesep)
    return "\n".join(parts)
