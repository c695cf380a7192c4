"""Constant-velocity Kalman filters, many at once, whose time is seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.types import Index

VALUE, RATE, VARIANCE, COVARIANCE, RATE_VARIANCE = range(5)

GAINS, LEARNT_FROM = np.array([0, 1, 1]), np.array([VARIANCE, VARIANCE, COVARIANCE])
"""Which gain times which old number each of the three variances loses by a measurement."""


@dataclass(frozen=True, eq=False, slots=True)
class KalmanState:
    """One filter for each of D numbers (x, y and the logarithm of the size) of each of T bodies.

    A number moves on evenly, pushed about by white noise in its acceleration (Bar-Shalom, Li, Kirubarajan, Estimation
    with Applications to Tracking and Navigation, 2001, section 6.2.2), so any step of time is as good as another.

    Attributes:
        state: (T, D, 5) value, rate per second, variance of the value, covariance of both, variance of the rate.
    """

    state: Float64

    @classmethod
    def begun(cls, value: Float64, deviation: Float64, rate_deviation: Float64) -> KalmanState:
        """At rest, with (T, D) values and deviations."""
        state = np.zeros((*value.shape, 5))
        state[..., VALUE], state[..., VARIANCE], state[..., RATE_VARIANCE] = value, deviation**2, rate_deviation**2
        return cls(state)

    @property
    def value(self) -> Float64:
        """(T, D)."""
        return self.state[..., VALUE]

    @property
    def variance(self) -> Float64:
        """(T, D) of the value."""
        return self.state[..., VARIANCE]

    def after(self, elapsed_s: float, push: Float64) -> KalmanState:
        """The filters ``elapsed_s`` later.

        Args:
            push: (T, D) spectral density of the acceleration's noise: units squared per second cubed.
        """
        step, noise = _step(elapsed_s)
        return KalmanState(self.state @ step + push[..., None] * noise)

    def corrected(self, rows: Index, innovation: Float64, variance: Float64) -> KalmanState:
        """The filters once some were measured.

        Args:
            rows: Which, R of them.
            innovation: (R, D) how far from its value each was measured.
            variance: (R, D) of the measurement.
        """
        before = self.state[rows]
        gain = before[..., VARIANCE:RATE_VARIANCE] / (before[..., VARIANCE] + variance)[..., None]
        after = before.copy()
        after[..., VALUE:VARIANCE] += gain * innovation[..., None]
        after[..., VARIANCE:] -= gain.take(GAINS, axis=2) * before.take(LEARNT_FROM, axis=2)
        return KalmanState(changed(self.state, rows, after))


def changed(column: Float64, rows: Index, new: Float64) -> Float64:
    """A copy of a column with other values in some rows; a slice stands for all of them."""
    if isinstance(rows, slice):
        return new
    column = column.copy()
    column[rows] = new
    return column


@lru_cache(maxsize=256)
def _step(elapsed_s: float) -> tuple[Float64, Float64]:
    """What ``elapsed_s`` without news does: (5, 5) to states that are rows, (5,) added by unit noise."""
    t = elapsed_s
    step = np.eye(5)
    step[RATE, VALUE] = step[RATE_VARIANCE, COVARIANCE] = t
    step[COVARIANCE, VARIANCE], step[RATE_VARIANCE, VARIANCE] = 2 * t, t * t
    return step, np.array([0, 0, t**3 / 3, t**2 / 2, t])
