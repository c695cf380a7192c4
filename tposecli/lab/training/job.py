"""The configuration of ``tpose train``, as frozen dataclasses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tposecli.hub.download.options import Downloads
from tposecli.inference.options import COUNT, FloatPrecision
from tposecli.lab.training.schedule import cosine_decay, warm_up
from tposecli.utils.option_fields import NumberRange, choice, number

Optimizer = Literal["adam", "adamw"]
Decay = Literal["cosine", "linear", "constant"]
Best = Literal["ap", "pck"]

PROBABILITY = NumberRange(0, 1)
POSITIVE = NumberRange(0, low_open=True)
NOT_NEGATIVE = NumberRange(0)

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

    optimizer: Optimizer = choice("adam", Optimizer)
    rate: float = number(1e-4, POSITIVE)
    final_rate: float = number(1e-5, NOT_NEGATIVE)
    backbone: float = number(1.0, NOT_NEGATIVE)
    freeze: tuple[str, ...] = ()
    decay: Decay = choice("cosine", Decay)
    warm_up: int = number(0, NumberRange(0, whole=True))
    weight_decay: float = number(0.0, NOT_NEGATIVE)
    clip: float = number(0.0, NOT_NEGATIVE)
    dropout: float = number(0.1, PROBABILITY)
    averaging: float = number(0.999, PROBABILITY)
    sigma: float = number(2.0, POSITIVE)
    precision: FloatPrecision = choice("auto", FloatPrecision)

    def rate_at(self, step: int, progress: float) -> float:
        """Return the learning rate of a step at which the given share (0..1) of the run is done."""
        done = min(1.0, max(0.0, progress))
        factor = {"cosine": cosine_decay(done), "linear": 1 - done, "constant": 1.0}[self.decay]
        rate = self.final_rate + (self.rate - self.final_rate) * factor
        return rate * warm_up(step, self.warm_up)


@dataclass(frozen=True)
class Augmentation:
    """How crops vary; probabilities are 0..1.

    Attributes:
        rotation: Standard deviation in degrees, clipped at twice that.
        rotate: Probability of a rotation.
        scale: Standard deviation of the relative size, clipped at once that.
        shift: Standard deviation of the centre, relative to the crop's sides.
        half_body: Probability of showing only the upper or the lower body.
        flip: Probability of mirroring.
        colour: Probability of changing brightness, contrast, gamma, saturation and tint.
        blur: Probability of blurring the crop or reducing its resolution.
        cut_out: Probability of covering parts by one to three rectangles.
        neighbour: Probability of pasting another person into a strip at one side.
    """

    rotation: float = number(45.0, NumberRange(0))
    rotate: float = number(0.6, PROBABILITY)
    scale: float = number(0.35, PROBABILITY)
    shift: float = number(0.0, PROBABILITY)
    half_body: float = number(0.3, PROBABILITY)
    flip: float = number(0.5, PROBABILITY)
    colour: float = number(0.0, PROBABILITY)
    blur: float = number(0.0, PROBABILITY)
    cut_out: float = number(0.0, PROBABILITY)
    neighbour: float = number(0.0, PROBABILITY)


NO_AUGMENTATION = Augmentation(rotate=0, scale=0, half_body=0, flip=0)
"""No augmentation: the crop that inference would cut."""


@dataclass(frozen=True)
class Length:
    """Length of a run, over which the learning rate decays: in steps if given, else in minutes, else in epochs."""

    epochs: float = number(230.0, POSITIVE)
    steps: int | None = number(None, COUNT)
    minutes: float | None = number(None, POSITIVE)


@dataclass(frozen=True)
class Intervals:
    """How often the run saves, validates and logs.

    Attributes:
        save_minutes: Minutes between checkpoints.
        check_minutes: Minutes between validations.
        check_steps: Steps between validations, instead of minutes.
        log_steps: Steps between rows of ``metrics.csv``.
    """

    save_minutes: float = number(3.0, POSITIVE)
    check_minutes: float = number(15.0, POSITIVE)
    check_steps: int | None = number(None, COUNT)
    log_steps: int = number(50, COUNT)


@dataclass(frozen=True)
class PoseJob:
    """The configuration of a training run.

    Attributes:
        data: What to train on; see :func:`tposecli.lab.training.data_sources.read_sources`.
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
    weak_nose: float = number(0.0, PROBABILITY)
    best: Best = choice("ap", Best)
    batch: int = number(32, NumberRange(2, whole=True))
    seed: int = number(0, NumberRange(0, whole=True))
    workers: int = number(0, NumberRange(0, whole=True))
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
