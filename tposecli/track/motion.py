"""Constant-velocity Kalman filters, many at once, whose time is seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tposecli.similarity import Float64, Indices

VALUE, RATE, VARIANCE, COVARIANCE, RATE_VARIANCE = range(5)


@dataclass(frozen=True, eq=False, slots=True)
class Motion:
    """One filter for each of D numbers (x, y and the logarithm of the size) of each of T bodies.

    A number moves on evenly, pushed about by white noise in its acceleration (Bar-Shalom, Li, Kirubarajan, Estimation
    with Applications to Tracking and Navigation, 2001, section 6.2.2), so any step of time is as good as another.

    Attributes:
        state: (T, D, 5) value, rate per second, variance of the value, covariance of both, variance of the rate.
    """

    state: Float64

    @classmethod
    def begun(cls, value: Float64, deviation: Float64, rate_deviation: Float64) -> Motion:
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

    def after(self, elapsed_s: float, push: Float64) -> Motion:
        """The filters ``elapsed_s`` later.

        Args:
            push: (T, D) spectral density of the acceleration's noise: units squared per second cubed.
        """
        t = elapsed_s
        step = np.eye(5)
        step[RATE, VALUE] = step[RATE_VARIANCE, COVARIANCE] = t
        step[COVARIANCE, VARIANCE], step[RATE_VARIANCE, VARIANCE] = 2 * t, t * t
        noise = np.array([0, 0, t**3 / 3, t**2 / 2, t])
        return Motion(self.state @ step + push[..., None] * noise)

    def corrected(self, rows: Indices, innovation: Float64, variance: Float64) -> Motion:
        """The filters once some were measured.

        Args:
            rows: Which, R of them.
            innovation: (R, D) how far from its value each was measured.
            variance: (R, D) of the measurement.
        """
        before = self.state[rows]
        gain = before[..., VARIANCE:RATE_VARIANCE] / (before[..., VARIANCE] + variance)[..., None]
        state = self.state.copy()
        after = before.copy()
        after[..., VALUE:VARIANCE] += gain * innovation[..., None]
        after[..., VARIANCE:RATE_VARIANCE] -= gain * before[..., VARIANCE, None]
        after[..., RATE_VARIANCE] -= gain[..., 1] * before[..., COVARIANCE]
        state[rows] = after
        return Motion(state)
