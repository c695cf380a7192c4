"""Which pairs of joints carry each other's places, frame by frame: the cheapest path through four states.

Whatever a pair of joints does, exchanging the two leaves their middle where it is and turns the vector from one to the
other round. So a path through the states {keep, legs, arms, all} is sought whose vectors, turned round where the state
says so, go on most steadily. Vectors are complex numbers here, x and y, in sizes of the person.
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
"""(4, pairs) keep, legs, arms, all: -1 for the pairs that are exchanged."""

FIRST: Final = 2
"""The P pairs from this one on are evidence; those of the head lie too close together."""

SIGNS: Final = STATES[:, FIRST:]
"""(4, P) the states of the pairs that are evidence."""

WAYS: Final = np.concatenate([SIGNS.T > 0, SIGNS.T < 0]).astype(np.float64)
"""(2 P, 4) whether each state takes each pair as it is, and whether it takes it turned round."""

SURVIVORS: Final = 2
"""Paths that are followed to each state: the better one may turn out to be the worse once more is seen."""

LAST: Final = np.repeat(np.arange(4), SURVIVORS)
"""(H,) state in which each path ends."""

NOISE: Final = 0.014
"""Standard deviation of a measured vector, in sizes of the person; what it really is, is measured."""

SURGES: Final = np.array([0.2, 1.0, 4.0])
"""(S,) how erratically vectors may change, at rest, walking, kicking: white acceleration, sizes / s^2 / sqrt(Hz)."""

GAINS, LEARNT_FROM = np.array([0, 0, 1]), np.array([0, 1, 1])
"""Which gain times which entry each entry of the covariance loses by a measurement."""

VAGUE: Final = (1e2, 0.0, 1e4)
"""Covariance of a vector and its speed before anything was measured."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What paths cost, natural logarithms of likelihoods.

    Attributes:
        switch: Of a change of the state; the higher, the more evidence an exchange needs.
        dwell: Of every frame in another state than keep.
        most: Largest cost of one pair in one frame, so that no single joint decides.
        memory: Share of what a filter has foretold that still counts a frame later.
    """

    switch: float = 6.0
    dwell: float = 0.5
    most: float = 10.0
    memory: float = 0.9

    def onward(self, before: Indices) -> Float64:
        """(..., 4) of going on to each state from those ``before`` (...)."""
        cost: Float64 = self.switch * (before[..., None] != np.arange(4)) + self.dwell * (np.arange(4) > 0)
        return cost


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """Vectors as they were measured, and the S Kalman filters of constant speed that foretell each of them.

    Attributes:
        vector: (T, M, P) from left to right joints; 0 where unknown.
        known: (T, M, P).
        step_s: (T,) since the frame before.
        gain: (2, T, S, M, P) of place and speed; 0 where unknown.
        spread: (T, S, M, P) variance of what is expected.
        expected: (T, S, M, P) if nothing is exchanged.
        surprise: (T, S, M, P) half the squared distance from that, in ``spread``.
    """

    vector: Complex
    known: Mask
    step_s: Float64
    gain: Float64
    spread: Float64
    expected: Complex
    surprise: Float64

    @classmethod
    def of(cls, vector: Complex, known: Mask, step_s: Float64, most: float) -> Course:
        """The filters' run; what surprises them by more than ``most`` moves them less."""
        shape = (len(step_s), len(SURGES), *known.shape[1:])
        gain, spread = _filters(known, step_s, shape)
        expected, surprise = np.zeros(shape, np.complex128), np.zeros(shape)
        half, state = 0.5 / spread, np.zeros((2, *shape[1:]), np.complex128)
        place, speed = state
        for t, step in enumerate(step_s.tolist()):
            place += step * speed
            expected[t] = place
            miss = vector[t] - place
            np.multiply(_squared(miss), half[t], out=surprise[t])
            miss *= most / np.maximum(surprise[t], most)
            state += gain[:, t] * miss
        return cls(vector, known, step_s, gain, spread, expected, surprise)


class Paths:
    """H paths of each of A people: the best ones to each state, with filters of their own.

    List Viterbi with per-survivor processing. The filters for the S surges are weighted by how well they foretold
    lately (dynamic model averaging, Raftery, Karny, Ettler, 2010).

    Args:
        course: Of everybody.
        people: (A,) who is looked at.
        spread: (T, S, M, P) variance of what is expected, as it turned out to be.
        costs: Of paths.
    """

    def __init__(self, course: Course, people: Indices, spread: Float64, costs: Costs) -> None:
        vector, self._known = course.vector[:, people, None], course.known[:, people, None]
        self._vector, self._turned = vector, SIGNS[LAST] * vector
        self._ways = np.stack([vector, -vector], axis=3)[:, :, :, None]
        self._step_s, self._costs, self._floor = course.step_s.tolist(), costs, np.exp(-costs.most)
        self._gain = np.moveaxis(course.gain[..., people, :], 2, 3)[:, :, :, None]
        wide = np.moveaxis(spread[:, :, people], 1, 2)[:, :, None]
        self._sharpness, self._peak = 0.5 / wide, np.log(wide[:, :, :, :1] / wide)
        shape = (len(people), len(LAST), *wide.shape[3:])
        self._place, self._speed = np.zeros((2, *shape), np.complex128)
        self._weight = np.zeros(shape)
        self._total = np.where(np.arange(len(LAST)) > 0, np.inf, np.zeros((len(people), 1)))

    def cheapest(self, first: int, before: Indices) -> Indices:
        """(T, A) states; in the frames before ``first``, which are finished, keep, once they were ``before`` (A,)."""
        entry, change = self._costs.onward(before)[:, None], self._costs.onward(LAST)
        rows = np.arange(len(before))[:, None]
        back: list[Indices] = []
        for t in range(len(self._vector)):
            self._place += self._step_s[t] * self._speed
            self._recall()
            if t < first:
                self._follow(t, self._vector[t])
                continue
            back.append(self._choose(t, entry if t == first else change))
            paths = rows, back[-1]
            self._place, self._speed, self._weight = self._place[paths], self._speed[paths], self._weight[paths]
            self._follow(t, self._turned[t])
        states, everybody = np.zeros(self._vector.shape[:2], np.intp), np.arange(len(before))
        at = self._total.argmin(axis=1)
        for t in range(len(states) - 1, first - 1, -1):
            states[t], at = LAST[at], back[t - first][everybody, at]
        return states

    def _choose(self, t: int, change: Float64) -> Indices:
        """(A, H) the paths that the best ones to each state of frame ``t`` continue."""
        surprise = _squared(self._ways[t] - self._place[:, :, :, None]) * self._sharpness[t][:, :, :, None]
        likelihood = np.exp((self._weight + self._peak[t])[:, :, :, None] - surprise).sum(axis=2)
        cost = np.log(likelihood + self._floor) * self._known[t][:, :, None]
        onward = self._total[:, :, None] + change - cost.reshape(*self._total.shape, -1) @ WAYS
        origin: Indices = (
            onward.argpartition(SURVIVORS - 1, axis=1)[:, :SURVIVORS].swapaxes(1, 2).reshape(self._total.shape)
        )
        self._total = onward[np.arange(len(origin))[:, None], origin, LAST]
        return origin

    def _follow(self, t: int, vector: Complex) -> None:
        """Let the filters learn what was measured in frame ``t``: ``vector`` (A, 1 or H, P)."""
        miss = vector[:, :, None] - self._place
        surprise = _squared(miss) * self._sharpness[t]
        calm = np.minimum(surprise, self._costs.most)
        self._weight += (self._peak[t] - calm) * self._known[t][:, :, None]
        miss *= calm / np.maximum(surprise, 1e-9)
        self._place += self._gain[0, t] * miss
        self._speed += self._gain[1, t] * miss

    def _recall(self) -> None:
        """Weights of the filters before the next frame: what was long ago counts less; they sum to 1."""
        self._weight *= self._costs.memory
        self._weight -= np.log(np.exp(self._weight).sum(axis=2, keepdims=True))


def _squared(value: Complex) -> Float64:
    squared: Float64 = (value * value.conj()).real
    return squared


def _filters(known: Mask, step_s: Float64, shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Gains and spread of a :class:`Course`, of ``shape`` (T, S, M, P): they depend on what is known, not on where."""
    gain, spread = np.zeros((2, *shape)), np.zeros(shape)
    covariance = np.empty((3, *shape[1:]))
    covariance[:] = np.reshape(VAGUE, (3, 1, 1, 1))
    for t, step in enumerate(step_s.tolist()):
        grow, added = _later(step)
        covariance = grow.dot(covariance.reshape(3, -1)).reshape(covariance.shape)
        covariance += added
        np.add(covariance[0], NOISE**2, out=spread[t])
        gains = np.multiply(covariance[:2], known[t] / spread[t], out=gain[:, t])
        covariance -= gains.take(GAINS, axis=0) * covariance.take(LEARNT_FROM, axis=0)
    return gain, spread


@lru_cache(maxsize=256)
def _later(step_s: float) -> tuple[Float64, Float64]:
    """What ``step_s`` does to variance of place, covariance, variance of speed: (3, 3), and (3, S, 1, 1) added."""
    grow = np.array([[1, 2 * step_s, step_s**2], [0, 1, step_s], [0, 0, 1]])
    added = np.multiply.outer([step_s**3 / 3, step_s**2 / 2, step_s], SURGES**2)
    return grow, added[..., None, None]
