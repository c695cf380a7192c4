"""The ten figures of the COCO API, by faster-coco-eval, whose numbers equal pycocotools' to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from tposecli.evaluate.keypoint_set import Float64, KeypointSet, Record
from tposecli.evaluate.rows import SERVER_FIELDS

FIGURES: Final = ("AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)")
CURVES: Final = (0.5, 0.75)
"""OKS from which on a pose counts as found, of the precision-recall curves shown besides the mean."""


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
    annotated = COCO(truth.as_coco())
    found = annotated.loadRes([dict(row) for row in rows])
    judge = COCOeval_faster(annotated, found, kind, print_function=_silent, **options)
    judge.params.catIds = [truth.category]
    judge.run()
    return judge


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
