"""How much a person who is seen now resembles one who is known."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.similarity import Float64, Indices
from tposecli.track.bodies import CORNERS, Anatomy, Bodies
from tposecli.track.fit import place_variance
from tposecli.track.memory import Expected, Tracks
from tposecli.track.options import TrackOptions

REACH: Final = 4.0
"""Deviations of the place, besides half a body, beyond which nobody is compared."""

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


def likeness(tracks: Tracks, expected: Expected, bodies: Bodies, time_s: float, options: TrackOptions) -> Float64:
    """(T, N) in 0..1; 0 for those who are too far apart to be compared, or to come up to the gate.

    A mean of the similarity of keypoints (OKS, as COCO defines it, weighted by scores) and of the overlap of the boxes,
    both after the predicted body was moved to where the Kalman filter would then see it; less the further that is,
    measured by how well the place is known.
    """
    result = np.zeros((len(tracks), len(bodies.points)))
    rows, people = _near(expected, bodies)
    if not len(rows):
        return result
    moved = bodies.points[people] - expected.points[rows]
    trust = tracks.trust[rows] * bodies.trust[people]
    shift, place = _shift(moved, np.sqrt(trust) * bodies.anatomy.weight, expected.variance[rows], expected.size[rows])
    moved -= shift[:, :, None]
    kept = place >= options.gate
    if not kept.all():
        rows, people, place, moved, trust = rows[kept], people[kept], place[kept], moved[kept], trust[kept]
    trust = trust[:, :-CORNERS]
    say = trust.sum(axis=1)
    away = np.minimum(np.maximum(time_s - tracks.seen_s, 0), LOOSE_FOR_S)
    alike = _alike(moved[:, :, :-CORNERS], _tolerance(expected.size, away, bodies.anatomy)[rows])
    oks = (alike * trust).sum(axis=1) / np.maximum(say, 1e-9)
    boxes = bodies.points[people, :, -CORNERS:]
    iou = _overlap(boxes - moved[:, :, -CORNERS:], boxes)
    share = options.oks_weight * np.minimum(say / ENOUGH, 1)
    result[rows, people] = place * (share * oks + (1 - share) * iou)
    return result


def _shift(moved: Float64, weight: Float64, known: Float64, size: Float64) -> tuple[Float64, Float64]:
    """How far a Kalman filter would move each of M bodies, and the likeness of that movement.

    Args:
        moved: (M, 2, P) points that were seen from those that were thought, pixels.
        weight: (M, P) what each says of the body's place.
        known: (M,) variance of the place that was thought, square pixels.
        size: (M,) pixels.

    Returns:
        (M, 2) pixels and (M,) in 0..1, which falls off with a long tail: people do turn.
    """
    weighted = moved * (weight / weight.sum(axis=1, keepdims=True))[:, None]
    shift: Float64 = weighted.sum(axis=2)
    squared = (shift * shift).sum(axis=1)
    scatter = (weighted * moved).sum(axis=(1, 2)) - squared
    spread = known + place_variance(scatter, size)
    return shift * (known / spread)[:, None], 1 / (1 + squared / spread / TAIL)


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


def _near(expected: Expected, bodies: Bodies) -> tuple[Indices, Indices]:
    """Rows and people who may be the same."""
    reach = REACH * np.sqrt(expected.variance) + expected.size / 2
    apart = np.abs(expected.place[:, None] - bodies.centre)
    near = np.maximum(apart[:, :, 0], apart[:, :, 1]) <= reach[:, None] + bodies.size / 2
    rows, people = near.nonzero()
    return rows, people


def _overlap(first: Float64, second: Float64) -> Float64:
    """(M,) intersection over union of M pairs of boxes, (M, 2, 2): x, then y, of left-top and right-bottom."""
    sides = np.minimum(first[:, :, 1], second[:, :, 1]) - np.maximum(first[:, :, 0], second[:, :, 0])
    common = np.maximum(sides, 0).prod(axis=1)
    both = (first[:, :, 1] - first[:, :, 0]).prod(axis=1) + (second[:, :, 1] - second[:, :, 0]).prod(axis=1)
    return np.asarray(common / np.maximum(both - common, 1e-9))
