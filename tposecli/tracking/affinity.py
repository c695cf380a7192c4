"""Affinity between tracks and the people detected in the current frame."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.tracking.bodies import CORNERS, Anatomy, Bodies
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.similarity_transform import Moments, position_variance
from tposecli.tracking.tracks import PredictedBodies, Tracks

FULL_KEYPOINT_CONFIDENCE: Final = 5.0
"""Summed confidence of shared keypoints from which OKS gets its full weight against the IoU of the boxes."""

TOLERANCE_GROWTH_PER_S: Final = 0.6
"""Growth of a limb keypoint's tolerance while a person is out of sight, body sizes per second."""

MAX_TOLERANCE_GROWTH_S: Final = 0.35
"""Time out of sight, seconds, after which tolerances stop growing."""

HALVING_SQUARED_DISTANCE: Final = 4.0
"""Squared Mahalanobis distance from the predicted position at which the affinity is halved."""

CERTAIN_DEVIATION: Final = 0.08
"""Standard deviation of a track's position, body sizes, at which its certainty begins to drop noticeably."""

AREA_RATIO: Final = 0.35
"""Area of a body relative to its squared size; OKS normalises distances by the area."""


def affinity_matrix(
    tracks: Tracks, predicted: PredictedBodies, pairs: Moments, bodies: Bodies, time_s: float, options: TrackOptions
) -> Float64:
    """Return the (T, N) affinities of tracks and people, in 0..1; 0 where the positions alone rule a match out.

    The affinity is a weighted mean of keypoint similarity (OKS as defined by COCO, weighted by scores) and box IoU.
    Both are measured after the predicted body has been moved to where the Kalman filter would correct it to, and the
    mean is multiplied by the affinity of that shift, which depends on how certain the position is.
    """
    shift, position = _position_affinity(predicted, pairs)
    # The other factor is at most 1, so pairs that fail on position alone need no keypoint comparison.
    rows, people = near = (position >= options.gate).nonzero()
    result = np.zeros(position.shape)
    if not len(rows):
        return result
    seen = bodies.points[people]
    moved = seen - predicted.points[rows] - shift[:, rows, people].T[:, :, None]
    confidence = (tracks.confidence[rows] * bodies.confidence[people])[:, :-CORNERS]
    shared = confidence.sum(axis=1)
    away = np.minimum(np.maximum(time_s - tracks.last_seen_s, 0), MAX_TOLERANCE_GROWTH_S)
    similarity = _keypoint_similarity(moved[:, :, :-CORNERS], _tolerance(predicted.size, away, bodies.anatomy)[rows])
    oks = (similarity * confidence).sum(axis=1) / np.maximum(shared, 1e-9)
    boxes = seen[:, :, -CORNERS:]
    iou = _overlap(boxes - moved[:, :, -CORNERS:], boxes)
    share = options.oks_weight * np.minimum(shared / FULL_KEYPOINT_CONFIDENCE, 1)
    result[near] = position[near] * (share * oks + (1 - share) * iou)
    return result


def _position_affinity(predicted: PredictedBodies, pairs: Moments) -> tuple[Float64, Float64]:
    """Return the Kalman corrections that would move each of T bodies onto each of N people, and their affinities.

    Returns:
        (2, T, N) shifts in pixels, and (T, N) affinities in 0..1. These have a long tail, because people change
        direction abruptly.
    """
    known = predicted.variance[:, None]
    spread = known + position_variance(pairs.scatter, predicted.size[:, None])
    squared = (pairs.shift * pairs.shift).sum(axis=0)
    return pairs.shift * (known / spread), 1 / (1 + squared / spread / HALVING_SQUARED_DISTANCE)


def _tolerance(size: Float64, away_s: Float64, anatomy: Anatomy) -> Float64:
    """Return the (T, K) squared OKS tolerances, square pixels, of bodies unseen for ``away_s`` seconds."""
    tolerance_growth = ((TOLERANCE_GROWTH_PER_S * away_s) ** 2)[:, None] * anatomy.tolerance_growth
    tolerance: Float64 = (2 * AREA_RATIO * size**2)[:, None] * (anatomy.tolerance + tolerance_growth)
    return tolerance


def _keypoint_similarity(moved: Float64, tolerance: Float64) -> Float64:
    """Return the (M, K) similarities, in 0..1, of keypoints that are (M, 2, K) pixels apart."""
    similarity: Float64 = np.exp(-(moved[:, 0] ** 2 + moved[:, 1] ** 2) / tolerance)
    return similarity


def certainty(predicted: PredictedBodies) -> Float64:
    """Return how well the position of each track is known, (T,) in 0..1."""
    certain: Float64 = (1 + predicted.variance / (CERTAIN_DEVIATION * predicted.size) ** 2) ** -0.2
    return certain


def _overlap(first: Float64, second: Float64) -> Float64:
    """Return the (M,) intersections over union of M pairs of boxes.

    Args:
        first: (M, 2, 2): x then y, each of the top-left and of the bottom-right corner.
        second: Likewise.
    """
    sides = np.minimum(first[:, :, 1], second[:, :, 1]) - np.maximum(first[:, :, 0], second[:, :, 0])
    common = np.maximum(sides, 0).prod(axis=1)
    both = (first[:, :, 1] - first[:, :, 0]).prod(axis=1) + (second[:, :, 1] - second[:, :, 0]).prod(axis=1)
    return np.asarray(common / np.maximum(both - common, 1e-9))
