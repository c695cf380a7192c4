"""Left and right exchanged for a few frames: found by how the body would have had to move, and put back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from tposecli.smoothing.swap_viterbi import FIRST, LEFT, NOISE, RIGHT, SIGNS, STATES, Costs, Course, Paths
from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, sorted_middle
from tposecli.types import Flag, Index

SUSPECT: Final = 3.0
"""Doubt, summed over the pairs of an exchange, above which a person is looked at closely; no pair adds more."""

SETTLED: Final = 1.0
"""Variance of what is expected up to which a filter knows enough to be judged."""


@dataclass(frozen=True, slots=True)
class SwapRepair:
    """Undoes exchanges of the legs, the arms, or everything, flagged ``REPAIRED``.

    The cost of a path through the exchanges is the unlikelihood of what was measured, given the path so far, by Kalman
    filters of the vector between the joints of each pair, whose noise is what it usually is in this window; see
    ``swap_viterbi``. An exchange counts only if both its ends are seen: one that stays is no slip but may be
    somebody who turned round, and is left alone. What lasts a single frame is left to the search for outliers.

    Attributes:
        costs: Of paths.
        still: Least noise of a vector, in shares of the person's size.
        longest_s: Exchanges that last longer are left alone.
    """

    costs: Costs = field(default_factory=Costs)
    still: float = 0.006
    longest_s: float = 0.45

    def __call__(self, strip: TrackWindow) -> TrackWindow:
        """The strip with left and right where they were."""
        if not len(strip.time_s[strip.first :]):
            return strip
        course = self._course(strip)
        spread, doubt = self._usual(course)
        evidence = np.clip(doubt, -SUSPECT, SUSPECT) @ (SIGNS[1:] < 0).T
        people = np.flatnonzero((evidence > SUSPECT).any(axis=(0, 2)))
        if not len(people):
            return strip
        before = _before(strip, people)
        states = Paths(course, people, spread, self.costs).cheapest(strip.first, before)
        exchanged = self._slips(states, strip, before)
        return _undone(strip, people, exchanged) if exchanged.any() else strip

    def _course(self, strip: TrackWindow) -> Course:
        """Everybody's."""
        left, right = LEFT[FIRST:], RIGHT[FIRST:]
        known = strip.known[:, :, left] & strip.known[:, :, right]
        apart = np.where(known[..., None], strip.xy[:, :, left] - strip.xy[:, :, right], 0)
        vector = (apart / strip.size[:, None, None]).view(np.complex128)[..., 0]
        return Course.of(vector, known, np.diff(strip.time_s, prepend=strip.time_s[0]), self.costs.most)

    def _usual(self, course: Course) -> tuple[Float64, Float64]:
        """What the noise turned out to be, by the filter that suits each pair of each person best.

        Returns:
            (T, S, M, P) variance of what is expected; (T, M, P) doubt: how much better a vector would fit if turned
            round, natural logarithm of the likelihood.
        """
        settled = course.known[:, None] & (course.spread < SETTLED)
        misfit = np.where(settled, np.log(course.spread) + np.minimum(course.surprise, self.costs.most), 0).sum(axis=0)
        best: Index = (slice(None), misfit.argmin(axis=0), *np.ogrid[: misfit.shape[1], : misfit.shape[2]])
        surprise, settled = course.surprise[best], settled[best]
        usual = sorted_middle(np.where(settled, surprise, np.inf), settled.sum(axis=0)) / np.log(2)
        usual = np.maximum(np.where(np.isfinite(usual), usual, 1), (self.still / NOISE) ** 2)
        spread = course.spread * usual
        return spread, -2 * (course.expected[best] * course.vector.conj()).real / spread[best]

    def _slips(self, states: Indices, strip: TrackWindow, before: Indices) -> Mask:
        """(T, A, pairs) exchanged where a state lasts shortly between two times of the usual one."""
        exchanged = np.zeros((*states.shape, STATES.shape[1]), np.bool_)
        for person, row in enumerate(states.T):
            usual = np.bincount(row).argmax()
            edges = np.diff((row != usual).astype(np.int8), prepend=0, append=0)
            for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
                within = start > 0 and end < len(row) and strip.time_s[end] - strip.time_s[start] <= self.longest_s
                goes_on = start == strip.first and before[person] > 0
                if within and (end - start > 1 or goes_on):
                    exchanged[start:end, person] = STATES[row[start:end]] != STATES[usual]
        exchanged[: strip.first] = False
        return exchanged


def _before(strip: TrackWindow, people: Indices) -> Indices:
    """(A,) state of the last finished frame, as it was measured; keep if there is none."""
    repaired = (strip.flags[strip.first - 1 : strip.first, people][..., LEFT] & Flag.REPAIRED) > 0
    same = (repaired[..., None, :] == (STATES < 0)).all(axis=-1)
    states: Indices = same.argmax(axis=-1).sum(axis=0, dtype=np.intp)
    return states


def _undone(strip: TrackWindow, people: Indices, exchanged: Mask) -> TrackWindow:
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
