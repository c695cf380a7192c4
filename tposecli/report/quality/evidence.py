"""Which joints are probably wrong, from what a run itself says: no truth and no pixels are needed.

A joint is wrong if it is off by more than a tenth of the person's height. What speaks for that is weighed by logistic
regression on rendered crowds with exact truth (``tests/studies/check_study.py`` fits and tests the weights).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KeypointLayout
from tposecli.hub.checkpoints.calibration import Calibration
from tposecli.report.columns import Columns
from tposecli.report.moments import disagreement
from tposecli.types import UNTRACKED

Array = NDArray[Any]

WRONG: Final = 0.1
"""A joint that is off by more than this, in heights of the person, is wrong."""
AROUND_S: Final = 0.2
"""Evidence that wavers is averaged over this many seconds before and after."""
EDGE: Final = 1e-3
"""Probabilities are moved away from 0 and 1 by this much, before logarithms."""
UNSTEADY: Final = 0.01
NEAR: Final = 0.05
"""Scales of the two, in sizes of the person."""
SHORTEST: Final = 1e-3
LONG_PERCENTILE: Final = 75

WEIGHTS: Final = {
    "doubt": 1.125,
    "unsteady": 1.084,
    "shared": 1.905,
    "behind": 1.253,
    "long": 1.644,
    "distal": 1.054,
    "": -2.888,
}
"""Of each kind of evidence, and the constant."""


def evidence(columns: Columns, layout: KeypointLayout, calibration: Calibration | None) -> dict[str, Array]:
    """Return (R, K) evidence that each joint is wrong.

    Args:
        columns: R people with K joints.
        layout: The joints.
        calibration: What the scores of the model are worth; None to take them for probabilities.

    Returns:
        ``doubt``: logit of the probability, by the score, that the joint is wrong, averaged over time;
        ``unsteady``: how far measured and smoothed joint are apart, averaged over time;
        ``shared``: 1 where the same joint of another person, or its mirror image, is at the same place, else less;
        ``behind``: share of the box that is covered by the box of somebody nearer to the camera;
        ``long``: logarithm of the length of the bones that end here over what is long for the track;
        ``distal``: 1 for elbows and knees, 2 for wrists and ankles.
    """
    probability = columns.score if calibration is None else calibration.keypoint_probability(columns.score)
    right = np.clip(probability.astype(np.float64), EDGE, 1 - EDGE)
    shared, behind = _beside_others(columns, layout)
    return {
        "doubt": averaged(columns, np.log(1 - right) - np.log(right)),
        "unsteady": averaged(columns, np.log1p(disagreement(columns) / UNSTEADY)),
        "shared": shared,
        "behind": np.broadcast_to(behind[:, None], shared.shape),
        "long": _long_bones(columns, layout),
        "distal": np.broadcast_to([_distal(layout.part(joint)) for joint in range(len(layout))], shared.shape),
    }


def wrong_probability(columns: Columns, layout: KeypointLayout, calibration: Calibration | None) -> Array:
    """Return the (R, K) probabilities that joints are wrong; see :func:`evidence`."""
    found = evidence(columns, layout, calibration)
    logit = sum((WEIGHTS[name] * values for name, values in found.items()), np.full(columns.score.shape, WEIGHTS[""]))
    return np.asarray(1 / (1 + np.exp(-logit)))


def averaged(columns: Columns, values: Array) -> Array:
    """Return the means of (R, K) values over some time around each row of a track."""
    means = np.array(values, np.float64)
    times = columns.time_s[columns.frame]
    for track, rows in columns.tracks():
        if track == UNTRACKED:
            continue
        first, last = (np.searchsorted(times[rows], times[rows] + way * (AROUND_S + 1e-6)) for way in (-1, 1))
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values[rows], axis=0, dtype=np.float64)])
        means[rows] = (total[last] - total[first]) / (last - first)[:, None]
    return means


def _long_bones(columns: Columns, layout: KeypointLayout) -> Array:
    """Return (R, K) how much longer, as a logarithm, the longest bone at each joint is than the track's longer ones."""
    longest = np.zeros(columns.score.shape)
    for ends in layout.limbs:
        length = bone_length(columns, ends)
        for track, rows in columns.tracks():
            if track == UNTRACKED:
                continue
            usual = max(SHORTEST, float(np.percentile(length[rows], LONG_PERCENTILE)))
            excess = np.log(np.maximum(length[rows], SHORTEST) / usual)
            for joint in ends:
                longest[rows, joint] = np.maximum(longest[rows, joint], excess)
    return longest


def bone_length(columns: Columns, ends: tuple[int, int]) -> Array:
    """Return the (R,) lengths of a bone in sizes of the person."""
    return np.asarray(np.hypot(*(columns.xy[:, ends[0]] - columns.xy[:, ends[1]]).T) / columns.person_size)


def _beside_others(columns: Columns, layout: KeypointLayout) -> tuple[Array, Array]:
    """Return (R, K) how near a joint is to that of another person, and the (R,) share of each box behind another."""
    shared, behind = np.zeros(columns.score.shape), np.zeros(len(columns))
    order = np.argsort(columns.frame, kind="stable")
    starts = np.flatnonzero(np.diff(columns.frame[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            distance = _nearest_joint(columns.xy[rows].astype(np.float64), layout)
            shared[rows] = np.exp(-distance / columns.person_size[rows, None] / NEAR)
            behind[rows] = _covered(columns.box[rows].astype(np.float64))
    return shared, behind


def _nearest_joint(xy: Array, layout: KeypointLayout) -> Array:
    """Return the (N, K) distances of each joint to the nearest one of its kind, of either side, of other people."""
    sides = (xy, xy[:, list(layout.mirror)])
    apart = np.min([np.linalg.norm(xy[:, None] - other[None], axis=3) for other in sides], axis=0)
    apart[np.arange(len(xy)), np.arange(len(xy))] = np.inf
    return np.asarray(apart.min(axis=1))


def _covered(box: Array) -> Array:
    """Return the (N,) largest share of each box that is covered by one that ends lower: by somebody nearer."""
    low, high = np.maximum(box[:, None, :2], box[None, :, :2]), np.minimum(box[:, None, 2:], box[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    share = common / np.maximum((box[:, 2:] - box[:, :2]).prod(axis=1), 1)[:, None]
    return np.asarray(np.where(box[None, :, 3] > box[:, None, 3], share, 0).max(axis=1))


def _distal(part: str) -> float:
    return 2.0 if part in ("wrist", "ankle") else 1.0 if part in ("elbow", "knee") else 0.0
