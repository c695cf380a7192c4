"""Fit and test what ``tpose check`` takes for wrong: rendered crowds, the bundled nets, and the exact truth.

The weights of half of the clips are printed with the area under the ROC curve on the others, which they have not seen;
a minute or two a clip::

    python -m tests.studies.check_study
    python -m tests.studies.check_study --roc roc.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata

from tests.studies.tracking_study import FPS, Moment, measured, moments
from tposecli.evaluation.clips.matching import Truth, match_people
from tposecli.geometry.keypoints import COCO
from tposecli.hub.checkpoints.calibration import Calibration, find_calibration
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.models.catalog import AUTO_BUNDLED, find_spec
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.report.columns import Collector, Columns
from tposecli.report.quality.evidence import WRONG, evidence
from tposecli.types import Boxes, Frame, Poses, Result

FIT: Final = range(101, 106)
TEST: Final = range(106, 111)
RIDGE: Final = 1.0
"""Keeps weights of rare evidence from growing without end."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Joints:
    """J joints of one clip whose truth is known.

    Attributes:
        evidence: (J, E), the last column 1.
        wrong: (J,) whether they are off by more than a tenth of the person's height.
    """

    evidence: Array
    wrong: NDArray[np.bool_]


def columns_of(found: Sequence[Poses], size_wh: tuple[int, int], calibration: Calibration) -> Columns:
    """Return the columns of measured poses, tracked and smoothed by the defaults."""
    header = {"calibration": calibration.to_dict(), "detector": "bundled"}
    post, collector = PostProcessor.build(PostOptions(), header=header), Collector(len(COCO))
    black = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    for result in post.process(Result(Frame(black, at, at / FPS), poses) for at, poses in enumerate(found)):
        collector.add(result)
    return collector.columns(stills=False)


def errors_of(columns: Columns, truth: Sequence[Poses]) -> Array:
    """Return the (R, K) errors in heights of the person; NaN where there is no truth, or nobody it belongs to."""
    errors = np.full(columns.score.shape, np.nan)
    # The rows take the place of ids, so that the pairs say which row they are of.
    found = [
        Poses(Boxes(columns.box[at], columns.box_score[at]), columns.xy[at], np.maximum(columns.score[at], 0.01), at)
        for at in (np.flatnonzero(columns.frame == frame) for frame in range(len(truth)))
    ]
    known = [Truth(at / FPS, people, np.full(len(people), np.nan)) for at, people in enumerate(truth)]
    pairs = match_people(known, found)
    matched = pairs.given >= 0
    errors[pairs.given[matched]] = (pairs.error / pairs.height[:, None])[matched]
    return errors


def true_poses(clip: Iterable[Moment]) -> list[Poses]:
    """Return the people of each frame; joints outside the image have score 0."""
    shots = [moment.shot for moment in clip]
    return [
        Poses(
            Boxes(shot.full_xyxy, np.ones(len(shot))),
            shot.keypoints[:, :, :2],
            (shot.keypoints[:, :, 2] > 0).astype(np.float32),
            shot.track_id,
        )
        for shot in shots
    ]


def joints_of(columns: Columns, truth: Sequence[Poses], calibration: Calibration) -> Joints:
    """Return evidence and truth of all joints of a clip."""
    errors = errors_of(columns, truth)
    known = np.isfinite(errors)
    parts = [np.broadcast_to(values, known.shape)[known] for values in evidence(columns, COCO, calibration).values()]
    return Joints(np.stack([*parts, np.ones(known.sum())], axis=1), errors[known] > WRONG)


def fitted(joints: Joints) -> Array:
    """Return the (E,) weights of logistic regression with a small ridge."""
    scale = np.append(joints.evidence[:, :-1].std(axis=0), 1.0)
    values, wrong = joints.evidence / scale, joints.wrong

    def loss(weights: Array) -> tuple[float, Array]:
        logit, ridge = values @ weights, 2 * RIDGE * np.append(weights[:-1], 0.0)
        cost = np.logaddexp(0, logit).sum() - logit[wrong].sum() + (ridge * weights).sum() / 2
        return float(cost), values.T @ (1 / (1 + np.exp(-logit)) - wrong) + ridge

    return np.asarray(minimize(loss, np.zeros(values.shape[1]), jac=True, method="L-BFGS-B").x / scale)


def area_under_roc(score: Array, wrong: NDArray[np.bool_]) -> float:
    """Return the probability that a wrong joint scores higher than a right one."""
    bad, good = int(wrong.sum()), int((~wrong).sum())
    return float((rankdata(score)[wrong].sum() - bad * (bad + 1) / 2) / max(1, bad * good))


def joined(parts: Sequence[Joints]) -> Joints:
    """Return the joints of several clips."""
    return Joints(np.concatenate([each.evidence for each in parts]), np.concatenate([each.wrong for each in parts]))


def draw(path: Path, clips: dict[str, tuple[Array, NDArray[np.bool_]]]) -> None:
    """Plot the ROC curve of each clip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="right joints suspected", ylabel="wrong joints suspected", aspect="equal")
    axes.plot([0, 1], [0, 1], "--", color="0.7")
    for name, (score, wrong) in clips.items():
        order = np.argsort(-score)
        share = [np.cumsum(mask[order]) / max(1, mask.sum()) for mask in (~wrong, wrong)]
        axes.plot(*share, label=f"{name}: {area_under_roc(score, wrong):.3f}")
    axes.legend(title="area under the curve", loc="lower right")
    figure.savefig(path, dpi=120)


def main(roc: Path | None) -> None:
    """Print the weights of one half of the clips, and the areas on the other."""
    checkpoint = resolve(AUTO_BUNDLED)
    calibration = find_calibration(checkpoint.path, str(find_spec(AUTO_BUNDLED).sha256))
    assert calibration is not None

    def clip_of(seed: int) -> Joints:
        clip = list(moments(seed, rendered=True))
        columns = columns_of(measured(clip), clip[0].shot.image.shape[1::-1], calibration)
        return joints_of(columns, true_poses(clip), calibration)

    report(joined([clip_of(seed) for seed in FIT]), {str(seed): clip_of(seed) for seed in TEST}, roc)


def report(seen: Joints, others: dict[str, Joints], roc: Path | None = None) -> None:
    """Print the weights of some clips and how they judge the others."""
    weights = fitted(seen)
    print("weights:", np.round(weights, 3).tolist())  # noqa: T201
    print(f"fitted on {len(seen.wrong)} joints: area {area_under_roc(seen.evidence @ weights, seen.wrong):.3f}")  # noqa: T201
    for name, each in others.items():
        expected = float((1 / (1 + np.exp(-each.evidence @ weights))).mean())
        area = area_under_roc(each.evidence @ weights, each.wrong)
        true = float(each.wrong.mean())
        print(f"{name}: {len(each.wrong)} joints, {true:.1%} wrong, {expected:.1%} expected, area {area:.3f}")  # noqa: T201
    if roc is not None:
        draw(roc, {name: (each.evidence @ weights, each.wrong) for name, each in others.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roc", type=Path, help="plot the ROC curves here")
    main(parser.parse_args().roc)
