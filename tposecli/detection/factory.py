"""From ``--detector`` and its options to a detector. Nothing heavy is imported before it is asked for."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tposecli.detection.base import BoxFilter, Detector
from tposecli.utils.errors import UsageError, WeightsError
from tposecli.utils.files import sha256_of

if TYPE_CHECKING:
    import torch

    from tposecli.hub.download.download import Downloads

CHOICES: Final = ("auto", "bundled", "boxes:FILE", "full-frame", "yolo:NAME_OR_PATH", "torchvision:NAME")
"""What ``--detector`` takes."""
BUNDLED_WEIGHTS: Final = "person-detector.safetensors"
MIN_IMAGE_SIDE: Final = 32
DEFAULT: Final = BoxFilter()


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What the command line says about finding people.

    Attributes:
        name: One of ``CHOICES``.
        min_score: Boxes of a lower score go; None for what suits the detector.
        nms: Boxes whose IoU with a better one exceeds this go; None for what suits the detector: annotations in a
            file are then all kept.
        max_people: At most so many a frame, best first; None for all.
        min_size: Boxes whose longer side is under so many pixels go.
        image_size: Longer side, pixels, to which frames are scaled for the net; None for what suits the detector.
        every: The detector sees every so many frames; boxes between are interpolated.
        trust: Its file may run code when it is read.

    Raises:
        UsageError: One of them cannot be.
    """

    name: str = "auto"
    min_score: float | None = None
    nms: float | None = None
    max_people: int | None = None
    min_size: float = 0.0
    image_size: int | None = None
    every: int = 1
    trust: bool = False

    def __post_init__(self) -> None:
        _split(self.name)
        for what, value, least, most in (
            ("score threshold", self.min_score, 0, 1),
            ("NMS threshold", self.nms, 0, 1),
            ("number of people", self.max_people, 1, math.inf),
            ("smallest size of a box", self.min_size, 0, math.inf),
            ("detector's image size", self.image_size, MIN_IMAGE_SIDE, math.inf),
            ("detector's interval in frames", self.every, 1, math.inf),
        ):
            if value is not None and not least <= value <= most:
                bounds = f"{least} or more" if most == math.inf else f"{least} to {most}"
                raise UsageError(f"the {what} is {value}; it must be {bounds}")

    def box_filter(self, min_score: float = DEFAULT.min_score, nms: float = DEFAULT.nms) -> BoxFilter:
        """The filter; the arguments stand for what was left to the detector."""
        return BoxFilter(
            min_score if self.min_score is None else self.min_score,
            nms if self.nms is None else self.nms,
            self.max_people,
            self.min_size,
        )


def build_detector(
    options: DetectorOptions, device: torch.device, downloads: Downloads | None = None, tracked: bool = False
) -> Detector:
    """The detector that was asked for, ready to work; published weights that are not here are fetched.

    Args:
        options: What was asked for.
        device: Where its net runs.
        downloads: How weights may be fetched.
        tracked: People are followed: it may also give boxes under :func:`stray_score`.

    Raises:
        UsageError: A package that it needs is not installed, or the options do not go together.
        InputError: The file of boxes cannot be used.
        WeightsError: Its weights are not on this machine and cannot be had, or they are damaged.
    """
    kind, argument = _split(options.name)
    if kind == "full-frame":
        from tposecli.detection.full_frame import FullFrame

        return FullFrame(options.box_filter())
    if kind == "boxes":
        from tposecli.detection.boxes_file import BoxesFile

        return BoxesFile(Path(argument).expanduser(), options.box_filter(), options.nms)
    if kind == "yolo":
        from tposecli.detection.yolo import YoloDetector

        chosen = options.box_filter(), options.image_size
        return YoloDetector(argument, *chosen, device, downloads, trust=options.trust)
    if kind == "torchvision":
        from tposecli.detection.torchvision import TorchvisionDetector

        return TorchvisionDetector(argument, options.box_filter(), options.image_size, device, downloads)
    return _bundled(options, device, tracked)


def digest_of_argument(name: str) -> str | None:
    """SHA-256 of the file that a detector's name names, if it does."""
    argument = _split(name)[1]
    path = Path(argument).expanduser()
    return sha256_of(path) if argument and path.is_file() else None


def stray_score(options: DetectorOptions) -> float:
    """Score below which boxes are given only because they may continue a track."""
    from tposecli.detection.movenet import MIN_SCORE

    return MIN_SCORE if _split(options.name)[0] == "bundled" and options.min_score is None else 0.0


def _bundled(options: DetectorOptions, device: torch.device, tracked: bool) -> Detector:
    from tposecli.detection.movenet import MIN_SCORE, SIZE, WEAK_SCORE, BundledDetector
    from tposecli.hub.checkpoints.resolve import bundled_file

    weights = bundled_file(BUNDLED_WEIGHTS)
    if weights is None:
        raise WeightsError(f"the bundled detector's file {BUNDLED_WEIGHTS} is missing; install the package again")
    boxes = options.box_filter(WEAK_SCORE if tracked else MIN_SCORE)
    return BundledDetector(weights, boxes, options.image_size or SIZE, device)


def _split(name: str) -> tuple[str, str]:
    """Kind and argument of a detector's name; ``auto`` is ``bundled``.

    Raises:
        UsageError: No such detector, or an argument too many or too few.
    """
    kind, colon, argument = name.partition(":")
    forms = {choice.partition(":")[0]: choice for choice in CHOICES}
    if kind not in forms:
        nearest = difflib.get_close_matches(kind, forms, n=1)
        hint = f"did you mean {forms[nearest[0]]}? " if nearest else ""
        raise UsageError(f"no detector is called {name!r}; {hint}known: {', '.join(CHOICES)}")
    if bool(argument) != (":" in forms[kind]) or (colon and not argument):
        raise UsageError(f"detector {name!r} is incomplete or says too much; write it as {forms[kind]}")
    return ("bundled" if kind == "auto" else kind), argument
