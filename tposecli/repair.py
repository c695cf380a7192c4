"""Left and right exchanged for a few frames: found by how the body would have had to move, and put back.

Whatever a pair of joints does, exchanging the two leaves their middle where it is and turns the vector from one to the
other round. So a path through the states {keep, legs, arms, all} is sought whose vectors, turned round where the state
says so, go on most steadily.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tposecli.skeleton import KEYPOINTS, MIRROR
from tposecli.smooth.strip import Float64, Indices, Mask, Strip, sorted_middle
from tposecli.types import Flag

LEFT: Final = np.array([joint for joint, name in enumerate(KEYPOINTS) if name.startswith("left_")])
RIGHT: Final = np.array(MIRROR)[LEFT]
"""The two joints of each pair: eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""

FIRST: Final = 2
"""The P pairs from this one on are evidence; those of the head lie too close together."""

STATES: Final = np.array([[1] * 8, [1] * 5 + [-1] * 3, [1, 1, -1, -1, -1, 1, 1, 1], [-1] * 8])
"""(4, pairs) keep, legs, arms, all: -1 for the pairs that are exchanged."""

NOISE: Final = 0.014
"""Standard deviation of a measured vector, in sizes of the person; what it really is, is measured."""

SURGES: Final = np.array([1.0, 4.0])
"""How erratically vectors may change: white acceleration, sizes / s^2 / sqrt(Hz); each takes the one that suits it."""

VAGUE: Final = np.array([1e2, 0, 1e4])
"""Covariance of a vector and its speed before anything was measured."""


@dataclass(frozen=True, eq=False, slots=True)
class _Course:
    """How the vectors would go on if nothing were exchanged: a Kalman filter with constant speed.

    Attributes:
        vector: (T, M, P, 2) from left to right joints, sizes; 0 where unknown.
        known: (T, M, P).
        step_s: (T,) since the frame before.
        gain: (T, M, P, 2) of place and speed; 0 where unknown.
        spread: (T, M, P) variance of what is expected, as it turned out to be.
        doubt: (T, M, P) how much better a vector would fit if turned round, natural logarithm of the likelihood.
    """

    vector: Float64
    known: Mask
    step_s: Float64
    gain: Float64
    spread: Float64
    doubt: Float64

    def of(self, people: Indices) -> _Course:
        """Some of the people."""
        vector, known, gain = self.vector[:, people], self.known[:, people], self.gain[:, people]
        return _Course(vector, known, self.step_s, gain, self.spread[:, people], self.doubt[:, people])


@dataclass(frozen=True, slots=True)
class Repair:
    """Undoes exchanges of the legs, the arms, or everything, flagged ``REPAIRED``.

    The cost of a path is the unlikelihood of what was measured, given the path so far, by a Kalman filter of each
    pair's vector, whose noise is what it usually is in this window; ``switch`` is added wherever the state changes, and
    ``dwell`` for as long as it is not keep. The cheapest path is found by dynamic programming, each state keeping the
    filter of its own best past (Viterbi with per-survivor processing). An exchange counts only if both its ends are
    seen: one that stays is no slip but may be somebody who turned round, and is left alone.

    Attributes:
        switch: Cost of a change; the higher, the more evidence an exchange needs.
        dwell: Cost of every frame in another state than keep.
        most: Largest cost of one pair in one frame, so that no single joint decides.
        still: Least noise of a vector, in shares of the person's size.
        longest_s: Exchanges that last longer are left alone.
    """

    switch: float = 6.0
    dwell: float = 0.5
    most: float = 8.0
    still: float = 0.006
    longest_s: float = 0.45

    def __call__(self, strip: Strip) -> Strip:
        """The strip with left and right where they were."""
        if not len(strip.time_s[strip.first :]):
            return strip
        course = self._course(strip)
        people = np.flatnonzero((np.clip(course.doubt, 0, SUSPECT).sum(axis=2) > SUSPECT).any(axis=0))
        if not len(people):
            return strip
        exchanged = self._slips(self._cheapest(course.of(people)), strip)
        return _undone(strip, people, exchanged) if exchanged.any() else strip

    def _course(self, strip: Strip) -> _Course:
        """Everybody's, with the noise that is usual in this window."""
        left, right = LEFT[FIRST:], RIGHT[FIRST:]
        known = strip.known[:, :, left] & strip.known[:, :, right]
        vector = np.where(known[..., None], strip.xy[:, :, left] - strip.xy[:, :, right], 0)
        vector = vector / strip.size[:, None, None]
        steps = np.diff(strip.time_s, prepend=strip.time_s[0])
        gain, spread, square, expected = self._filtered(vector, known, steps)
        settled = known[:, None] & (spread < 1)
        surprise = np.where(settled, np.log(spread) + np.minimum(square, self.most), 0).sum(axis=0)
        chosen = (slice(None), surprise.argmin(axis=0), *np.ogrid[: known.shape[1], : known.shape[2]])
        gain, spread, square, expected = (column[chosen] for column in (gain, spread, square, expected))
        settled = known & (spread < 1)
        usual = sorted_middle(np.where(settled, square, np.inf), settled.sum(axis=0)) / np.log(2)
        usual = np.maximum(np.where(np.isfinite(usual), usual, 1), (self.still / NOISE) ** 2)
        spread = spread * usual
        return _Course(vector, known, steps, gain, spread, -2 * (expected * vector).sum(axis=3) / spread)

    def _filtered(self, vector: Float64, known: Mask, steps: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        """The filter's run for each of the S surges.

        Returns:
            (T, S, M, P, 2) gains of place and speed, (T, S, M, P) expected variance, half the squared surprise in it,
            and (T, S, M, P, 2) the expected vectors.
        """
        shape = (len(steps), len(SURGES), *known.shape[1:])
        gain, expected = np.zeros((*shape, 2)), np.zeros((*shape, 2))
        spread, square = np.zeros(shape), np.zeros(shape)
        place, speed = np.zeros((2, *shape[1:], 2))
        covariance = tuple(np.full(shape[1:], value) for value in VAGUE)
        for t, step in enumerate(steps.tolist()):
            own, mixed, other = _later(covariance, step)
            spread[t] = own + NOISE**2
            share = known[t] / spread[t]
            first, second = own * share, mixed * share
            covariance = own - first * own, mixed - first * mixed, other - second * mixed
            gain[t, ..., 0], gain[t, ..., 1] = first, second
            place = place + step * speed
            expected[t] = place
            miss = vector[t] - place
            square[t] = np.einsum("smpc,smpc->smp", miss, miss) / (2 * spread[t])
            calm = (self.most / np.maximum(square[t], self.most))[..., None]
            place = place + calm * first[..., None] * miss
            speed = speed + calm * second[..., None] * miss
        return gain, spread, square, expected

    def _cheapest(self, course: _Course) -> Indices:
        """(T, A) the cheapest states of A people; the path begins with keep."""
        count, people = course.known.shape[:2]
        everybody = np.arange(people)[:, None]
        change = self.switch * (1 - np.eye(4)) + self.dwell * (np.arange(4) > 0)
        total = np.full((people, 4), np.inf)
        total[:, 0] = 0
        place, speed = np.zeros((2, people, *STATES[:, FIRST:].shape, 2))
        back = np.zeros((count, people, 4), np.intp)
        for t, step in enumerate(course.step_s.tolist()):
            place = place + step * speed
            turned = STATES[:, FIRST:, None] * course.vector[t][:, None]
            miss = turned[:, None] - place[:, :, None]
            each = (miss * miss).sum(axis=4) / (2 * course.spread[t])[:, None, None]
            cost = np.where(course.known[t][:, None, None], np.minimum(each, self.most), 0).sum(axis=3)
            onward = total[:, :, None] + cost + change
            back[t] = onward.argmin(axis=1)
            total = onward.min(axis=1)
            state = np.arange(4)
            miss = miss[everybody, back[t], state]
            calm = np.minimum(1, self.most / np.maximum(each[everybody, back[t], state], 1e-9))[..., None]
            gain = calm * course.gain[t][:, None]
            place = place[everybody, back[t]] + gain[..., :1] * miss
            speed = speed[everybody, back[t]] + gain[..., 1:] * miss
        states = np.zeros((count, people), np.intp)
        states[-1] = total.argmin(axis=1)
        for t in range(count - 1, 0, -1):
            states[t - 1] = back[t, np.arange(people), states[t]]
        return states

    def _slips(self, states: Indices, strip: Strip) -> Mask:
        """(T, A, P) the pairs that are exchanged where a state lasts shortly between two times of the usual one."""
        exchanged = np.zeros((*states.shape, STATES.shape[1]), np.bool_)
        for person, row in enumerate(states.T):
            usual = np.bincount(row).argmax()
            edges = np.diff((row != usual).astype(np.int8), prepend=0, append=0)
            for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
                within = start > 0 and end < len(row) and strip.time_s[end] - strip.time_s[start] <= self.longest_s
                if within:
                    exchanged[start:end, person] = STATES[row[start:end]] != STATES[usual]
        exchanged[: strip.first] = False
        return exchanged


SUSPECT: Final = 6.0
"""Doubt above which a person is looked at closely, and most that one pair adds to it."""


def _later(covariance: tuple[Float64, ...], step_s: float) -> tuple[Float64, Float64, Float64]:
    """(S, M, P) each: variance of place, covariance, variance of speed after ``step_s``."""
    place, mixed, speed = covariance
    power = (SURGES**2)[:, None, None]
    ahead = step_s * speed
    return (
        place + step_s * (2 * mixed + ahead) + power * step_s**3 / 3,
        mixed + ahead + power * step_s**2 / 2,
        speed + power * step_s,
    )


def _undone(strip: Strip, people: Indices, exchanged: Mask) -> Strip:
    """The strip with the pairs exchanged back where (T, A, pairs) says so."""
    frame, person, pair = np.nonzero(exchanged)
    row = people[person]
    columns = {}
    for name in ("xy", "score", "known", "flags"):
        column = getattr(strip, name).copy()
        column[frame, row, LEFT[pair]] = getattr(strip, name)[frame, row, RIGHT[pair]]
        column[frame, row, RIGHT[pair]] = getattr(strip, name)[frame, row, LEFT[pair]]
        columns[name] = column
    for side in (LEFT, RIGHT):
        columns["flags"][frame, row, side[pair]] |= np.uint8(Flag.REPAIRED)
    return replace(strip, **columns)
