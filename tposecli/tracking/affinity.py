"""How much a person who is seen now resembles one who is known."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.tracking.bodies import CORNERS, Anatomy, Bodies
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.similarity_transform import Moments, place_variance
from tposecli.tracking.tracks import Expected, Tracks

ENOUGH: Final = 5.0
"""Summed trust in shared keypoints from which on they have their full say."""

LOOSE_PER_S: Final = 0.6
"""How fast a limb's tolerance grows while a person is out of sight, body sizes per second."""

LOOSE_FOR_S: Final = 0.35
"""Tolerances stop growing after this time."""

TAIL: Final = 4.0
"""Squared deviations from the expected place at which the likeness has halved."""

SURE: Final = 0.08
"""Deviation of the place, body sizes, up to which a track is preferred to one whose place is less known."""

AREA: Final = 0.35
"""Area of a body by the square of its size: what OKS measures distances by."""


def likeness(
    tracks: Tracks, expected: Expected, pairs: Moments, bodies: Bodies, time_s: float, options: TrackOptions
) -> Float64:
    """(T, N) in 0..1; 0 for those who are too far apart to come up to the gate.

    A mean of the similarity of keypoints (OKS, as COCO defines it, weighted by scores) and of the overlap of the boxes,
    both after the predicted body was moved to where the Kalman filter would then see it; less the further that is,
    measured by how well the place is known.
    """
    shift, place = _shift(expected, pairs)
    rows, people = near = (place >= options.gate).nonzero()
    result = np.zeros(place.shape)
    if not len(rows):
        return result
    seen = bodies.points[people]
    moved = seen - expected.points[rows] - shift[:, rows, people].T[:, :, None]
    trust = (tracks.trust[rows] * bodies.trust[people])[:, :-CORNERS]
    say = trust.sum(axis=1)
    away = np.minimum(np.maximum(time_s - tracks.seen_s, 0), LOOSE_FOR_S)
    alike = _alike(moved[:, :, :-CORNERS], _tolerance(expected.size, away, bodies.anatomy)[rows])
    oks = (alike * trust).sum(axis=1) / np.maximum(say, 1e-9)
    boxes = seen[:, :, -CORNERS:]
    iou = _overlap(boxes - moved[:, :, -CORNERS:], boxes)
    share = options.oks_weight * np.minimum(say / ENOUGH, 1)
    result[near] = place[near] * (share * oks + (1 - share) * iou)
    return result


def _shift(expected: Expected, pairs: Moments) -> tuple[Float64, Float64]:
    """How far a Kalman filter would move each of T bodies to be each of N, and the likeness of that movement.

    Returns:
        (2, T, N) pixels and (T, N) in 0..1, which falls off with a long tail: people do turn.
    """
    known = expected.variance[:, None]
    spread = known + place_variance(pairs.scatter, expected.size[:, None])
    squared = (pairs.moved * pairs.moved).sum(axis=0)
    return pairs.moved * (known / spread), 1 / (1 + squared / spread / TAIL)


def _tolerance(size: Float64, away_s: Float64, anatomy: Anatomy) -> Float64:
    """(T, K) square pixels that keypoints may be off, of bodies that were last seen some time ago."""
    loose = ((LOOSE_PER_S * away_s) ** 2)[:, None] * anatomy.loose
    tolerance: Float64 = (2 * AREA * size**2)[:, None] * (anatomy.tolerance + loose)
    return tolerance


def _alike(moved: Float64, tolerance: Float64) -> Float64:
    """(M, K) in 0..1: similarity of keypoints that are (M, 2, K) pixels apart."""
    alike: Float64 = np.exp(-(moved[:, 0] ** 2 + moved[:, 1] ** 2) / tolerance)
    return alike


def certainty(expected: Expected) -> Float64:
    """(T,) in 0..1: how well the place of each is known."""
    sure: Float64 = (1 + expected.variance / (SURE * expected.size) ** 2) ** -0.2
    return sure


def _overlap(first: Float64, second: Float64) -> Float64:
    """(M,) intersection over union of M pairs of boxes, (M, 2, 2): x, then y, of left-top and right-bottom."""
    sides = np.minimum(first[:, :, 1], second[:, :, 1]) - np.maximum(first[:, :, 0], second[:, :, 0])
    common = np.maximum(sides, 0).prod(axis=1)
    both = (first[:, :, 1] - first[:, :, 0]).prod(axis=1) + (second[:, :, 1] - second[:, :, 0]).prod(axis=1)
    return np.asarray(common / np.maximum(both - common, 1e-9))
