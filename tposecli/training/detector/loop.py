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
from tposecli.detection.movenet import BundledDetector
from tposecli.models.person_detector import PersonDetector
from tposecli.training.detector.dataset import Photo, PhotoSource
from tposecli.training.detector.loss import Targets, detector_loss
from tposecli.training.detector.scenes import Composer, stack
from tposecli.training.detector.validation import evaluate
from tposecli.training.movenet import detector_from_movenet
from tposecli.training.schedule import cosine_decay, warm_up
from tposecli.training.shared import (
    LogCallback,
    check_new_run,
    moving_average,
    read_checkpoint,
    save_weights,
    write_checkpoint,
)
from tposecli.training.state import autocast_dtype
from tposecli.utils.errors import InputError
from tposecli.utils.threads import prefetch

SHAPES = ((224, 224), (256, 256), (320, 192), (192, 320), (320, 256), (416, 256))
"""Widths and heights of training images; one is drawn per batch, and all batches have about as many pixels."""
MEAN_PIXELS = 256 * 224
"""Average number of pixels of a training image."""
WARM_UP = 300
"""Steps over which the learning rate rises."""
FINAL_RATE = 0.02
"""Learning rate at the end, relative to the highest."""
AVERAGING = 0.999
"""Share that the moving average of the weights keeps at each step."""
CLIP = 1.0
"""Largest norm of the gradient: a net without normalisation layers diverges with larger steps."""
FROZEN_STAGES = 3
"""Stages of the backbone, after the stem, that keep MoveNet's weights: those up to stride 8."""
BACKBONE_RATE = 0.05
"""Learning rate of the rest of the backbone, relative to that of the new layers."""
WEIGHTS_NAME = "person-detector.safetensors"
LARGE = 96.0 * 96.0
"""Area from which COCO counts an object as large, square pixels."""


@dataclass(frozen=True)
class DetectorCheck:
    """A set of photos on which the detector is measured during training.

    Attributes:
        name: Name in logs.
        photos: The photos.
        min_area: Only people of a larger annotated area count, square pixels.
    """

    name: str
    photos: tuple[Photo, ...]
    min_area: float = LARGE


@dataclass(frozen=True)
class DetectorJob:
    """The configuration of a training run.

    Attributes:
        sources: Photos to train on.
        checks: Photos to measure on, never used for training.
        out: Folder for the checkpoint, the log and the weights.
        init: MoveNet MultiPose's graph with the initial weights; None for random weights.
        minutes: Length of the run, interruptions not counted; the learning rate decays over it. 0 writes the initial
            weights without training.
        batch: Images per step at ``MEAN_PIXELS`` pixels each; fewer if they are larger.
        freeze: Freeze the first layers, up to stride 8; only with ``init``.
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
    batch: int = 20
    freeze: bool = True
    rate: float = 4e-4
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
        WeightsError: The graph to start from is not MoveNet MultiPose's.
    """
    resumed = check_new_run(job.out, (WEIGHTS_NAME, "log.jsonl"), job.resume)
    job.out.mkdir(parents=True, exist_ok=True)
    run = _Run(job)
    if resumed:
        run.load()
    elif job.init is not None:
        detector_from_movenet(run.net, job.init)
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
    raise InputError("the training data ended before the run did")


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
        backbone = self.net.backbone
        freeze = job.freeze and job.init is not None
        self.frozen = [backbone.stem, *backbone.stages[:FROZEN_STAGES]] if freeze else []
        for module in self.frozen:
            module.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.net, BACKBONE_RATE if self.frozen else 1.0), lr=job.rate
        )
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
    """Return the optimizer's parameter groups: weight decay only on kernels, a lower rate for the backbone.

    Each group stores its share of the learning rate as ``share``, which is also its key in checkpoints.
    """
    groups = []
    backbone = {id(p) for p in net.backbone.parameters()}
    for inside, share in ((True, backbone_rate), (False, 1.0)):
        mine = [p for p in net.parameters() if (id(p) in backbone) == inside and p.requires_grad]
        groups.append({"params": [p for p in mine if p.ndim > 1], "weight_decay": 0.05, "share": share})
        groups.append({"params": [p for p in mine if p.ndim <= 1], "weight_decay": 0.0, "share": share})
    return groups


def measure(weights: Path, checks: Sequence[DetectorCheck], log: Path | None = None, step: int = 0) -> str:
    """Measure weights on every check, and return a line for each.

    Args:
        weights: The weights file.
        checks: Photos to measure on.
        log: File to which the results are appended as JSON lines.
        step: Step of the run, for the log.
    """
    detector = BundledDetector(weights, BoxFilter(min_score=0.02))
    parts = []
    for check in checks:
        result = evaluate(detector, check.photos, check.min_area)
        parts.append(
            f"{check.name}: {result.people} people, AP50 {result.average_precision:.3f}, "
            f"recall {result.recall:.3f} at precision 0.7 (score {result.threshold:.2f})"
        )
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "check": check.name, **asdict(result)}) + os.linesep)
    return "\n".join(parts)
