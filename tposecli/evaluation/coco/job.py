"""What ``tpose eval`` is asked for, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tposecli.detection.factory import DetectorOptions
from tposecli.pipeline.job import ModelChoice

DETECTIONS = "detections"
TRUTH = "gt"
DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class DataChoice:
    """Which pictures, and the truth about them.

    Attributes:
        coco: Name of a set in the authors' layout, for example ``val2017``; None for a set of one's own.
        folder: Where that layout begins.
        annotations: COCO keypoint file of a set of one's own.
        images: Its folder of pictures, or a zip of them.
        sigmas: K constants of object keypoint similarity; None for the file's own, else COCO's.
        limit: At most so many images; None for all.
        seed: Draws the images of ``limit`` at random; None takes the first ones.
    """

    coco: str | None = "val2017"
    folder: Path = Path("data/coco")
    annotations: Path | None = None
    images: Path | None = None
    sigmas: tuple[float, ...] | None = None
    limit: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class EvalOutputs:
    """The files to make; None for those not wanted.

    Attributes:
        results: The rows in the authors' schema; ``.zip`` packs them for the test server.
        report: Everything that was found out, as ``.json`` or ``.md``.
        plots: Folder for the precision-recall curves and the histogram of OKS.
        overwrite: Whether files may be replaced, and an unfinished run of other options thrown away.
        resume: Whether to go on with an unfinished run.
    """

    results: Path | None = None
    report: Path | None = None
    plots: Path | None = None
    overwrite: bool = False
    resume: bool = True


@dataclass(frozen=True, slots=True)
class EvalJob:
    """One evaluation.

    Attributes:
        boxes: ``detections``, ``gt``, ``detector``, or the name of a file of detections.
        scored: A file of results to score instead of running a net.
        detector: What ``detector`` stands for.
        strict: Whether what is wrong with the inputs is an error.
        command: The command line, for provenance.
    """

    data: DataChoice = field(default_factory=DataChoice)
    boxes: str | None = None
    scored: Path | None = None
    model: ModelChoice = field(default_factory=lambda: ModelChoice(flip_test=True))
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    outputs: EvalOutputs = field(default_factory=EvalOutputs)
    strict: bool = False
    command: str = ""
