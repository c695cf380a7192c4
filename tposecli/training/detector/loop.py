"""The person detector's training: a loop that can be stopped at any time and goes on exactly where it was."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tposecli.detection.base import BoxFilter
from tposecli.detection.movenet import BundledDetector
from tposecli.models.person_detector import PersonDetector
from tposecli.training.checkpoint import follow, read_checkpoint, write_checkpoint
from tposecli.training.detector.dataset import Photo, PhotoSource
from tposecli.training.detector.loss import Targets, detector_loss
from tposecli.training.detector.scenes import Composer, stack
from tposecli.training.detector.validation import evaluate
from tposecli.training.movenet import detector_from_movenet
from tposecli.training.state import autocast_type
from tposecli.utils.errors import InputError
from tposecli.utils.files import part_path, publish
from tposecli.utils.threads import prefetch

Say = Callable[[str], None]

SHAPES = ((224, 224), (256, 256), (320, 192), (192, 320), (320, 256), (416, 256))
"""Width and height of the training pictures, drawn anew for every batch; each batch has about as many pixels."""
PIXELS = 256 * 224
"""Of a training picture, on average."""
WARM_UP = 300
FINAL_RATE = 0.02
AVERAGING = 0.999
CLIP = 1.0
"""Largest norm of the gradient: a net without normalisations takes no larger steps."""
FROZEN_STAGES = 3
"""Stages of the backbone, after the stem, that stay as they were in MoveNet: those up to stride 8."""
GENTLE = 0.05
"""Learning rate of the rest of the backbone, relative to that of the new layers."""
WEIGHTS_NAME = "person-detector.safetensors"
LARGE = 96.0 * 96.0


@dataclass(frozen=True)
class DetectorCheck:
    """A set of photos on which the detector is measured while it trains."""

    name: str
    photos: tuple[Photo, ...]
    min_area: float = LARGE


@dataclass(frozen=True)
class DetectorJob:
    """Everything a training run is made of.

    Attributes:
        sources: Photos to learn from.
        checks: Photos to measure on, never to learn from.
        out: Folder of the checkpoint, the log and the weights.
        init: MoveNet MultiPose's graph, which the net starts from; None for random weights.
        minutes: Length of the run, interruptions not counted; the learning rate falls to its end over it. 0 leaves
            the weights as they are at the start.
        batch: Pictures of 192x192 pixels a step; of larger ones fewer.
        freeze: Leave the first layers, up to stride 8, as they were at the start.
        rate: Highest learning rate.
        check_minutes: Time between measurements.
        resume: Go on from the checkpoint in ``out``.
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


def train(job: DetectorJob, say: Say) -> Path:
    """Run a job to its end and return the weights' path; ``say`` is told how it goes.

    Raises:
        InputError: There is nothing to resume from.
        WeightsError: The graph to start from is not MoveNet MultiPose's.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    run = _Run(job)
    if job.resume:
        run.load()
    elif job.init is not None:
        detector_from_movenet(run.net, job.init)
        run.average.module.load_state_dict(run.net.state_dict())
        say(f"begun with {job.init}")
    if job.minutes == 0:
        run.save()
        say(measure(job.out / WEIGHTS_NAME, job.checks))
        return job.out / WEIGHTS_NAME
    next_save, next_check = run.seconds + job.save_minutes * 60, run.seconds + job.check_minutes * 60
    for images, targets in prefetch(_batches(job, run.step), 3, "compose"):
        run.advance(images, targets)
        if run.step % 100 == 0:
            say(run.report())
        if run.seconds >= next_save or run.progress >= 1:
            run.save()
            next_save = run.seconds + job.save_minutes * 60
        if run.seconds >= next_check or run.progress >= 1:
            say(measure(job.out / WEIGHTS_NAME, job.checks, job.out / "log.jsonl", run.step))
            next_check = run.seconds + job.check_minutes * 60
        if run.progress >= 1:
            return job.out / WEIGHTS_NAME
    raise InputError("the training data ended before the run did")


def _batches(job: DetectorJob, step: int) -> Iterator[tuple[Tensor, Targets]]:
    """Endless batches; each depends on the seed and its step only, so that a resumed run sees the same ones."""
    compose = Composer(job.sources)
    while True:
        rng = np.random.default_rng([job.seed, step])
        width, height = SHAPES[rng.integers(len(SHAPES))]
        count = max(2, round(job.batch * PIXELS / (width * height)))
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
        self.average = torch.optim.swa_utils.AveragedModel(self.net, multi_avg_fn=self._averaged, use_buffers=True)
        backbone = self.net.backbone
        freeze = job.freeze and job.init is not None
        self.frozen = [backbone.stem, *backbone.stages[:FROZEN_STAGES]] if freeze else []
        for module in self.frozen:
            module.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.net, GENTLE if self.frozen else 1.0), lr=job.rate)
        self.half = autocast_type(torch.device("cpu"), "auto") is not None
        self.step = 0
        self.seconds = 0.0
        self._recent: list[tuple[float, float]] = []

    @property
    def progress(self) -> float:
        """Part of the run that is done, 0..1."""
        return self.seconds / (self.job.minutes * 60)

    def advance(self, images: Tensor, targets: Targets) -> None:
        """One step on one batch."""
        began = time.monotonic()
        rate = self.job.rate * min(1.0, (self.step + 1) / WARM_UP)
        rate *= FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
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
        """One line: where the run is and the mean losses of late."""
        score, box = np.mean(self._recent, axis=0)
        return f"step {self.step}  {self.seconds / 60:.1f} min  score {score:.3f}  box {box:.3f}"

    def save(self) -> None:
        """Write the checkpoint and the averaged weights, each whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        write_checkpoint(self.job.out, {**state, "step": self.step, "seconds": self.seconds})
        save_weights(self.average.module, self.job.out / WEIGHTS_NAME)

    def load(self) -> None:
        """Go on from the checkpoint."""
        state = read_checkpoint(self.job.out, self._parts())
        self.step, self.seconds = state["step"], state["seconds"]

    def _averaged(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        follow(averaged, current, self.step, AVERAGING)

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer}


def parameter_groups(net: PersonDetector, gentle: float) -> list[dict[str, Any]]:
    """Weight decay on the kernels only; the backbone learns more gently."""
    groups = []
    backbone = {id(p) for p in net.backbone.parameters()}
    for inside, share in ((True, gentle), (False, 1.0)):
        mine = [p for p in net.parameters() if (id(p) in backbone) == inside and p.requires_grad]
        groups.append({"params": [p for p in mine if p.ndim > 1], "weight_decay": 0.05, "share": share})
        groups.append({"params": [p for p in mine if p.ndim <= 1], "weight_decay": 0.0, "share": share})
    return groups


def save_weights(net: nn.Module, path: Path) -> None:
    """Write a net's state in half precision as safetensors."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in net.state_dict().items()
    }
    save_file(state, part_path(path))
    publish(path)


def measure(weights: Path, checks: Sequence[DetectorCheck], log: Path | None = None, step: int = 0) -> str:
    """Measure weights on every check; one line, also appended to the log as JSON."""
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
