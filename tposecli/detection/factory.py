"""The detectors that ``--detector`` takes, as a table, and their options. Imports no numpy and no torch by itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tposecli.utils.errors import TposeError, UsageError, WeightsError, nearest_name
from tposecli.utils.files import sha256_of

if TYPE_CHECKING:
    import torch

    from tposecli.detection.base import BoxFilter, Detector
    from tposecli.hub.download.download import RemoteFile
    from tposecli.hub.download.options import Downloads
    from tposecli.inference.runtime import Runtime

log = logging.getLogger("tposecli")

BUNDLED_WEIGHTS: Final = "person-detector.safetensors"
MIN_IMAGE_SIDE: Final = 32


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """Options of person detection.

    Attributes:
        name: ``auto``, or a row of ``DETECTORS`` with its argument: ``yolo:yolo26n``.
        min_score: Boxes scoring below this are discarded; None for the detector's own threshold.
        nms: IoU above which the lower-scoring box is discarded; None for the detector's own: annotations in a file are
            then all kept.
        max_people: Maximum number of people per frame, best first; None for all.
        min_size: Boxes whose longer side is shorter than this many pixels are discarded.
        image_size: Longer side, in pixels, to which frames are scaled for the net; None for the detector's own.
        every: The detector runs on every n-th frame; boxes in between are interpolated. ``auto``: where it is needed.
        trust: Allow its file to execute code when it is loaded.

    Raises:
        UsageError: The name is unknown, or a value is out of range.
    """

    name: str = "auto"
    min_score: float | None = None
    nms: float | None = None
    max_people: int | None = None
    min_size: float = 0.0
    image_size: int | None = None
    every: int | str = 1
    trust: bool = False

    def __post_init__(self) -> None:
        find_detector(self.name)
        if isinstance(self.every, str) and self.every != AUTO:
            raise UsageError(f"the detector's interval in frames is {self.every!r}; it must be a number or {AUTO}")
        for what, value, lowest, highest in (
            ("score threshold", self.min_score, 0, 1),
            ("NMS threshold", self.nms, 0, 1),
            ("number of people", self.max_people, 1, math.inf),
            ("smallest size of a box", self.min_size, 0, math.inf),
            ("detector's image size", self.image_size, MIN_IMAGE_SIDE, math.inf),
            ("detector's interval in frames", self.every if isinstance(self.every, int) else None, 1, math.inf),
        ):
            if value is not None and not lowest <= value <= highest:
                bounds = f"{lowest} or more" if highest == math.inf else f"{lowest} to {highest}"
                raise UsageError(f"the {what} is {value}; it must be {bounds}")

    def box_filter(self, min_score: float | None = None, nms: float | None = None) -> BoxFilter:
        """Return the filter; the arguments are the detector's own values for options that were not given."""
        from tposecli.detection.base import BoxFilter

        def first(*values: float | None) -> float:
            return next(value for value in values if value is not None)

        default = BoxFilter()
        score, overlap = first(self.min_score, min_score, default.min_score), first(self.nms, nms, default.nms)
        return BoxFilter(score, overlap, self.max_people, self.min_size)


@dataclass(frozen=True, slots=True)
class DetectorRequest:
    """What a detector is built from.

    Attributes:
        argument: What follows the colon of its name; empty if it takes none.
        options: The options.
        runtime: Where its net runs, and how.
        downloads: How weights may be downloaded; None for the defaults.
        tracked: People are tracked: boxes under :func:`weak_score` are wanted too.
    """

    argument: str
    options: DetectorOptions
    runtime: Runtime
    downloads: Downloads | None = None
    tracked: bool = False

    @property
    def device(self) -> torch.device:
        """Where its net runs."""
        return self.runtime.device


def _build_bundled(request: DetectorRequest) -> Detector:
    from tposecli.detection.bundled import MIN_SCORE, NMS, SIZE, WEAK_SCORE, BundledDetector
    from tposecli.hub.checkpoints.resolve import bundled_file

    weights = bundled_file(BUNDLED_WEIGHTS)
    if weights is None:
        raise WeightsError(f"the bundled detector's file {BUNDLED_WEIGHTS} is missing; reinstall the package")
    boxes = request.options.box_filter(WEAK_SCORE if request.tracked else MIN_SCORE, NMS)
    size, runtime = request.options.image_size or SIZE, request.runtime
    precision, openvino = runtime.precision, runtime.backend == "openvino"
    return BundledDetector(
        weights, boxes, size, runtime.device, precision == "bf16", openvino, int8=precision == "int8"
    )


def _bundled_weak_score() -> float:
    from tposecli.detection.bundled import MIN_SCORE

    return MIN_SCORE


def _build_boxes_file(request: DetectorRequest) -> Detector:
    from tposecli.detection.boxes_file import BoxesFile

    options = request.options
    return BoxesFile(Path(request.argument).expanduser(), options.box_filter(), options.nms)


def _build_full_frame(request: DetectorRequest) -> Detector:
    from tposecli.detection.full_frame import FullFrame

    return FullFrame(request.options.box_filter())


def _build_yolo(request: DetectorRequest) -> Detector:
    from tposecli.detection.yolo import DIGESTS, MIN_SCORE, NMS, SIZE, YoloDetector, find_model, load_net

    boxes, size = request.options.box_filter(MIN_SCORE, NMS), request.options.image_size
    path = find_model(request.argument, request.downloads)
    known = path.is_file() and sha256_of(path) in DIGESTS.values()
    if known and request.device.type == "cpu" and find_module("openvino") is not None:
        from tposecli.detection.yolo_openvino import OpenVinoYolo

        return OpenVinoYolo(path, lambda: load_net(path), boxes, size or SIZE, _cpu_precision())
    return YoloDetector(str(path), boxes, size, request.device, trust=request.options.trust)


def _cpu_precision() -> str:
    """Return the faster precision of OpenVINO on this CPU."""
    import torch

    from tposecli.inference.runtime import has_bf16

    return "bf16" if has_bf16(torch.device("cpu")) else "fp32"


def _yolo_weights(name: str) -> RemoteFile:
    from tposecli.detection.yolo import published_weights

    return published_weights(name)


def _yolo_file(name: str) -> RemoteFile | None:
    from tposecli.detection.yolo import published_file

    return published_file(name)


def _build_torchvision(request: DetectorRequest) -> Detector:
    from tposecli.detection.torchvision import TorchvisionDetector

    boxes, size = request.options.box_filter(), request.options.image_size
    return TorchvisionDetector(request.argument, boxes, size, request.device, request.downloads)


def _torchvision_weights(name: str) -> RemoteFile:
    from tposecli.detection.torchvision import find_model

    return find_model(name).remote


def _torchvision_file(name: str) -> RemoteFile | None:
    from tposecli.detection.torchvision import published_file

    return published_file(name)


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """A row of the table of detectors.

    Attributes:
        name: What ``--detector`` takes, up to the colon.
        build: Loads it; imports its module.
        argument: What follows the colon, for help and messages; empty if nothing does.
        weights: Returns the published weights of that argument, or raises UsageError; None for detectors without.
        weights_file: Returns the published weights of that file name, None if none are called so.
        weak_score: Returns the score under which boxes only continue tracks; None if all boxes count.
    """

    name: str
    build: Callable[[DetectorRequest], Detector]
    argument: str = ""
    weights: Callable[[str], RemoteFile] | None = None
    weights_file: Callable[[str], RemoteFile | None] = lambda name: None
    weak_score: Callable[[], float] | None = None

    @property
    def form(self) -> str:
        """How the name is written: ``boxes:FILE``."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


DETECTORS: Final = (
    DetectorKind("bundled", _build_bundled, weak_score=_bundled_weak_score),
    DetectorKind("boxes", _build_boxes_file, "FILE"),
    DetectorKind("full-frame", _build_full_frame),
    DetectorKind("yolo", _build_yolo, "NAME_OR_PATH", _yolo_weights, _yolo_file),
    DetectorKind("torchvision", _build_torchvision, "NAME", _torchvision_weights, _torchvision_file),
)
"""All detectors: a new one is a file of this package, and a row here."""
AUTO: Final = "auto"
"""Stands for ``AUTO_YOLO`` if its weights are on this machine or can be downloaded, else for ``AUTO_BUNDLED``."""
AUTO_YOLO: Final = "yolo:yolo11n"
AUTO_BUNDLED: Final = "bundled"
AUTO_SIZES: Final = {"bf16": 512, "fp32": 416}
"""Image size that ``auto`` chooses on a CPU, by precision: a 16:9 frame then takes less than 25 ms of one core."""
AUTO_STAMP: Final = "auto-detector-failed"
CHOICES: Final = (AUTO, *(kind.form for kind in DETECTORS))
"""What ``--detector`` takes."""


def find_detector(name: str) -> tuple[DetectorKind, str]:
    """Return the row of the table that a detector's name means, and the argument in it.

    Raises:
        UsageError: There is no such detector, or its argument is missing or superfluous.
    """
    prefix, colon, argument = name.partition(":")
    kinds = {kind.name: kind for kind in DETECTORS}
    kinds[AUTO] = replace(kinds[AUTO_BUNDLED], name=AUTO)
    if prefix not in kinds:
        nearest = nearest_name(prefix, kinds)
        hint = f"did you mean {kinds[nearest].form}? " if nearest else ""
        raise UsageError(f"no detector is called {name!r}; {hint}known: {', '.join(CHOICES)}")
    kind = kinds[prefix]
    if bool(argument) != bool(kind.argument) or (colon and not argument):
        raise UsageError(f"detector {name!r}: the argument is missing or superfluous; write it as {kind.form}")
    return kind, argument


def build_detector(
    options: DetectorOptions, runtime: Runtime, downloads: Downloads | None = None, tracked: bool = False
) -> Detector:
    """Build the detector, ready to run; published weights that are not here are downloaded.

    Args:
        options: The options.
        runtime: Where its net runs, and how: the pose net's, with the backend that ``auto`` stands for.
        downloads: How weights may be downloaded; None for the defaults.
        tracked: People are tracked: boxes under :func:`weak_score` are returned too.

    Raises:
        UsageError: A package that it needs is not installed, or the options do not go together.
        InputError: The file of boxes cannot be used.
        WeightsError: Its weights are damaged, or not on this machine and cannot be downloaded.
    """
    return open_detector(options, runtime, downloads, tracked)[0]


def open_detector(
    options: DetectorOptions, runtime: Runtime, downloads: Downloads | None = None, tracked: bool = False
) -> tuple[Detector, DetectorOptions]:
    """Build the detector, and return with it the options that ``auto`` stands for here; see :func:`build_detector`.

    A detector that ``auto`` prefers but that does not load costs a warning, not the run.
    """
    chosen = resolve_auto(options, runtime.device, downloads)
    try:
        return _build(chosen, runtime, downloads, tracked, auto=options.name == AUTO), chosen
    except TposeError as error:
        if options.name != AUTO or chosen.name == AUTO_BUNDLED:
            raise
        log.warning("detector: bundled, because %s cannot be used: %s", chosen.name, error)
    chosen = replace(options, name=AUTO_BUNDLED)
    return _build(chosen, runtime, downloads, tracked), chosen


def _build(
    options: DetectorOptions, runtime: Runtime, downloads: Downloads | None, tracked: bool, auto: bool = False
) -> Detector:
    kind, argument = find_detector(options.name)
    if auto and kind.weights is not None:
        from tposecli.hub.checkpoints.resolve import cache_dir

        argument = str(cache_dir() / kind.weights(argument).file)  # Never one of the same name in the current folder.
    return kind.build(DetectorRequest(argument, options, runtime, downloads, tracked))


def resolve_auto(options: DetectorOptions, device: torch.device, downloads: Downloads | None = None) -> DetectorOptions:
    """Return the options with what ``auto`` stands for on this machine; others are returned as they are.

    A log line says which detector it is. The YOLO's weights are downloaded if they are not in the cache, from the
    publisher or a mirror, and only taken if their digest is the known one; a failure is not repeated for a day.
    """
    if options.name != AUTO:
        return options
    reason = _auto_yolo_missing(downloads)
    if reason:
        log.info("detector: bundled (%s)", reason)
        return replace(options, name=AUTO_BUNDLED)
    log.info(
        "detector: YOLO11n of ultralytics (%s, licence AGPL-3.0); --detector bundled does not need it",
        AUTO_YOLO,
    )
    size = options.image_size or (AUTO_SIZES[_auto_precision()] if device.type == "cpu" else None)
    return replace(options, name=AUTO_YOLO, image_size=size)


def _auto_precision() -> str:
    return _cpu_precision() if find_module("openvino") is not None else "fp32"


def _auto_yolo_missing(downloads: Downloads | None) -> str:
    """Return why ``auto`` cannot be the YOLO; empty if its verified weights are in the cache now."""
    from tposecli.hub.checkpoints.resolve import cache_dir, fetch_for_auto, verify_file

    missing = [name for name in ("ultralytics", "torchvision") if find_module(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    remote = _yolo_weights(find_detector(AUTO_YOLO)[1])
    reason = fetch_for_auto(remote, AUTO_STAMP, downloads)
    if reason:
        return reason
    try:
        verify_file(cache_dir() / remote.file, remote.sha256)
    except (WeightsError, OSError) as error:
        return str(error)
    return ""


def digest_of_argument(name: str) -> str | None:
    """Return the SHA-256 of the file that a detector's name contains or stands for; None if there is none."""
    from tposecli.hub.checkpoints.resolve import cache_dir

    kind, argument = find_detector(name)
    places = [Path(argument).expanduser()] if argument else []
    if kind.weights is not None:
        with suppress(UsageError):  # A path, and no published name.
            places.append(cache_dir() / kind.weights(argument).file)
    path = next((place for place in places if place.is_file()), None)
    return None if path is None else sha256_of(path)


def weak_score(options: DetectorOptions) -> float:
    """Return the score under which boxes are returned only because they may continue a track."""
    kind = find_detector(options.name)[0]
    return 0.0 if kind.weak_score is None or options.min_score is not None else kind.weak_score()
