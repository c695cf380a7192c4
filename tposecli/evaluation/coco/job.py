"""The settings of ``tpose eval``, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tposecli.detection.factory import DetectorOptions
from tposecli.evaluation.explain.options import ExplainOptions
from tposecli.inference.options import ModelChoice

DETECTIONS = "detections"
TRUTH = "gt"
DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class DataChoice:
    """Which images to evaluate, and their ground truth.

    Attributes:
        coco: Name of a set in the authors' layout, such as ``val2017``; None for a custom set.
        folder: Root folder of that layout.
        annotations: COCO keypoint file of a custom set.
        images: Image folder of a custom set, or a zip file of the images.
        sigmas: K constants of object keypoint similarity; None for those in the file, or COCO's.
        limit: Maximum number of images; None for all.
        seed: Random seed to draw the images of ``limit``; None takes the first ones.
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
    """The files to write; None for those not wanted.

    Attributes:
        results: Results in the authors' schema; ``.zip`` packs them for the test server.
        report: Full report, as ``.json`` or ``.md``.
        plots: Folder for the precision-recall curves and the histogram of OKS.
        calibration: What the scores say, fitted on this set; belongs beside the weights.
        overwrite: Replace existing files, and discard an unfinished run with other options.
        resume: Continue an unfinished run.
    """

    results: Path | None = None
    report: Path | None = None
    plots: Path | None = None
    overwrite: bool = False
    resume: bool = True
    calibration: Path | None = None


@dataclass(frozen=True, slots=True)
class EvalJob:
    """One evaluation.

    Attributes:
        data: The images and their ground truth.
        boxes: ``detections``, ``gt``, ``detector``, or the path of a file of detections.
        scored: A results file to score instead of running a model.
        model: The model and how it is run.
        detector: The detector that ``boxes="detector"`` uses.
        outputs: The files to write.
        strict: Treat problems in the inputs as errors.
        command: The command line, for provenance.
        explain: How explanations are measured; None to leave them out.
    """

    data: DataChoice = field(default_factory=DataChoice)
    boxes: str | None = None
    scored: Path | None = None
    model: ModelChoice = field(default_factory=lambda: ModelChoice(flip_test=True))
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    outputs: EvalOutputs = field(default_factory=EvalOutputs)
    strict: bool = False
    command: str = ""
    explain: ExplainOptions | None = None
