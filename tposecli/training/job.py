"""The configuration of ``tpose train``, as frozen dataclasses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tposecli.hub.download.download import Downloads
from tposecli.inference.runtime import Precision
from tposecli.training.augment import Augmentation
from tposecli.training.shared import cosine_decay, warm_up

Decay = Literal["cosine", "linear", "constant"]
FREE = ("out", "resume", "workers", "device", "check", "every", "downloads", "strict")
"""Fields of the job that do not affect the trained weights."""


@dataclass(frozen=True)
class Recipe:
    """The optimizer, the schedule and the loss.

    Attributes:
        optimizer: ``adam`` or ``adamw``.
        rate: Highest learning rate.
        final_rate: Learning rate at the end.
        backbone: Learning rate of the convolutional backbone, relative to the other layers'.
        freeze: Name prefixes of the parameters to freeze.
        decay: How the rate falls from ``rate`` to ``final_rate``.
        warm_up: Steps over which the rate rises to its highest value.
        weight_decay: Weight decay, applied only to kernels.
        clip: Largest norm of the gradient; 0 disables clipping.
        dropout: Dropout in the encoder's layers.
        averaging: Share that the moving average of the weights keeps at each step; lower in the first steps.
        sigma: Standard deviation of the target Gaussians, heatmap pixels.
        precision: Precision under autocast; weights stay in fp32.
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
        """Return the learning rate of a step at which the given share (0..1) of the run is done."""
        done = min(1.0, max(0.0, progress))
        factor = {"cosine": cosine_decay(done), "linear": 1 - done, "constant": 1.0}[self.decay]
        rate = self.final_rate + (self.rate - self.final_rate) * factor
        return rate * warm_up(step, self.warm_up)


@dataclass(frozen=True)
class Length:
    """Length of a run, over which the learning rate decays: in steps if given, else in minutes, else in epochs."""

    epochs: float = 230.0
    steps: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Intervals:
    """How often the run saves, validates and logs.

    Attributes:
        save_minutes: Minutes between checkpoints.
        check_minutes: Minutes between validations.
        check_steps: Steps between validations, instead of minutes.
        log_steps: Steps between rows of ``metrics.csv``.
    """

    save_minutes: float = 3.0
    check_minutes: float = 15.0
    check_steps: int | None = None
    log_steps: int = 50


@dataclass(frozen=True)
class PoseJob:
    """The configuration of a training run.

    Attributes:
        data: What to train on; see :func:`tposecli.training.data_sources.read_sources`.
        out: Folder for the checkpoint, the weights and the metrics.
        check: What to validate on, never used for training.
        model: Name of the model in the catalogue.
        input_hw: Height and width of a crop; the model's own if None.
        init: ``imagenet``, a checkpoint, or MoveNet's graph with the initial weights; random weights if None.
        recipe: Optimizer, schedule and loss.
        augmentation: How crops vary.
        length: Length of the run.
        every: How often the run saves, validates and logs.
        weak_nose: Weight of noses guessed from neck and head top; 0 guesses none.
        best: ``ap`` or ``pck``: the metric of the first check by which the best weights are chosen.
        batch: Samples per step and process.
        seed: Seeds everything random.
        workers: Processes that make batches; 0 for a thread.
        device: As on the command line.
        coco: Folder in COCO's layout.
        rendered: Folder for rendered people; ``out/rendered`` if None.
        strict: Whether any problem with the data is an error.
        resume: Resume from the checkpoint in ``out``.
        downloads: How torchvision's weights may be downloaded.
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
    every: Intervals = field(default_factory=Intervals)
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that affect the trained weights, as plain JSON values."""
        kept = {key: value for key, value in asdict(self).items() if key not in FREE}
        plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
        return plain
