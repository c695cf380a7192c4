"""Joints that are for a moment where they cannot be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, around, sorted_middle
from tposecli.types import Flag

TRUST = 0.5
"""Share of the usual distance that a joint of score 0 may stray; one of score 0.5 may stray as far as usual."""

HALF = 3
"""Frames on either side that are compared with."""

RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))
"""Median distance from the centre of a round normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class FindOutliers:
    """A Hampel test (Hampel, 1974) in the plane, round a line that outliers do not bend (Theil, 1950; Sen, 1968).

    A joint is an outlier if it is farther from the median of the frames around it than ``deviations`` times their
    spread, and than ``least`` of the person's size; of what lies around, the steady movement is taken off first. A
    joint of a high score may stray farther, one of a low score less far. Movements that go on, however fast, are never
    their own outliers; the first and the last frame of a joint are not judged.

    Attributes:
        deviations: Standard deviations, estimated by the median distance.
        least: Share of the person's size.
    """

    deviations: float = 5.0
    least: float = 0.05

    def __call__(self, strip: TrackWindow) -> TrackWindow:
        """The strip with outliers flagged and no longer known."""
        frame, person, joint = np.nonzero(self._suspects(strip))
        if not len(frame):
            return strip
        index = np.clip(frame + np.arange(-HALF, HALF + 1)[:, None], 0, len(strip.time_s) - 1)
        inside = (frame + np.arange(-HALF, HALF + 1)[:, None]) == index
        known = strip.known[index, person, joint] & inside
        xy = strip.xy[index, person, joint] / strip.size[person][:, None]
        ahead = strip.time_s[index] - strip.time_s[frame]
        rest = xy - _slope(xy, ahead, known) * ahead[..., None]
        count = known.sum(axis=0)
        middle = sorted_middle(np.where(known[..., None], rest, np.inf), count[:, None].repeat(2, axis=1))
        far = np.linalg.norm(rest - middle, axis=2)
        spread = sorted_middle(np.where(known, far, np.inf), count) / RAYLEIGH_MEDIAN
        trust = TRUST + strip.score[frame, person, joint]
        wrong = (far[HALF] > trust * np.maximum(self.deviations * spread, self.least)) & (count >= HALF + 1)
        place = frame[wrong], person[wrong], joint[wrong]
        flags, believed = strip.flags.copy(), strip.known.copy()
        flags[place] |= np.uint8(Flag.OUTLIER)
        believed[place] = False
        return replace(strip, flags=flags, known=believed)

    def _suspects(self, strip: TrackWindow) -> Mask:
        """(T, M, K) known joints that are not where their neighbours would have them: a cheap first look."""
        part, count = slice(strip.first, None), len(strip.time_s)
        before, after = (index[part] for index in around(strip.known))
        judged = strip.known[part] & (before >= 0) & (after < count)
        before, after = np.maximum(before, 0), np.minimum(after, count - 1)
        old, new = _picked(strip.xy, before), _picked(strip.xy, after)
        start = strip.time_s[before]
        apart = np.maximum(strip.time_s[after] - start, 1e-9)
        new -= old
        new *= ((strip.time_s[part, None, None] - start) / apart)[..., None]
        off = strip.xy[part] - old - new
        off *= off
        least = self.least * strip.size[:, None] * (TRUST + 0.2)
        look = np.zeros_like(strip.known)
        look[part] = judged & (off[..., 0] + off[..., 1] > least * least)
        return look


def _picked(values: Float64, index: Indices) -> Float64:
    """(T, M, K, 2) values of other frames."""
    joints = values[0, :, :, 0].size
    return values.reshape(-1, 2).take(index * joints + np.arange(joints).reshape(index.shape[1:]), axis=0)


def _slope(xy: Float64, at: Float64, known: Mask) -> Float64:
    """(C, 2) median of the slopes between all pairs of (W, C, 2) points at (W, C) times."""
    first, second = np.triu_indices(len(xy), 1)
    both = known[first] & known[second] & (at[second] > at[first])
    apart = np.where(both, at[second] - at[first], 1)
    slopes = np.where(both[..., None], (xy[second] - xy[first]) / apart[..., None], np.inf)
    middle = sorted_middle(slopes, both.sum(axis=0)[:, None].repeat(2, axis=1))
    return np.where(np.isfinite(middle), middle, 0)
