"""From points to the body as a whole: how far it has moved and grown."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.similarity import Float64

COMMON: Final = 0.06
"""Deviation of a measured place that is left however well the points agree, sizes."""

SIZE_NOISE: Final = 0.2
"""The same for the logarithm of the size."""

MOST_GROWTH: Final = 0.5
"""Nobody grows or shrinks by more than this share from one look to the next."""


def place_variance(scatter: Float64, size: Float64) -> Float64:
    """Square pixels by which places may be off, in x and y each.

    The points of a body do not err independently: they count as one, which errs as they do about their mean.

    Args:
        scatter: (R,) mean squared distance of the points' movements from the body's, square pixels.
        size: (R,) of the bodies, pixels.
    """
    return (COMMON * size) ** 2 + np.maximum(scatter, 0) / 2


def fit(arms: Float64, moved: Float64, weight: Float64, size: Float64) -> tuple[Float64, Float64]:
    """How far bodies are from where they were thought to be, and how much larger, with the variances of both.

    The similarity without rotation that best brings the points which were thought to those which were seen, by weighted
    least squares.

    Args:
        arms: (R, 2, P) points that were thought, from the place of the body, pixels.
        moved: (R, 2, P) points that were seen from those, pixels.
        weight: (R, P) of the points.
        size: (R,) pixels.

    Returns:
        (R, 3) pixels in x and y, and the logarithm of the growth; (R, 3) variances.
    """
    share = weight / weight.sum(axis=1, keepdims=True)
    both = np.concatenate([arms, moved], axis=1)
    weighted = both * share[:, None]
    mean = weighted.sum(axis=2)
    moments = weighted @ both.swapaxes(1, 2) - mean[:, :, None] * mean[:, None]
    inertia = np.maximum(moments[:, 0, 0] + moments[:, 1, 1], 1e-9)
    scatter = moments[:, 2, 2] + moments[:, 3, 3]
    growth = (moments[:, 0, 2] + moments[:, 1, 3]) / inertia
    growth = np.minimum(np.maximum(growth, -MOST_GROWTH), MOST_GROWTH)
    change, variance = np.empty((2, len(size), 3))
    change[:, :2] = mean[:, 2:] - growth[:, None] * mean[:, :2]
    change[:, 2] = np.log1p(growth)
    variance[:, :2] = place_variance(scatter, size)[:, None]
    variance[:, 2] = scatter / inertia + SIZE_NOISE**2
    return change, variance
