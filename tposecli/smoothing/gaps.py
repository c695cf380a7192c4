"""Joints and people that were missed for a moment, put where they must have been."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow, around
from tposecli.types import Flag


@dataclass(frozen=True, slots=True)
class FillGaps:
    """Interpolates joints along time between the two frames in which they were measured.

    Joints that were not measured are flagged ``FILLED``; those that were, but wrongly, stay flagged ``OUTLIER``. Both
    are as sure as the less sure of their two neighbours. A person who was not found at all is put in with every joint,
    those that were not seen on both sides with their low scores. What cannot be filled stays as it was measured.

    Attributes:
        longest_s: Most seconds between the two neighbours.
        wrong_s: The same for outliers, if that is more.
    """

    longest_s: float
    wrong_s: float = 0.3

    def __call__(self, strip: TrackWindow) -> TrackWindow:
        """The strip with its gaps filled."""
        strip = self._people(strip)
        before, after = around(strip.known)
        wrong = (strip.flags & Flag.OUTLIER) > 0
        longest = np.where(wrong, max(self.wrong_s, self.longest_s), self.longest_s)
        holes = ~strip.known & _short(strip, before, after, longest) & strip.there[:, :, None]
        where = np.nonzero(holes)
        xy, score, flags, known = strip.xy.copy(), strip.score.copy(), strip.flags.copy(), strip.known.copy()
        old, new = (index[where] for index in (before, after))
        rows = where[1:]
        xy[where] = _between(strip, strip.xy, where[0], (old, new), rows)
        score[where] = np.minimum(strip.score[(old, *rows)], strip.score[(new, *rows)])
        flags[holes & ~wrong] |= np.uint8(Flag.FILLED)
        flags[wrong & ~holes & (np.arange(len(flags)) >= strip.first)[:, None, None]] &= ~np.uint8(Flag.OUTLIER)
        known |= holes | wrong
        return replace(strip, xy=xy, score=score, flags=flags, known=known)

    def _people(self, strip: TrackWindow) -> TrackWindow:
        """People who were missed, with boxes, and with joints as little sure as on either side."""
        before, after = around(strip.there)
        missed = ~strip.there & _short(strip, before, after, np.full((), self.longest_s))
        if not missed.any():
            return strip
        frame, row = np.nonzero(missed)
        ends = before[frame, row], after[frame, row]
        xy, score, flags, box = strip.xy.copy(), strip.score.copy(), strip.flags.copy(), strip.box.copy()
        xy[frame, row] = _between(strip, strip.xy, frame, ends, (row,))
        box[frame, row] = _between(strip, strip.box, frame, ends, (row,))
        score[frame, row] = np.minimum(strip.score[ends[0], row], strip.score[ends[1], row])
        score[frame, row] = np.where(strip.known[ends[0], row] & strip.known[ends[1], row], score[frame, row], 0)
        flags[frame, row] = np.uint8(Flag.FILLED)
        return replace(strip, xy=xy, score=score, flags=flags, box=box, there=strip.there | missed)


def _short(strip: TrackWindow, before: Indices, after: Indices, longest_s: Float64) -> Mask:
    """Where both neighbours are there and not too far apart; never in a frame that is finished."""
    count = len(strip.time_s)
    both: Mask = (before >= 0) & (after < count)
    apart = strip.time_s[np.minimum(after, count - 1)] - strip.time_s[np.maximum(before, 0)]
    both &= apart <= longest_s + 1e-6
    both[: strip.first] = False
    return both


def _between(
    strip: TrackWindow, values: Float64, frame: Indices, ends: tuple[Indices, Indices], rows: tuple[Indices, ...]
) -> Float64:
    """(H, ...) values interpolated at the times of ``frame`` (H,) between two other frames."""
    old, new = ends
    start, stop = strip.time_s[old], strip.time_s[new]
    share = ((strip.time_s[frame] - start) / (stop - start)).reshape(-1, *[1] * (values.ndim - 1 - len(rows)))
    first, second = values[(old, *rows)], values[(new, *rows)]
    mixed: Float64 = first + share * (second - first)
    return mixed
