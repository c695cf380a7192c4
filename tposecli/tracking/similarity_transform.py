"""Fit the shift and the growth of a whole body to the movements of its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.tracking.bodies import Bodies
from tposecli.types import Index

MIN_POSITION_DEVIATION: Final = 0.06
"""Standard deviation of a measured position, body sizes, that remains however well the points agree."""

MIN_LOG_SIZE_DEVIATION: Final = 0.2
"""Likewise for the logarithm of the size."""

MAX_GROWTH: Final = 0.5
"""Largest relative change of size from one observation to the next."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Weighted first and second moments of pairs of a predicted and an observed body, in pixels.

    Attributes:
        centre: (2, ...) mean of the predicted points.
        shift: (2, ...) mean of the observed points minus that of the predicted ones.
        inertia: (...) mean squared distance of the predicted points from their mean.
        stretch: (...) covariance of the predicted points with their movements.
        scatter: (...) mean squared deviation of the points' movements from ``shift``.
    """

    centre: Float64
    shift: Float64
    inertia: Float64
    stretch: Float64
    scatter: Float64

    @classmethod
    def between(cls, points: Float64, confidence: Float64, bodies: Bodies) -> Moments:
        """Return the moments of all (T, N) pairs of T predicted and N observed bodies.

        The weight of a point in a pair is a product of one factor per body, and so is every term of the sums, so a
        single matrix product gives the sums of all pairs.

        Args:
            points: (T, 2, P) predicted points, pixels.
            confidence: (T, P) confidence in them.
            bodies: The N observed bodies.
        """
        predicted = _weighted_monomials(points, np.sqrt(confidence) * bodies.anatomy.weight)
        observed = _weighted_monomials(bodies.points, np.sqrt(bodies.confidence))
        sums = (predicted @ observed.T).reshape(4, len(points), 4, len(bodies.points)).swapaxes(1, 2)
        means = sums / sums[0, 0]
        old, new = means[1:3, 0], means[0, 1:3]
        inertia = means[3, 0] - (old * old).sum(axis=0)
        stretch = means[1, 1] + means[2, 2] - (old * new).sum(axis=0) - inertia
        scatter = means[0, 3] - (new * new).sum(axis=0) - inertia - 2 * stretch
        return cls(old, new - old, inertia, stretch, scatter)

    def __getitem__(self, pairs: Index) -> Moments:
        columns = (getattr(self, name)[..., *pairs] for name in self.__slots__)
        return Moments(*columns)


def _weighted_monomials(points: Float64, weight: Float64) -> Float64:
    """Return 1, x, y and x² + y² of every point, times its weight: (4 M, P) for M bodies."""
    monomials = np.empty((4, *weight.shape))
    x, y = points[:, 0], points[:, 1]
    monomials[0] = weight
    np.multiply(x, weight, out=monomials[1])
    np.multiply(y, weight, out=monomials[2])
    np.multiply(x * x + y * y, weight, out=monomials[3])
    return monomials.reshape(4 * len(points), weight.shape[1])


def position_variance(scatter: Float64, size: Float64) -> Float64:
    """Return the variances of measured positions, in x and y each, square pixels.

    The errors of a body's points are correlated, so averaging does not reduce them: the points count as a single
    measurement whose error is their scatter.

    Args:
        scatter: (R,) as in :class:`Moments`, square pixels.
        size: (R,) sizes of the bodies, pixels.
    """
    return (MIN_POSITION_DEVIATION * size) ** 2 + np.maximum(scatter, 0) / 2


def fit_similarity(pairs: Moments, position: Float64, size: Float64) -> tuple[Float64, Float64]:
    """Return how much R bodies moved and grew relative to their predictions, with variances.

    Fits the similarity transform without rotation that maps the predicted points onto the observed ones, by weighted
    least squares.

    Args:
        pairs: Moments of R pairs.
        position: (R, 2) predicted positions, pixels.
        size: (R,) predicted sizes, pixels.

    Returns:
        (R, 3) movements in x and y, pixels, and logarithms of the growth; (R, 3) variances of these.
    """
    inertia = np.maximum(pairs.inertia, 1e-9)
    growth = np.minimum(np.maximum(pairs.stretch / inertia, -MAX_GROWTH), MAX_GROWTH)
    change, variance = np.empty((2, len(size), 3))
    change[:, :2] = (pairs.shift - growth * (pairs.centre - position.T)).T
    change[:, 2] = np.log1p(growth)
    variance[:, :2] = position_variance(pairs.scatter, size)[:, None]
    variance[:, 2] = np.maximum(pairs.scatter, 0) / inertia + MIN_LOG_SIZE_DEVIATION**2
    return change, variance
