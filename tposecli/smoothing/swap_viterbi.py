"""Find which pairs of joints are swapped in each frame: the cheapest path through four states.

Swapping two joints leaves their midpoint unchanged and reverses the vector from one to the other. So the search is for
a path through the states {keep, legs, arms, all} whose vectors, reversed where the state says so, move most smoothly.
Vectors are complex numbers here, x + iy, in person sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.smoothing.track_window import Float64, Indices, Mask

Complex = NDArray[np.complex128]

LEFT: Final = np.array([joint for joint, name in enumerate(KEYPOINTS) if name.startswith("left_")])
RIGHT: Final = np.array(MIRROR)[LEFT]
"""The two joints of each pair: eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""

STATES: Final = np.array([[1] * 8, [1] * 5 + [-1] * 3, [1, 1, -1, -1, -1, 1, 1, 1], [-1] * 8])
"""(4, pairs) keep, legs, arms, all: -1 for the pairs that are swapped."""

FIRST: Final = 2
"""The P pairs from this one on are used as evidence; those of the head are too close together."""

SIGNS: Final = STATES[:, FIRST:]
"""(4, P) the states of the pairs used as evidence."""

ORIENTATIONS: Final = np.concatenate([SIGNS.T > 0, SIGNS.T < 0]).astype(np.float64)
"""(2 P, 4) whether each state keeps each pair, then whether it reverses it."""

SURVIVORS: Final = 2
"""Number of paths kept per state: the better one may turn out to be worse later."""

LAST: Final = np.repeat(np.arange(4), SURVIVORS)
"""(H,) state in which each path ends."""

NOISE: Final = 0.014
"""Initial standard deviation of a measured vector, person sizes; the actual noise is then estimated."""

ACCELERATION_NOISE: Final = np.array([0.2, 1.0, 4.0])
"""(S,) acceleration noise of vectors at rest, walking and kicking, person sizes / s^2 / sqrt(Hz)."""

GAIN_ROWS, PRIOR_ROWS = np.array([0, 0, 1]), np.array([0, 1, 1])
"""A measurement lowers each covariance entry by this gain times this prior entry."""

INITIAL_COVARIANCE: Final = (1e2, 0.0, 1e4)
"""Covariance of a vector and its velocity before the first measurement."""


@dataclass(frozen=True, slots=True)
class PathCosts:
    """Costs of paths, as negative natural logarithms of likelihoods.

    Attributes:
        switch: Cost of a change of state; the higher, the more evidence a swap needs.
        dwell: Cost of each frame in any state other than ``keep``.
        max_pair_cost: Maximum cost of one pair in one frame, so that no single joint decides.
        memory: Forgetting factor per frame of the filters' log weights.
    """

    switch: float = 6.0
    dwell: float = 0.5
    max_pair_cost: float = 10.0
    memory: float = 0.9

    def transition(self, before: Indices) -> Float64:
        """Return the (..., 4) costs of the transitions from the states ``before`` (...) to each state."""
        cost: Float64 = self.switch * (before[..., None] != np.arange(4)) + self.dwell * (np.arange(4) > 0)
        return cost


@dataclass(frozen=True, eq=False, slots=True)
class VectorFilters:
    """Measured vectors, and the predictions of S constant-velocity Kalman filters for each of them.

    Attributes:
        vector: (T, M, P) vectors from right to left joints; 0 if unknown.
        known: (T, M, P) whether both joints are known.
        step_s: (T,) time since the previous frame, seconds.
        gain: (2, T, S, M, P) Kalman gains of position and velocity; 0 if unknown.
        spread: (T, S, M, P) predictive variance.
        expected: (T, S, M, P) predicted vectors if nothing is swapped.
        surprise: (T, S, M, P) half the squared distance from the prediction, relative to ``spread``.
    """

    vector: Complex
    known: Mask
    step_s: Float64
    gain: Float64
    spread: Float64
    expected: Complex
    surprise: Float64

    @classmethod
    def of(cls, vector: Complex, known: Mask, step_s: Float64, max_pair_cost: float) -> VectorFilters:
        """Run the filters; measurements with a surprise above ``max_pair_cost`` are down-weighted."""
        shape = (len(step_s), len(ACCELERATION_NOISE), *known.shape[1:])
        gain, spread = _filters(known, step_s, shape)
        expected, surprise = np.zeros(shape, np.complex128), np.zeros(shape)
        half, state = 0.5 / spread, np.zeros((2, *shape[1:]), np.complex128)
        place, speed = state
        for t, step in enumerate(step_s.tolist()):
            place += step * speed
            expected[t] = place
            miss = vector[t] - place
            np.multiply(_squared(miss), half[t], out=surprise[t])
            miss *= max_pair_cost / np.maximum(surprise[t], max_pair_cost)
            state += gain[:, t] * miss
        return cls(vector, known, step_s, gain, spread, expected, surprise)


class SwapPaths:
    """The H best paths of each of A people, ``SURVIVORS`` per state, each with its own filters.

    List Viterbi with per-survivor processing. The S filters are weighted by the quality of their recent predictions
    (dynamic model averaging, Raftery, Karny, Ettler, 2010).

    Args:
        filters: The filters of all people.
        people: (A,) indices of the people.
        spread: (T, S, M, P) predictive variance with the estimated noise.
        costs: Costs of paths.
    """

    def __init__(self, filters: VectorFilters, people: Indices, spread: Float64, costs: PathCosts) -> None:
        vector, self._known = filters.vector[:, people, None], filters.known[:, people, None]
        self._vector, self._reversed = vector, SIGNS[LAST] * vector
        self._orientations = np.stack([vector, -vector], axis=3)[:, :, :, None]
        self._step_s, self._costs, self._floor = filters.step_s.tolist(), costs, np.exp(-costs.max_pair_cost)
        self._gain = np.moveaxis(filters.gain[..., people, :], 2, 3)[:, :, :, None]
        wide = np.moveaxis(spread[:, :, people], 1, 2)[:, :, None]
        self._sharpness, self._peak = 0.5 / wide, np.log(wide[:, :, :, :1] / wide)
        shape = (len(people), len(LAST), *wide.shape[3:])
        self._place, self._speed = np.zeros((2, *shape), np.complex128)
        self._weight = np.zeros(shape)
        self._total = np.where(np.arange(len(LAST)) > 0, np.inf, np.zeros((len(people), 1)))

    def cheapest(self, first: int, before: Indices) -> Indices:
        """Return the (T, A) states of the cheapest paths.

        Args:
            first: Earlier frames are finished; their states are ``keep``.
            before: (A,) states of the last finished frame as measured.
        """
        entry, change = self._costs.transition(before)[:, None], self._costs.transition(LAST)
        rows = np.arange(len(before))[:, None]
        back: list[Indices] = []
        for t in range(len(self._vector)):
            self._place += self._step_s[t] * self._speed
            self._decay_weights()
            if t < first:
                self._update(t, self._vector[t])
                continue
            back.append(self._choose(t, entry if t == first else change))
            paths = rows, back[-1]
            self._place, self._speed, self._weight = self._place[paths], self._speed[paths], self._weight[paths]
            self._update(t, self._reversed[t])
        states, everyone = np.zeros(self._vector.shape[:2], np.intp), np.arange(len(before))
        at = self._total.argmin(axis=1)
        for t in range(len(states) - 1, first - 1, -1):
            states[t], at = LAST[at], back[t - first][everyone, at]
        return states

    def _choose(self, t: int, change: Float64) -> Indices:
        """Return the (A, H) predecessors of the best paths to each state in frame ``t``."""
        surprise = _squared(self._orientations[t] - self._place[:, :, :, None]) * self._sharpness[t][:, :, :, None]
        likelihood = np.exp((self._weight + self._peak[t])[:, :, :, None] - surprise).sum(axis=2)
        cost = np.log(likelihood + self._floor) * self._known[t][:, :, None]
        total = self._total[:, :, None] + change - cost.reshape(*self._total.shape, -1) @ ORIENTATIONS
        origin: Indices = (
            total.argpartition(SURVIVORS - 1, axis=1)[:, :SURVIVORS].swapaxes(1, 2).reshape(self._total.shape)
        )
        self._total = total[np.arange(len(origin))[:, None], origin, LAST]
        return origin

    def _update(self, t: int, vector: Complex) -> None:
        """Update the filters with the measurement in frame ``t``: ``vector`` (A, 1 or H, P)."""
        miss = vector[:, :, None] - self._place
        surprise = _squared(miss) * self._sharpness[t]
        capped = np.minimum(surprise, self._costs.max_pair_cost)
        self._weight += (self._peak[t] - capped) * self._known[t][:, :, None]
        miss *= capped / np.maximum(surprise, 1e-9)
        self._place += self._gain[0, t] * miss
        self._speed += self._gain[1, t] * miss

    def _decay_weights(self) -> None:
        """Decay the filters' log weights before the next frame, and normalise them."""
        self._weight *= self._costs.memory
        self._weight -= np.log(np.exp(self._weight).sum(axis=2, keepdims=True))


def _squared(value: Complex) -> Float64:
    squared: Float64 = (value * value.conj()).real
    return squared


def _filters(known: Mask, step_s: Float64, shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Return gains and spread of :class:`VectorFilters`, of ``shape`` (T, S, M, P).

    They depend only on which vectors are known, not on their values.
    """
    gain, spread = np.zeros((2, *shape)), np.zeros(shape)
    covariance = np.empty((3, *shape[1:]))
    covariance[:] = np.reshape(INITIAL_COVARIANCE, (3, 1, 1, 1))
    for t, step in enumerate(step_s.tolist()):
        grow, added = _transition(step)
        covariance = grow.dot(covariance.reshape(3, -1)).reshape(covariance.shape)
        covariance += added
        np.add(covariance[0], NOISE**2, out=spread[t])
        gains = np.multiply(covariance[:2], known[t] / spread[t], out=gain[:, t])
        covariance -= gains.take(GAIN_ROWS, axis=0) * covariance.take(PRIOR_ROWS, axis=0)
    return gain, spread


@lru_cache(maxsize=256)
def _transition(step_s: float) -> tuple[Float64, Float64]:
    """Return the transition of position variance, covariance and velocity variance: (3, 3), and (3, S, 1, 1) added."""
    grow = np.array([[1, 2 * step_s, step_s**2], [0, 1, step_s], [0, 0, 1]])
    added = np.multiply.outer([step_s**3 / 3, step_s**2 / 2, step_s], ACCELERATION_NOISE**2)
    return grow, added[..., None, None]
