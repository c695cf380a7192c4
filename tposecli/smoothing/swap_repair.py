"""Repair short left-right swaps, which are detected by the implausible movement that they imply."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from tposecli.smoothing.swap_viterbi import (
    FIRST,
    LEFT,
    NOISE,
    RIGHT,
    SIGNS,
    STATES,
    PathCosts,
    SwapPaths,
    VectorFilters,
)
from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, median_of_smallest
from tposecli.types import Flag, Index

MIN_EVIDENCE: Final = 3.0
"""Evidence, summed over the pairs of a swap, above which a person is examined closely; also the limit per pair."""

MAX_SETTLED_VARIANCE: Final = 1.0
"""Predictive variance up to which a filter has converged enough to be evaluated."""


@dataclass(frozen=True, slots=True)
class SwapRepair:
    """Swaps legs, arms, or all joints back, and flags them ``REPAIRED``.

    The cost of a path through the swap states is the negative log-likelihood of the measurements given the path so far,
    by Kalman filters of the vector between the joints of each pair, whose noise is estimated in the window; see
    ``swap_viterbi``. A swap is only repaired if both its ends are seen: a permanent one may be a person who turned
    around. Swaps of a single frame are left to the outlier detection.

    Attributes:
        costs: Costs of paths.
        min_noise: Minimum noise of a vector, relative to the person's size.
        max_swap_s: Longer swaps are left alone.
    """

    costs: PathCosts = field(default_factory=PathCosts)
    min_noise: float = 0.006
    max_swap_s: float = 0.45

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with short swaps repaired."""
        if not len(window.time_s[window.first :]):
            return window
        filters = self._vector_filters(window)
        spread, doubt = self._noise_and_doubt(filters)
        evidence = np.clip(doubt, -MIN_EVIDENCE, MIN_EVIDENCE) @ (SIGNS[1:] < 0).T
        people = np.flatnonzero((evidence > MIN_EVIDENCE).any(axis=(0, 2)))
        if not len(people):
            return window
        before = _state_before(window, people)
        states = SwapPaths(filters, people, spread, self.costs).cheapest(window.first, before)
        swapped = self._short_swaps(states, window, before)
        return _swapped_back(window, people, swapped) if swapped.any() else window

    def _vector_filters(self, window: TrackWindow) -> VectorFilters:
        """Run the filters on the vectors of all people."""
        left, right = LEFT[FIRST:], RIGHT[FIRST:]
        known = window.known[:, :, left] & window.known[:, :, right]
        apart = np.where(known[..., None], window.xy[:, :, left] - window.xy[:, :, right], 0)
        vector = (apart / window.size[:, None, None]).view(np.complex128)[..., 0]
        return VectorFilters.of(
            vector, known, np.diff(window.time_s, prepend=window.time_s[0]), self.costs.max_pair_cost
        )

    def _noise_and_doubt(self, filters: VectorFilters) -> tuple[Float64, Float64]:
        """Estimate the noise, with the filter that fits each pair of each person best.

        Returns:
            (T, S, M, P) predictive variances; (T, M, P) doubt: by how much the log-likelihood of a vector would rise if
            it were reversed.
        """
        settled = filters.known[:, None] & (filters.spread < MAX_SETTLED_VARIANCE)
        misfit = np.where(
            settled, np.log(filters.spread) + np.minimum(filters.surprise, self.costs.max_pair_cost), 0
        ).sum(axis=0)
        best: Index = (slice(None), misfit.argmin(axis=0), *np.ogrid[: misfit.shape[1], : misfit.shape[2]])
        surprise, settled = filters.surprise[best], settled[best]
        usual = median_of_smallest(np.where(settled, surprise, np.inf), settled.sum(axis=0)) / np.log(2)
        usual = np.maximum(np.where(np.isfinite(usual), usual, 1), (self.min_noise / NOISE) ** 2)
        spread = filters.spread * usual
        return spread, -2 * (filters.expected[best] * filters.vector.conj()).real / spread[best]

    def _short_swaps(self, states: Indices, window: TrackWindow, before: Indices) -> Mask:
        """Return the (T, A, pairs) that are swapped, where a state interrupts the usual one for a short time."""
        swapped = np.zeros((*states.shape, STATES.shape[1]), np.bool_)
        for person, row in enumerate(states.T):
            usual = np.bincount(row).argmax()
            edges = np.diff((row != usual).astype(np.int8), prepend=0, append=0)
            for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
                within = start > 0 and end < len(row) and window.time_s[end] - window.time_s[start] <= self.max_swap_s
                continues = start == window.first and before[person] > 0
                if within and (end - start > 1 or continues):
                    swapped[start:end, person] = STATES[row[start:end]] != STATES[usual]
        swapped[: window.first] = False
        return swapped


def _state_before(window: TrackWindow, people: Indices) -> Indices:
    """Return the (A,) states of the last finished frame as measured; ``keep`` if there is none."""
    repaired = (window.flags[window.first - 1 : window.first, people][..., LEFT] & Flag.REPAIRED) > 0
    same = (repaired[..., None, :] == (STATES < 0)).all(axis=-1)
    states: Indices = same.argmax(axis=-1).sum(axis=0, dtype=np.intp)
    return states


def _swapped_back(window: TrackWindow, people: Indices, swapped: Mask) -> TrackWindow:
    """Return the window with the (T, A, pairs) that are swapped swapped back."""
    frame, person, pair = np.nonzero(swapped)
    row = people[person]
    columns = {}
    for name in ("xy", "score", "known", "flags"):
        column = getattr(window, name).copy()
        column[frame, row, LEFT[pair]] = getattr(window, name)[frame, row, RIGHT[pair]]
        column[frame, row, RIGHT[pair]] = getattr(window, name)[frame, row, LEFT[pair]]
        columns[name] = column
    for side in (LEFT, RIGHT):
        columns["flags"][frame, row, side[pair]] |= np.uint8(Flag.REPAIRED)
    return replace(window, **columns)
