"""Find outliers: joints that are briefly at implausible positions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, median_of_smallest, neighbours
from tposecli.types import Flag

SCORE_OFFSET = 0.5
"""Distance limit, relative to that at score 0.5, for a joint of score 0; the limit grows linearly with the score."""

HALF_WINDOW = 3
"""Number of frames on either side that a joint is compared with."""

RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))
"""Median distance from the centre of an isotropic 2D normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class FindOutliers:
    """A Hampel test (Hampel, 1974) in the plane, around a robust line fit (Theil, 1950; Sen, 1968).

    A joint is an outlier if its distance from the median of the surrounding frames, after removal of the linear trend,
    exceeds both ``deviations`` times their spread and ``min_distance`` of the person's size. The limit grows with the
    joint's score. Continuing movements are never outliers, however fast; the first and the last frame of a joint are
    not tested.

    Attributes:
        deviations: Limit in standard deviations, estimated from the median distance.
        min_distance: Minimum distance of an outlier, relative to the person's size.
    """

    deviations: float = 5.0
    min_distance: float = 0.05

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with outliers flagged and marked as unknown."""
        frame, person, joint = np.nonzero(self._suspects(window))
        if not len(frame):
            return window
        index = np.clip(frame + np.arange(-HALF_WINDOW, HALF_WINDOW + 1)[:, None], 0, len(window.time_s) - 1)
        inside = (frame + np.arange(-HALF_WINDOW, HALF_WINDOW + 1)[:, None]) == index
        known = window.known[index, person, joint] & inside
        xy = window.xy[index, person, joint] / window.size[person][:, None]
        ahead = window.time_s[index] - window.time_s[frame]
        rest = xy - _slope(xy, ahead, known) * ahead[..., None]
        count = known.sum(axis=0)
        middle = median_of_smallest(np.where(known[..., None], rest, np.inf), count[:, None].repeat(2, axis=1))
        far = np.linalg.norm(rest - middle, axis=2)
        spread = median_of_smallest(np.where(known, far, np.inf), count) / RAYLEIGH_MEDIAN
        trust = SCORE_OFFSET + window.score[frame, person, joint]
        wrong = (far[HALF_WINDOW] > trust * np.maximum(self.deviations * spread, self.min_distance)) & (
            count >= HALF_WINDOW + 1
        )
        place = frame[wrong], person[wrong], joint[wrong]
        flags, believed = window.flags.copy(), window.known.copy()
        flags[place] |= np.uint8(Flag.OUTLIER)
        believed[place] = False
        return replace(window, flags=flags, known=believed)

    def _suspects(self, window: TrackWindow) -> Mask:
        """Return the (T, M, K) known joints that deviate from their neighbours: a cheap first test."""
        part, count = slice(window.first, None), len(window.time_s)
        before, after = (index[part] for index in neighbours(window.known))
        judged = window.known[part] & (before >= 0) & (after < count)
        before, after = np.maximum(before, 0), np.minimum(after, count - 1)
        old, new = _picked(window.xy, before), _picked(window.xy, after)
        start = window.time_s[before]
        apart = np.maximum(window.time_s[after] - start, 1e-9)
        new -= old
        new *= ((window.time_s[part, None, None] - start) / apart)[..., None]
        off = window.xy[part] - old - new
        off *= off
        min_distance = self.min_distance * window.size[:, None] * (SCORE_OFFSET + 0.2)
        look = np.zeros_like(window.known)
        look[part] = judged & (off[..., 0] + off[..., 1] > min_distance * min_distance)
        return look


def _picked(values: Float64, index: Indices) -> Float64:
    """Return the (T, M, K, 2) values of other frames."""
    joints = values[0, :, :, 0].size
    return values.reshape(-1, 2).take(index * joints + np.arange(joints).reshape(index.shape[1:]), axis=0)


def _slope(xy: Float64, at: Float64, known: Mask) -> Float64:
    """Return the (C, 2) medians of the slopes between all pairs of (W, C, 2) points at (W, C) times."""
    first, second = np.triu_indices(len(xy), 1)
    both = known[first] & known[second] & (at[second] > at[first])
    apart = np.where(both, at[second] - at[first], 1)
    slopes = np.where(both[..., None], (xy[second] - xy[first]) / apart[..., None], np.inf)
    middle = median_of_smallest(slopes, both.sum(axis=0)[:, None].repeat(2, axis=1))
    return np.where(np.isfinite(middle), middle, 0)
