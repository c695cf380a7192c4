"""The ten COCO metrics, computed by faster-coco-eval with results equal to pycocotools' to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from tposecli.evaluation.coco.keypoint_set import Float64, KeypointSet, Record
from tposecli.evaluation.coco.results import SERVER_FIELDS

FIGURES: Final = ("AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)")
CURVES: Final = (0.5, 0.75)
"""OKS thresholds of the precision-recall curves that are plotted besides the mean."""

ONE_POSE: Final = 1 / (1 + float(np.spacing(1)))
"""Precision of a single correct pose in pycocotools."""


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """The result of the COCO API.

    Attributes:
        figures: The ten metrics of ``FIGURES``, 0..1; None if the set has no people of that size.
        precision: By curve name, (101,) precision at recall 0, 0.01 ... 1; empty if the set has no people.
    """

    figures: tuple[float | None, ...]
    precision: dict[str, Float64]

    def to_dict(self) -> dict[str, float | None]:
        """Return the metrics by name."""
        return dict(zip(FIGURES, self.figures, strict=True))


def score_poses(truth: KeypointSet, rows: Sequence[Record]) -> Scores:
    """Score results; no results at all give zeros."""
    bare = [{field: row[field] for field in SERVER_FIELDS} for row in rows]
    evaluator = _run_evaluator(truth, bare, "keypoints", kpt_oks_sigmas=truth.sigmas)
    return Scores(tuple(_figure(value) for value in evaluator.stats[: len(FIGURES)]), _curves(evaluator))


def score_boxes(truth: KeypointSet, rows: Sequence[Record]) -> float | None:
    """Return the AP of boxes over all annotated people, with or without keypoints; 0..1, None if there are none."""
    return _figure(_run_evaluator(truth, rows, "bbox").stats[0])


def _run_evaluator(truth: KeypointSet, rows: Sequence[Record], kind: str, **options: Any) -> Any:
    dataset = truth.as_coco()
    annotated = COCO(dataset)
    found = annotated.loadRes([dict(row) for row in rows])
    evaluator = COCOeval_faster(annotated, found, kind, print_function=_discard, **options)
    evaluator.params.catIds = [truth.category]
    people = [p for p in dataset["annotations"] if not p["iscrowd"] and (kind == "bbox" or p["num_keypoints"])]
    _evaluate(evaluator, np.array([person["area"] for person in people], np.float64))
    evaluator.summarize()
    return evaluator


def _evaluate(evaluator: Any, areas: Float64) -> None:
    """Evaluate and accumulate, reproducing pycocotools' precision to the last bit.

    pycocotools divides by the number of poses plus the smallest double, which only affects the very first pose: if it
    is correct, its precision is 1 minus one bit, where faster-coco-eval has 1. This shows in the metrics if the second
    pose is wrong; whether it is, is determined from the precision at a recall that two people reach and one does not.

    Args:
        evaluator: The evaluator of the COCO API.
        areas: Areas of the people who count.
    """
    ranges = evaluator.params.areaRng
    count = [max(1, int(((areas >= low) & (areas <= high)).sum())) for low, high in ranges]
    usual, extra = evaluator.params.recThrs, 1.5 / np.array(count)
    order = np.argsort(np.concatenate([usual, extra]), kind="stable")
    place = np.argsort(order)
    evaluator.params.recThrs = np.concatenate([usual, extra])[order]
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.params.recThrs = usual
    precision = np.asarray(evaluator.eval["precision"])
    found = precision[:, place[: len(usual)]]
    for area, second in enumerate(place[len(usual) :]):
        second_wrong = precision[:, second, :, area] != 1
        found[:, :, :, area][(found[:, :, :, area] == 1) & second_wrong[:, None]] = ONE_POSE
    evaluator.eval["precision"] = found


def _discard(*_: Any) -> None:
    """Discard what the library would print."""


def _figure(value: float) -> float | None:
    return None if value < 0 else float(value)


def _curves(evaluator: Any) -> dict[str, Float64]:
    """Return the curves for people of all sizes."""
    precision = np.asarray(evaluator.eval["precision"])[:, :, 0, 0, -1]
    if (precision < 0).any():
        return {}
    found = {f"OKS .50:.95 (AP {precision.mean():.3f})": precision.mean(axis=0)}
    for threshold in CURVES:
        curve = precision[np.isclose(evaluator.params.iouThrs, threshold)][0]
        found[f"OKS {threshold:.2f} (AP {curve.mean():.3f})"] = curve
    return found
