"""The filter's noise: position, rate and their cross term are those of integrated white noise."""

from __future__ import annotations

import numpy as np
import pytest

from tposecli.tracking.kalman import _transition


@pytest.mark.parametrize("elapsed_s", [0.01, 1 / 30, 0.5, 2.0])
def test_noise_is_that_of_a_random_walk_of_the_rate(elapsed_s: float) -> None:
    """Divided into steps, the exact covariance is reached as a sum; a wrong cross term breaks both terms."""
    steps = 2000
    step = elapsed_s / steps
    move = np.array([[1, step], [0, 1]])
    covariance = np.zeros((2, 2))
    for _ in range(steps):
        covariance = move @ covariance @ move.T + np.diag([0, step])
    found = _transition(elapsed_s)[1]
    np.testing.assert_allclose(found[2:], [covariance[0, 0], covariance[0, 1], covariance[1, 1]], rtol=2e-3)


def test_two_short_steps_are_one_long_one() -> None:
    (_, short), (matrix, _), (_, long) = _transition(0.1), _transition(0.1), _transition(0.2)
    state = np.zeros(5)
    for _ in range(2):
        state = state @ matrix + short
    np.testing.assert_allclose(state, long, atol=1e-12)
