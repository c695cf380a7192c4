"""From points to the body as a whole: how far it has moved and grown."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.similarity import Float64
from tposecli.track.bodies import Bodies

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


def fit(thought: Float64, size: Float64, place: Float64, trust: Float64, bodies: Bodies) -> tuple[Float64, Float64]:
    """How far bodies are from where they were thought to be, and how much larger, with the variances of both.

    The similarity without rotation that best brings the points which were thought to those which were seen, by weighted
    least squares.

    Args:
        thought: (R, P, 2) points, pixels.
        size: (R,) pixels.
        place: (R, 2) pixels.
        trust: (R, P) in the points that were thought.
        bodies: R people who were seen.

    Returns:
        (R, 3) pixels in x and y, and the logarithm of the growth; (R, 3) variances.
    """
    weight = np.sqrt(trust * bodies.trust) * bodies.anatomy.weight
    total = weight.sum(axis=1)
    moved = bodies.points - thought
    middle = np.einsum("rp,rpd->rd", weight, thought) / total[:, None]
    mean = np.einsum("rp,rpd->rd", weight, moved) / total[:, None]
    arm = thought - middle[:, None]
    inertia = np.maximum(np.einsum("rp,rpd,rpd->r", weight, arm, arm), 1e-9)
    growth = np.einsum("rp,rpd,rpd->r", weight, arm, moved - mean[:, None]) / inertia
    growth = np.clip(growth, -MOST_GROWTH, MOST_GROWTH)
    shift = mean + growth[:, None] * (place - middle)
    scatter = np.einsum("rp,rpd,rpd->r", weight, moved, moved) / total - (mean**2).sum(axis=1)
    variance = place_variance(scatter, size)
    size_variance = scatter / np.maximum(inertia / total, 1e-9) + SIZE_NOISE**2
    return np.column_stack([shift, np.log1p(growth)]), np.column_stack([variance, variance, size_variance])
