"""Run an evaluation: ground truth, boxes, poses, results, metrics, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from tposecli.detection.factory import resolve_auto
from tposecli.evaluation.calibration import report as calibration_report
from tposecli.evaluation.calibration.fit import Fitted, fit
from tposecli.evaluation.calibration.samples import samples_of
from tposecli.evaluation.coco import plots
from tposecli.evaluation.coco.average_precision import score_boxes, score_poses
from tposecli.evaluation.coco.boxes import BoxChoice, choose_boxes
from tposecli.evaluation.coco.estimate import MeasuredPoses, measure
from tposecli.evaluation.coco.job import DETECTOR, EvalJob
from tposecli.evaluation.coco.keypoint_set import KeypointSet, Record, load_set
from tposecli.evaluation.coco.per_keypoint import details
from tposecli.evaluation.coco.problems import Problems
from tposecli.evaluation.coco.published import Published, published
from tposecli.evaluation.coco.report import EvalReport, write_report
from tposecli.evaluation.coco.results import NMS, read_results, write_results, write_server_zip
from tposecli.evaluation.explain import plot as explain_plot
from tposecli.evaluation.explain.measure import measure_explanations
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import resolve_device
from tposecli.pipeline.job import Watcher
from tposecli.pipeline.summary import Summary
from tposecli.utils.errors import UsageError
from tposecli.utils.files import check_folder, check_output, refuse_existing
from tposecli.utils.report_tables import check_report
from tposecli.utils.version import __version__

RESCORING = "box score × mean keypoint score above 0.2"
ZIP = ".zip"


def run_eval(job: EvalJob, watcher: Watcher) -> EvalReport:
    """Evaluate a model on a set, or score a results file, and write the requested outputs.

    Raises:
        UsageError: An input does not exist, or an output does; found before the model runs.
        InputError: A file is invalid; with ``strict``, also any other problem with the inputs.
        WeightsError: The model cannot be loaded.
    """
    _check_outputs(job)
    if job.explain is not None and job.scored is not None:
        raise UsageError("--explain measures a model's attention, which a results file lacks; give one of the two")
    _check_calibration(job)
    problems = Problems(job.strict)
    truth = load_set(job.data, problems)
    if job.scored is not None:
        rows = read_results(job.scored, truth, problems)
        protocol = {
            "results": f"of {job.scored}, from another program",
            "OKS-NMS": "as in the file",
            **_set_facts(truth),
        }
        found = EvalReport(job.scored.name, protocol, problems, Summary(truth.title, stills=True))
        return _finish(job, truth, rows, found)
    if job.boxes == DETECTOR:
        device = resolve_device(job.model.device.split(",")[0].strip())
        job = replace(job, detector=resolve_auto(job.detector, device, job.model.downloads))
    boxes = choose_boxes(job, truth, problems)
    measured = measure(job, truth, boxes, problems, watcher)
    outputs = _write_rows(job, truth, measured)
    box_ap = None if measured.boxes is None or not truth.has_truth else score_boxes(truth, measured.boxes)
    summary = replace(measured.summary, failed=problems.images, outputs=outputs)
    estimator = measured.estimator
    found = EvalReport(
        f"{estimator.spec.name}, {_short(boxes)}",
        _protocol(truth, boxes, estimator),
        problems,
        summary,
        published=_published(job, truth, boxes, estimator, problems),
        box_ap=box_ap,
        provenance={**measured.facts, "images_done_before": len(measured.journal.poses)},
    )
    if job.explain is not None:
        found = replace(found, explanations=measure_explanations(job.explain, job.data, truth, estimator, watcher))
    found = replace(found, calibration=_calibrate(job, truth, measured))
    report = _finish(job, truth, measured.rows, found)
    measured.journal.remove()
    watcher.end(report.summary)
    return report


def _check_outputs(job: EvalJob) -> None:
    """Check that the outputs can be written before any work is done."""
    outputs = job.outputs
    check_report(outputs.report)
    for path in (outputs.results, outputs.report, outputs.calibration):
        if path is not None:
            check_output(path, outputs.overwrite)
    if outputs.plots is not None:
        check_folder(outputs.plots.parent)
        names = (explain_plot.NAME, calibration_report.NAME)
        drawn = (*plots.paths(outputs.plots), *(outputs.plots / name for name in names))
        refuse_existing(drawn, outputs.overwrite)


def _check_calibration(job: EvalJob) -> None:
    """Raise UsageError if a calibration is asked for that would be of no use to other commands."""
    if job.outputs.calibration is None:
        return
    if job.scored is not None or job.boxes != DETECTOR:
        raise UsageError("--calibrate says what scores of detected people are worth; add --boxes detector")
    if job.model.flip_test:
        raise UsageError("--calibrate: tpose video and tpose images work without flip test; add --no-flip-test")


def _calibrate(job: EvalJob, truth: KeypointSet, measured: MeasuredPoses) -> Fitted | None:
    """Fit and write the calibration, if it is asked for."""
    path, estimator = job.outputs.calibration, measured.estimator
    if path is None:
        return None
    facts = {
        "model": estimator.spec.name,
        "weights_sha256": estimator.sha256,
        "detector_sha256": measured.facts["boxes_sha256"],
        "set": truth.title,
        "images": len(truth.images),
        "precision": estimator.runtime.precision,
        "tool_version": __version__,
    }
    fitted = fit(samples_of(truth, measured.poses), job.detector.name, facts)
    calibration_report.write_calibration(path, fitted)
    return fitted


def _finish(job: EvalJob, truth: KeypointSet, rows: Sequence[Record], report: EvalReport) -> EvalReport:
    """Return the report with its metrics, after writing it and the plots if requested."""
    outputs = job.outputs
    plot_paths: list[Path] = []
    if truth.has_truth:
        report = replace(report, scores=score_poses(truth, rows), details=details(truth, rows))
    if outputs.plots is not None and report.scores is not None and report.details is not None:
        plot_paths = plots.plot(outputs.plots, report.label, report.scores, report.details)
    if outputs.plots is not None and report.explanations is not None:
        plot_paths.append(outputs.plots / explain_plot.NAME)
        explain_plot.plot_curves(plot_paths[-1], report.label, report.explanations)
    if outputs.plots is not None and report.calibration is not None:
        plot_paths.append(outputs.plots / calibration_report.NAME)
        calibration_report.plot(plot_paths[-1], report.label, report.calibration)
    written = [*report.summary.outputs, *plot_paths]
    if outputs.calibration is not None and report.calibration is not None:
        written.append(outputs.calibration)
    if outputs.report is not None:
        write_report(outputs.report, report, plot_paths)
        written.append(outputs.report)
    return replace(report, summary=replace(report.summary, outputs=written))


def _write_rows(job: EvalJob, truth: KeypointSet, measured: MeasuredPoses) -> list[Path]:
    """Write the results file and, for sets without ground truth, the zip file for the test server."""
    path = job.outputs.results
    algorithm = measured.estimator.spec.name
    if path is None and truth.has_truth:
        return []
    if path is None:
        path = Path(f"person_keypoints_{truth.title}_{algorithm}_results{ZIP}")
    rows, written = truth.in_file_ids(measured.rows), []
    refuse_existing({path, path.with_suffix(ZIP)} if not truth.has_truth else (), job.outputs.overwrite)
    if path.suffix != ZIP:
        write_results(path, rows)
        written.append(path)
    if path.suffix == ZIP or not truth.has_truth:
        zip_path = path.with_suffix(ZIP)
        write_server_zip(zip_path, rows, truth.title, algorithm)
        written.append(zip_path)
    return written


def _short(boxes: BoxChoice) -> str:
    return {"gt": "ground-truth boxes", "detector": "the detector's boxes"}.get(boxes.kind, "detected boxes")


def _set_facts(truth: KeypointSet) -> dict[str, str]:
    images = f"{len(truth.images)} images" if truth.whole else f"{len(truth.images)} of {len(truth.known)} images"
    return {"set": f"{truth.title} ({images})"}


def _protocol(truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator) -> dict[str, str]:
    runtime = estimator.runtime
    height, width = estimator.net.input_hw
    return {
        "boxes": boxes.label,
        "flip test": "on" if estimator.flip_test else "off",
        "rescoring": RESCORING,
        "OKS-NMS": str(NMS),
        "OpenCV": cv2.__version__,
        "precision": f"{runtime.precision} on {runtime.device}",
        "crops": f"{width}x{height}",
        **_set_facts(truth),
    }


def _published(
    job: EvalJob, truth: KeypointSet, boxes: BoxChoice, estimator: PoseEstimator, problems: Problems
) -> Published | None:
    """Return the authors' row for their own weights, with the deviations of this run."""
    spec = estimator.spec
    if spec.bundled or estimator.checkpoint.path.name != spec.file or job.data.annotations is not None:
        return None
    differs: dict[str, Any] = {
        f"only {len(truth.images)} of {len(truth.known)} images": not truth.whole,
        "no flip test": not estimator.flip_test,
        f"{estimator.runtime.precision} instead of fp32": estimator.runtime.precision != "fp32",
        "boxes of another file": boxes.kind == "detections" and boxes.published is None,
        "some inputs were skipped": problems.any,
    }
    return published(spec.name, (truth.title, boxes.kind), tuple(text for text, true in differs.items() if true))
