"""The ten figures of the COCO API, by faster-coco-eval, whose numbers equal pycocotools' to the last bit."""

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
"""OKS from which on a pose counts as found, of the precision-recall curves shown besides the mean."""

ONE_POSE: Final = 1 / (1 + float(np.spacing(1)))
"""Precision of one right pose in pycocotools."""


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """What the COCO API says.

    Attributes:
        figures: The ten of ``FIGURES``, 0..1; None where the set has no people of that size.
        precision: By name of the curve, (101,) precision at recall 0, 0.01 ... 1; empty where the set has no people.
    """

    figures: tuple[float | None, ...]
    precision: dict[str, Float64]

    def as_json(self) -> dict[str, float | None]:
        """The figures by name."""
        return dict(zip(FIGURES, self.figures, strict=True))


def score_poses(truth: KeypointSet, rows: Sequence[Record]) -> Scores:
    """Score rows of results; none at all gives zeros."""
    bare = [{field: row[field] for field in SERVER_FIELDS} for row in rows]
    judge = _judge(truth, bare, "keypoints", kpt_oks_sigmas=truth.sigmas)
    return Scores(tuple(_figure(value) for value in judge.stats[: len(FIGURES)]), _curves(judge))


def score_boxes(truth: KeypointSet, rows: Sequence[Record]) -> float | None:
    """AP of boxes on all annotated people, whether they have keypoints or not; 0..1, None where there are none."""
    return _figure(_judge(truth, rows, "bbox").stats[0])


def _judge(truth: KeypointSet, rows: Sequence[Record], kind: str, **options: Any) -> Any:
    dataset = truth.as_coco()
    annotated = COCO(dataset)
    found = annotated.loadRes([dict(row) for row in rows])
    judge = COCOeval_faster(annotated, found, kind, print_function=_silent, **options)
    judge.params.catIds = [truth.category]
    people = [p for p in dataset["annotations"] if not p["iscrowd"] and (kind == "bbox" or p["num_keypoints"])]
    _evaluate(judge, np.array([person["area"] for person in people], np.float64))
    judge.summarize()
    return judge


def _evaluate(judge: Any, areas: Float64) -> None:
    """Evaluate and accumulate, with precision to the last bit as pycocotools has it.

    That one divides by the number of poses plus the smallest double, which matters for the very first pose only: right,
    it counts 1 less one bit, where faster-coco-eval says 1. It shows in the figures when the second pose is wrong.
    Whether it is, is told by precision at a recall that two people reach and one does not.

    Args:
        judge: The COCO API's.
        areas: Of the people who count.
    """
    ranges = judge.params.areaRng
    count = [max(1, int(((areas >= low) & (areas <= high)).sum())) for low, high in ranges]
    usual, extra = judge.params.recThrs, 1.5 / np.array(count)
    order = np.argsort(np.concatenate([usual, extra]), kind="stable")
    place = np.argsort(order)
    judge.params.recThrs = np.concatenate([usual, extra])[order]
    judge.evaluate()
    judge.accumulate()
    judge.params.recThrs = usual
    precision = np.asarray(judge.eval["precision"])
    found = precision[:, place[: len(usual)]]
    for area, second in enumerate(place[len(usual) :]):
        alone = precision[:, second, :, area] != 1
        found[:, :, :, area][(found[:, :, :, area] == 1) & alone[:, None]] = ONE_POSE
    judge.eval["precision"] = found


def _silent(*_: Any) -> None:
    """Takes what the library would print."""


def _figure(value: float) -> float | None:
    return None if value < 0 else float(value)


def _curves(judge: Any) -> dict[str, Float64]:
    """Of people of all sizes."""
    precision = np.asarray(judge.eval["precision"])[:, :, 0, 0, -1]
    if (precision < 0).any():
        return {}
    found = {f"OKS .50:.95 (AP {precision.mean():.3f})": precision.mean(axis=0)}
    for threshold in CURVES:
        curve = precision[np.isclose(judge.params.iouThrs, threshold)][0]
        found[f"OKS {threshold:.2f} (AP {curve.mean():.3f})"] = curve
    return found
