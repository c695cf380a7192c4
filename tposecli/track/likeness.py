"""How much a person who is seen now resembles one who is known."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.similarity import Float64, Indices
from tposecli.track.bodies import CORNERS, Anatomy, Bodies
from tposecli.track.fit import place_variance
from tposecli.track.memory import Tracks
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


def likeness(tracks: Tracks, bodies: Bodies, time_s: float, options: TrackOptions) -> Float64:
    """(T, N) in 0..1; 0 for those who are too far apart to be compared.

    A mean of the similarity of keypoints (OKS, as COCO defines it, weighted by scores) and of the overlap of the boxes,
    both after the predicted body was moved to where the Kalman filter would then see it; less the further that is,
    measured by how well the place is known.
    """
    result = np.zeros((len(tracks), len(bodies.points)))
    rows, people = _near(tracks, bodies)
    if not len(rows):
        return result
    thought, size = tracks.points[rows], tracks.size[rows]
    moved = bodies.points[people] - thought
    trust = tracks.trust[rows] * bodies.trust[people]
    shift, place = _shift(moved, trust, tracks.motion.variance[rows, 0], size, bodies.anatomy.weight)
    moved -= shift[:, None]
    say = trust[:, :-CORNERS].sum(axis=1)
    away = np.clip(time_s - tracks.seen_s[rows], 0, LOOSE_FOR_S)
    alike = _alike(moved[:, :-CORNERS], size, away, bodies.anatomy)
    oks = (alike * trust[:, :-CORNERS]).sum(axis=1) / np.maximum(say, 1e-9)
    iou = _overlap(bodies.points[people, -CORNERS:] - moved[:, -CORNERS:], bodies.points[people, -CORNERS:])
    share = options.oks_weight * np.minimum(say / ENOUGH, 1)
    result[rows, people] = place * (share * oks + (1 - share) * iou)
    return result


def _shift(moved: Float64, trust: Float64, known: Float64, size: Float64, points: Float64) -> tuple[Float64, Float64]:
    """How far a Kalman filter would move each of M bodies, and the likeness of that movement.

    Args:
        moved: (M, P, 2) points that were seen from those that were thought, pixels.
        trust: (M, P) in both.
        known: (M,) variance of the place that was thought, square pixels.
        size: (M,) pixels.
        points: (P,) what each says of the body's place.

    Returns:
        (M, 2) pixels and (M,) in 0..1, which falls off with a long tail: people do turn.
    """
    weight = np.sqrt(trust) * points
    total = weight.sum(axis=1)
    shift: Float64 = np.einsum("mp,mpd->md", weight, moved) / total[:, None]
    squared = (shift**2).sum(axis=1)
    scatter = np.einsum("mp,mpd,mpd->m", weight, moved, moved) / total - squared
    spread = known + place_variance(scatter, size)
    return shift * (known / spread)[:, None], 1 / (1 + squared / spread / TAIL)


def _alike(moved: Float64, size: Float64, away_s: Float64, anatomy: Anatomy) -> Float64:
    """(M, K) in 0..1: similarity of keypoints that are (M, K, 2) pixels apart, and were last seen some time ago."""
    tolerance = (2 * anatomy.sigmas) ** 2 + (LOOSE_PER_S * away_s[:, None] * anatomy.loose) ** 2
    alike: Float64 = np.exp(-(moved**2).sum(axis=2) / (2 * AREA * size[:, None] ** 2 * tolerance))
    return alike


def certainty(tracks: Tracks) -> Float64:
    """(T,) in 0..1: how well the place of each is known."""
    sure: Float64 = (1 + tracks.motion.variance[:, 0] / (SURE * tracks.size) ** 2) ** -0.2
    return sure


def _near(tracks: Tracks, bodies: Bodies) -> tuple[Indices, Indices]:
    """Rows and people who may be the same."""
    reach = REACH * np.sqrt(tracks.motion.variance[:, 0]) + tracks.size / 2
    apart = np.abs(tracks.place[:, None] - bodies.centre[None]).max(axis=2)
    rows, people = np.nonzero(apart <= reach[:, None] + bodies.size[None] / 2)
    return rows, people


def _overlap(first: Float64, second: Float64) -> Float64:
    """(M,) intersection over union of M pairs of boxes, (M, 2, 2) left-top and right-bottom."""
    sides = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    common = np.maximum(sides, 0).prod(axis=1)
    both = (first[:, 1] - first[:, 0]).prod(axis=1) + (second[:, 1] - second[:, 0]).prod(axis=1)
    return np.asarray(common / np.maximum(both - common, 1e-9))
