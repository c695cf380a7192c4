"""Filters that take each frame from those around it, the same distance before and after: no lag."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tposecli.smoothing.track_window import Float64, Indices, Mask, TrackWindow


@dataclass(frozen=True, slots=True)
class Savgol:
    """A polynomial through the frames around each frame, by least squares weighted with the scores.

    At a constant frame rate and equal scores that is the filter of Savitzky and Golay (1964); the frames' own times
    make it right at any other, too. Where fewer joints are known than the polynomial needs, its order falls.
    """

    window_s: float
    order: int

    def __call__(self, strip: TrackWindow) -> TrackWindow:
        """The strip with the frames to be finished filtered."""
        index, inside = _windows(strip, self.window_s)
        at = (strip.time_s[index] - strip.time_s[strip.first : strip.ripe, None]) / (self.window_s / 2)
        powers = at[..., None] ** np.arange(2 * self.order + 1)
        weight = _weights(strip, index, inside)
        terms = self.order + 1
        moments = np.einsum("twmk,twp->tmkp", weight, powers)
        values = weight[..., None] * _centred(strip, index)
        sums = np.einsum("twmkc,twp->tmkpc", values, powers[..., :terms])
        matrix = moments[..., np.add.outer(np.arange(terms), np.arange(terms))]
        ridge = np.diag([0.0, *[1e-9] * (terms - 1)]) * moments[..., :1, None]
        matrix = matrix + ridge + np.eye(terms) * (moments[..., :1, None] == 0)
        place = np.linalg.solve(matrix, sums)[..., 0, :] + strip.xy[strip.first : strip.ripe]
        return _with(strip, place)


@dataclass(frozen=True, slots=True)
class Median:
    """The median of the frames around each frame, for x and y apart, weighted with the scores."""

    window_s: float

    def __call__(self, strip: TrackWindow) -> TrackWindow:
        """The strip with the frames to be finished filtered."""
        index, inside = _windows(strip, self.window_s)
        values = strip.xy[index]
        weight = np.repeat(_weights(strip, index, inside)[..., None], 2, axis=-1)
        order = np.argsort(values, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        below = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
        half = below[:, -1:] / 2
        ends = [(below < half - 1e-9).sum(axis=1, keepdims=True), (below <= half + 1e-9).sum(axis=1, keepdims=True)]
        last = values.shape[1] - 1
        low, high = (np.take_along_axis(values, np.minimum(end, last), axis=1)[:, 0] for end in ends)
        return _with(strip, (low + high) / 2)


def _windows(strip: TrackWindow, window_s: float) -> tuple[Indices, Mask]:
    """(F, W) frames around each of the F frames to be finished, and which of them lie in the window."""
    middle = strip.time_s[strip.first : strip.ripe]
    start = np.searchsorted(strip.time_s, middle - window_s / 2 - 1e-6)
    stop = np.searchsorted(strip.time_s, middle + window_s / 2 + 1e-6)
    index = start[:, None] + np.arange(int((stop - start).max(initial=1)))
    return np.minimum(index, len(strip.time_s) - 1), np.asarray(index < stop[:, None])


def _weights(strip: TrackWindow, index: Indices, inside: Mask) -> Float64:
    """(F, W, M, K) scores of what is known."""
    score = np.where(strip.known, strip.score, 0)
    weight: Float64 = score[index] * inside[:, :, None, None]
    return weight


def _centred(strip: TrackWindow, index: Indices) -> Float64:
    """(F, W, M, K, 2) pixels from where the joint is in the middle frame, which keeps the sums small."""
    centred: Float64 = strip.xy[index] - strip.xy[strip.first : strip.ripe, None]
    return centred


def _with(strip: TrackWindow, place: Float64) -> TrackWindow:
    """The strip with known joints of the frames to be finished at their new places."""
    part = slice(strip.first, strip.ripe)
    xy = strip.xy.copy()
    xy[part] = np.where(strip.known[part, ..., None], place, xy[part])
    return replace(strip, xy=xy)
