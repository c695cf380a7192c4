"""Fill short gaps: interpolate joints and people that were missed for a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, neighbours
from tposecli.types import Flag


@dataclass(frozen=True, slots=True)
class FillGaps:
    """Interpolates missing joints over time between the two neighbouring frames in which they were measured.

    Missing joints are flagged ``FILLED``; replaced outliers stay flagged ``OUTLIER``. Both get the lower score of their
    two neighbours. A person who was missed altogether is added with all joints; those that are not known on both sides
    get score 0. Gaps that cannot be filled are left as measured.

    Attributes:
        max_gap_s: Maximum time between the two neighbours, seconds.
        max_outlier_gap_s: Likewise for outliers, if it is larger.
    """

    max_gap_s: float
    max_outlier_gap_s: float = 0.3

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with its gaps filled."""
        window = self._people(window)
        before, after = neighbours(window.known)
        wrong = (window.flags & Flag.OUTLIER) > 0
        longest = np.where(wrong, max(self.max_outlier_gap_s, self.max_gap_s), self.max_gap_s)
        holes = ~window.known & _fillable(window, before, after, longest) & window.present[:, :, None]
        where = np.nonzero(holes)
        xy, score, flags, known = window.xy.copy(), window.score.copy(), window.flags.copy(), window.known.copy()
        old, new = (index[where] for index in (before, after))
        rows = where[1:]
        xy[where] = _interpolated(window, window.xy, where[0], (old, new), rows)
        score[where] = np.minimum(window.score[(old, *rows)], window.score[(new, *rows)])
        flags[holes & ~wrong] |= np.uint8(Flag.FILLED)
        flags[wrong & ~holes & (np.arange(len(flags)) >= window.first)[:, None, None]] &= ~np.uint8(Flag.OUTLIER)
        known |= holes | wrong
        return replace(window, xy=xy, score=score, flags=flags, known=known)

    def _people(self, window: TrackWindow) -> TrackWindow:
        """Add people who were missed, with interpolated boxes and joints and the lower score of both sides."""
        before, after = neighbours(window.present)
        missed = ~window.present & _fillable(window, before, after, np.full((), self.max_gap_s))
        if not missed.any():
            return window
        frame, row = np.nonzero(missed)
        ends = before[frame, row], after[frame, row]
        xy, score, flags, box = window.xy.copy(), window.score.copy(), window.flags.copy(), window.box.copy()
        xy[frame, row] = _interpolated(window, window.xy, frame, ends, (row,))
        box[frame, row] = _interpolated(window, window.box, frame, ends, (row,))
        score[frame, row] = np.minimum(window.score[ends[0], row], window.score[ends[1], row])
        score[frame, row] = np.where(window.known[ends[0], row] & window.known[ends[1], row], score[frame, row], 0)
        flags[frame, row] = np.uint8(Flag.FILLED)
        return replace(window, xy=xy, score=score, flags=flags, box=box, present=window.present | missed)


def _fillable(window: TrackWindow, before: Indices, after: Indices, max_gap_s: Float64) -> Mask:
    """Return where both neighbours exist and are close enough; never in a finished frame."""
    count = len(window.time_s)
    both: Mask = (before >= 0) & (after < count)
    apart = window.time_s[np.minimum(after, count - 1)] - window.time_s[np.maximum(before, 0)]
    both &= apart <= max_gap_s + 1e-6
    both[: window.first] = False
    return both


def _interpolated(
    window: TrackWindow, values: Float64, frame: Indices, ends: tuple[Indices, Indices], rows: tuple[Indices, ...]
) -> Float64:
    """Return (H, ...) values interpolated at the times of ``frame`` (H,) between two other frames."""
    old, new = ends
    start, stop = window.time_s[old], window.time_s[new]
    share = ((window.time_s[frame] - start) / (stop - start)).reshape(-1, *[1] * (values.ndim - 1 - len(rows)))
    first, second = values[(old, *rows)], values[(new, *rows)]
    mixed: Float64 = first + share * (second - first)
    return mixed
