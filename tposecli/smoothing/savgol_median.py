"""Filters over a centred window of frames, which do not lag."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow


@dataclass(frozen=True, slots=True)
class Savgol:
    """A local polynomial fit around each frame, by least squares weighted with the scores.

    At a constant frame rate and with equal scores this is the filter of Savitzky and Golay (1964); using the frames'
    times generalises it to variable frame rates. If too few joints are known for the polynomial, its order is reduced.
    """

    window_s: float
    order: int

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with the frames to be finished filtered."""
        index, inside = _windows(window, self.window_s)
        at = (window.time_s[index] - window.time_s[window.first : window.lookahead_start, None]) / (self.window_s / 2)
        powers = at[..., None] ** np.arange(2 * self.order + 1)
        weight = _weights(window, index, inside)
        terms = self.order + 1
        moments = np.einsum("twmk,twp->tmkp", weight, powers)
        values = weight[..., None] * _centred(window, index)
        sums = np.einsum("twmkc,twp->tmkpc", values, powers[..., :terms])
        matrix = moments[..., np.add.outer(np.arange(terms), np.arange(terms))]
        ridge = np.diag([0.0, *[1e-9] * (terms - 1)]) * moments[..., :1, None]
        matrix = matrix + ridge + np.eye(terms) * (moments[..., :1, None] == 0)
        place = np.linalg.solve(matrix, sums)[..., 0, :] + window.xy[window.first : window.lookahead_start]
        return _with(window, place)


@dataclass(frozen=True, slots=True)
class Median:
    """A running median, separate for x and y, weighted with the scores."""

    window_s: float

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with the frames to be finished filtered."""
        index, inside = _windows(window, self.window_s)
        values = window.xy[index]
        weight = np.repeat(_weights(window, index, inside)[..., None], 2, axis=-1)
        order = np.argsort(values, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        below = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
        half = below[:, -1:] / 2
        ends = [(below < half - 1e-9).sum(axis=1, keepdims=True), (below <= half + 1e-9).sum(axis=1, keepdims=True)]
        last = values.shape[1] - 1
        low, high = (np.take_along_axis(values, np.minimum(end, last), axis=1)[:, 0] for end in ends)
        return _with(window, (low + high) / 2)


def _windows(window: TrackWindow, window_s: float) -> tuple[Indices, Mask]:
    """Return the (F, W) frames around each of the F frames to be finished, and which of them lie in the window."""
    middle = window.time_s[window.first : window.lookahead_start]
    start = np.searchsorted(window.time_s, middle - window_s / 2 - 1e-6)
    stop = np.searchsorted(window.time_s, middle + window_s / 2 + 1e-6)
    index = start[:, None] + np.arange(int((stop - start).max(initial=1)))
    return np.minimum(index, len(window.time_s) - 1), np.asarray(index < stop[:, None])


def _weights(window: TrackWindow, index: Indices, inside: Mask) -> Float64:
    """Return the (F, W, M, K) scores, 0 for unknown joints."""
    score = np.where(window.known, window.score, 0)
    weight: Float64 = score[index] * inside[:, :, None, None]
    return weight


def _centred(window: TrackWindow, index: Indices) -> Float64:
    """Return (F, W, M, K, 2) pixels relative to the joint in the middle frame, which keeps the sums small."""
    centred: Float64 = window.xy[index] - window.xy[window.first : window.lookahead_start, None]
    return centred


def _with(window: TrackWindow, place: Float64) -> TrackWindow:
    """Return the window with the known joints of the frames to be finished at their new positions."""
    part = slice(window.first, window.lookahead_start)
    xy = window.xy.copy()
    xy[part] = np.where(window.known[part, ..., None], place, xy[part])
    return replace(window, xy=xy)
