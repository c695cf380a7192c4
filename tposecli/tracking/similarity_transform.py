"""From points to the body as a whole: how far it has moved and grown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.tracking.bodies import Bodies
from tposecli.types import Index

COMMON: Final = 0.06
"""Deviation of a measured place that is left however well the points agree, sizes."""

SIZE_NOISE: Final = 0.2
"""The same for the logarithm of the size."""

MAX_GROWTH: Final = 0.5
"""Nobody grows or shrinks by more than this share from one look to the next."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Pairs of bodies, one as it was thought and one as it was seen, by weighted means over their points, in pixels.

    Attributes:
        centre: (2, ...) of the points that were thought.
        moved: (2, ...) how far from there the centre of those that were seen is.
        inertia: (...) mean squared distance of the points that were thought from their centre.
        stretch: (...) covariance of those with the points' movements.
        scatter: (...) mean squared distance of the points' movements from the body's.
    """

    centre: Float64
    moved: Float64
    inertia: Float64
    stretch: Float64
    scatter: Float64

    @classmethod
    def of(cls, points: Float64, trust: Float64, bodies: Bodies) -> Moments:
        """All (T, N) pairs of T bodies that were thought and N that were seen.

        A point weighs as much in a pair as the two trusts in it allow together, which is a product, and so are the sums
        of its coordinates' products: one product of matrices gives those of all pairs.

        Args:
            points: (T, 2, P) that were thought.
            trust: (T, P) in them.
            bodies: N that were seen.
        """
        thought = _powers(points, np.sqrt(trust) * bodies.anatomy.weight)
        seen = _powers(bodies.points, np.sqrt(bodies.trust))
        sums = (thought @ seen.T).reshape(4, len(points), 4, len(bodies.points)).swapaxes(1, 2)
        means = sums / sums[0, 0]
        old, new = means[1:3, 0], means[0, 1:3]
        inertia = means[3, 0] - (old * old).sum(axis=0)
        stretch = means[1, 1] + means[2, 2] - (old * new).sum(axis=0) - inertia
        scatter = means[0, 3] - (new * new).sum(axis=0) - inertia - 2 * stretch
        return cls(old, new - old, inertia, stretch, scatter)

    def __getitem__(self, pairs: Index) -> Moments:
        columns = (getattr(self, name)[..., *pairs] for name in self.__slots__)
        return Moments(*columns)


def _powers(points: Float64, weight: Float64) -> Float64:
    """(4 M, P) of M bodies: the weight of each point, times 1, x, y, and the square of its distance from 0."""
    powers = np.empty((4, *weight.shape))
    x, y = points[:, 0], points[:, 1]
    powers[0] = weight
    np.multiply(x, weight, out=powers[1])
    np.multiply(y, weight, out=powers[2])
    np.multiply(x * x + y * y, weight, out=powers[3])
    return powers.reshape(4 * len(points), weight.shape[1])


def place_variance(scatter: Float64, size: Float64) -> Float64:
    """Square pixels by which places may be off, in x and y each.

    The points of a body do not err independently: they count as one, which errs as they do about their mean.

    Args:
        scatter: (R,) mean squared distance of the points' movements from the body's, square pixels.
        size: (R,) of the bodies, pixels.
    """
    return (COMMON * size) ** 2 + np.maximum(scatter, 0) / 2


def fit(pairs: Moments, place: Float64, size: Float64) -> tuple[Float64, Float64]:
    """How far R bodies are from where they were thought to be, and how much larger, with the variances of both.

    The similarity without rotation that best brings the points which were thought to those which were seen, by weighted
    least squares.

    Args:
        pairs: R of them.
        place: (R, 2) that was thought, pixels.
        size: (R,) pixels.

    Returns:
        (R, 3) pixels in x and y, and the logarithm of the growth; (R, 3) variances.
    """
    inertia = np.maximum(pairs.inertia, 1e-9)
    growth = np.minimum(np.maximum(pairs.stretch / inertia, -MAX_GROWTH), MAX_GROWTH)
    change, variance = np.empty((2, len(size), 3))
    change[:, :2] = (pairs.moved - growth * (pairs.centre - place.T)).T
    change[:, 2] = np.log1p(growth)
    variance[:, :2] = place_variance(pairs.scatter, size)[:, None]
    variance[:, 2] = np.maximum(pairs.scatter, 0) / inertia + SIZE_NOISE**2
    return change, variance
