"""Batched constant-velocity Kalman filters over time in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tposecli.geometry.similarity import Float64
from tposecli.types import Index

VALUE, RATE, VARIANCE, COVARIANCE, RATE_VARIANCE = range(5)

GAIN_COLUMNS, PRIOR_COLUMNS = np.array([0, 1, 1]), np.array([VARIANCE, VARIANCE, COVARIANCE])
"""A measurement lowers each of the three (co)variances by this gain times this prior (co)variance."""


@dataclass(frozen=True, eq=False, slots=True)
class KalmanState:
    """Independent filters for D quantities (x, y and log size) of each of T bodies.

    The model is constant velocity with continuous white-noise acceleration (Bar-Shalom, Li, Kirubarajan, Estimation
    with Applications to Tracking and Navigation, 2001, section 6.2.2), so the time steps may have any length.

    Attributes:
        state: (T, D, 5): value, rate per second, variance of the value, covariance of both, variance of the rate.
    """

    state: Float64

    @classmethod
    def at_rest(cls, value: Float64, deviation: Float64, rate_deviation: Float64) -> KalmanState:
        """Return filters at rest, with (T, D) values and standard deviations."""
        state = np.zeros((*value.shape, 5))
        state[..., VALUE], state[..., VARIANCE], state[..., RATE_VARIANCE] = value, deviation**2, rate_deviation**2
        return cls(state)

    @property
    def value(self) -> Float64:
        """The (T, D) values."""
        return self.state[..., VALUE]

    @property
    def variance(self) -> Float64:
        """The (T, D) variances of the values."""
        return self.state[..., VARIANCE]

    def predicted(self, elapsed_s: float, noise_density: Float64) -> KalmanState:
        """Return the filters ``elapsed_s`` later, without a measurement.

        Args:
            elapsed_s: Seconds since the last step.
            noise_density: (T, D) spectral density of the acceleration noise, units squared per second cubed.
        """
        transition, unit_noise = _transition(elapsed_s)
        return KalmanState(self.state @ transition + noise_density[..., None] * unit_noise)

    def updated(self, rows: Index, innovation: Float64, variance: Float64) -> KalmanState:
        """Return the filters after measurements of some of the bodies.

        Args:
            rows: The R bodies that were measured.
            innovation: (R, D) measurements minus current values.
            variance: (R, D) variances of the measurements.
        """
        before = self.state[rows]
        gain = before[..., VARIANCE:RATE_VARIANCE] / (before[..., VARIANCE] + variance)[..., None]
        predicted = before.copy()
        predicted[..., VALUE:VARIANCE] += gain * innovation[..., None]
        predicted[..., VARIANCE:] -= gain.take(GAIN_COLUMNS, axis=2) * before.take(PRIOR_COLUMNS, axis=2)
        return KalmanState(with_rows(self.state, rows, predicted))


def with_rows(column: Float64, rows: Index, new: Float64) -> Float64:
    """Return a copy of a column with some rows replaced; a slice stands for all rows."""
    if isinstance(rows, slice):
        return new
    column = column.copy()
    column[rows] = new
    return column


@lru_cache(maxsize=256)
def _transition(elapsed_s: float) -> tuple[Float64, Float64]:
    """Return the (5, 5) transition of states as row vectors, and the (5,) variances that unit noise adds."""
    t = elapsed_s
    transition = np.eye(5)
    transition[RATE, VALUE] = transition[RATE_VARIANCE, COVARIANCE] = t
    transition[COVARIANCE, VARIANCE], transition[RATE_VARIANCE, VARIANCE] = 2 * t, t * t
    return transition, np.array([0, 0, t**3 / 3, t**2 / 2, t])
