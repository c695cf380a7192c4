"""What ``tpose train`` is asked for, as one frozen value."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tposecli.hub.download.download import Downloads
from tposecli.inference.runtime import Precision
from tposecli.training.augment import Augmentation

Decay = Literal["cosine", "linear", "constant"]
FREE = ("out", "resume", "workers", "device", "check", "every", "downloads", "strict")
"""Fields of the job that change nothing in what is learnt."""


@dataclass(frozen=True)
class Recipe:
    """How the net learns.

    Attributes:
        optimizer: ``adam`` or ``adamw``.
        rate: Highest learning rate.
        final_rate: Learning rate at the end.
        backbone: Learning rate of the convolutional part, as a part of the others'.
        freeze: Beginnings of names of parameters that stay as they are.
        decay: How the rate falls from the one to the other.
        warm_up: Steps over which the rate rises to its highest.
        weight_decay: Of kernels only.
        clip: Largest norm of the gradient; 0 for any.
        dropout: In the encoder's layers.
        averaging: Share that the moving average of the weights keeps at each step; less at the beginning.
        sigma: Deviation of the targets' Gaussians, heatmap pixels.
        precision: Of the arithmetic under autocast; weights stay in fp32.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    rate: float = 1e-4
    final_rate: float = 1e-5
    backbone: float = 1.0
    freeze: tuple[str, ...] = ()
    decay: Decay = "cosine"
    warm_up: int = 0
    weight_decay: float = 0.0
    clip: float = 0.0
    dropout: float = 0.1
    averaging: float = 0.999
    sigma: float = 2.0
    precision: Precision = "auto"

    def rate_at(self, step: int, progress: float) -> float:
        """Learning rate of a step, when that part (0..1) of the run is done."""
        part = min(1.0, max(0.0, progress))
        high = {"cosine": 0.5 * (1 + math.cos(math.pi * part)), "linear": 1 - part, "constant": 1.0}[self.decay]
        rate = self.final_rate + (self.rate - self.final_rate) * high
        return rate * min(1.0, (step + 1) / max(1, self.warm_up))


@dataclass(frozen=True)
class Length:
    """How long a run is: by steps, else by minutes, else by epochs; the learning rate falls over it."""

    epochs: float = 230.0
    steps: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Every:
    """How often things happen.

    Attributes:
        save_minutes: Between two checkpoints.
        check_minutes: Between two measurements.
        check_steps: Between two measurements, in steps; instead of minutes.
        log_steps: Between two rows of ``metrics.csv``.
    """

    save_minutes: float = 3.0
    check_minutes: float = 15.0
    check_steps: int | None = None
    log_steps: int = 50


@dataclass(frozen=True)
class PoseJob:
    """Everything a training run is made of.

    Attributes:
        data: What to learn from; see :func:`tposecli.training.data_sources.read_sources`.
        out: Folder of the checkpoint, the weights and the log.
        check: What to measure on, never to learn from.
        model: Row of the catalogue.
        input_hw: Height and width of a crop; the model's own if None.
        init: ``imagenet``, a checkpoint or MoveNet's graph to start from; random weights if None.
        best: ``ap`` or ``pck``: the figure of the first check that decides which weights are kept as the best.
        batch: Samples of one process in one step.
        resume: Go on from the checkpoint in ``out``.
    """

    data: tuple[str, ...]
    out: Path
    check: tuple[str, ...] = ()
    model: str = "transpose-r-a4"
    input_hw: tuple[int, int] | None = None
    init: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    augmentation: Augmentation = field(default_factory=Augmentation)
    length: Length = field(default_factory=Length)
    every: Every = field(default_factory=Every)
    weak_nose: float = 0.0
    best: str = "ap"
    batch: int = 32
    seed: int = 0
    workers: int = 0
    device: str = "auto"
    coco: Path = Path("data/coco")
    rendered: Path | None = None
    strict: bool = False
    resume: bool = False
    downloads: Downloads = field(default_factory=Downloads)

    def facts(self) -> dict[str, Any]:
        """What decides the result, as plain values."""
        kept = {key: value for key, value in asdict(self).items() if key not in FREE}
        plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
        return plain
