"""How joints move: accelerations that are not there, jitter, and how late they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from tposecli.evaluation.clips.matching import Float64, Mask, Pairs
from tposecli.geometry.keypoints import KEYPOINTS

MAX_LAG_S: Final = 0.25
LAGS_S: Final = np.linspace(-MAX_LAG_S, MAX_LAG_S, 41)
"""Lags that are tried: the correlation of human movements is as good as a parabola over 12.5 ms."""

STILL: Final = 1e-12
"""Squared products of displacements, in heights, up to which nobody moves."""

ALIKE: Final = 0.5
"""Least correlation of movements found with true ones that tells a lag."""

GROSS: Final = 0.05
"""Joints further off than this share of the person's height say nothing of lag."""


@dataclass(frozen=True, slots=True)
class MotionMetrics:
    """What moves otherwise than it should; None where nobody was found in enough frames in a row.

    Attributes:
        acceleration_px: Mean length of the difference of the accelerations, px/s^2 (Kanazawa et al., CVPR 2019).
        acceleration_height: The same in per cent of the person's height per s^2.
        jitter: Mean length of the jerk, the third derivative, per cent of the person's height per s^3 (Flash & Hogan
            1985; as a measure of jitter Yi et al., SIGGRAPH 2021).
        true_jitter: The jerk of the truth in the same places.
        lag_ms: By how much the poses are behind the truth.
    """

    acceleration_px: float | None
    acceleration_height: float | None
    jitter: float | None
    true_jitter: float | None
    lag_ms: float | None


@dataclass(frozen=True, eq=False, slots=True)
class Moves:
    """Differences over frames in a row: W3 and W4 windows, D lags.

    Attributes:
        acceleration_px: (W3, 17) length of the difference of the accelerations; NaN where it is not known.
        acceleration_height: (W3, 17) in per cent of the height.
        jerk: (W4, 17) of what was found, per cent of the height.
        true_jerk: (W4, 17) of the truth.
        products: (D, 17, 3) sums over frames, of displacements: found by true, found squared, true squared.
    """

    acceleration_px: Float64
    acceleration_height: Float64
    jerk: Float64
    true_jerk: Float64
    products: Float64

    def motion(self, keypoint: int | None = None) -> MotionMetrics:
        """Of all keypoints or of one."""
        chosen = slice(None) if keypoint is None else slice(keypoint, keypoint + 1)
        return MotionMetrics(
            _mean(self.acceleration_px[:, chosen]),
            _mean(self.acceleration_height[:, chosen]),
            _mean(self.jerk[:, chosen]),
            _mean(self.true_jerk[:, chosen]),
            _lag_ms(self.products[:, chosen].sum(axis=1)),
        )


def moves(pairs: Pairs) -> Moves:
    """Of all people; times of frames as they are."""
    threes, fours = pairs.windows(3), pairs.windows(4)
    difference = np.linalg.norm(_derivative(pairs, threes, pairs.found - pairs.xy), axis=2)
    found, true = (np.linalg.norm(_derivative(pairs, fours, xy), axis=2) for xy in (pairs.found, pairs.xy))
    share, height = 100 / pairs.height[threes[:, 1], None], 100 / pairs.height[fours[:, 1], None]
    true = np.where(np.isfinite(found), true, np.nan)
    found = np.where(np.isfinite(true), found, np.nan)
    products = sum((course.products() for course in _courses(pairs)), np.zeros((len(LAGS_S), len(KEYPOINTS), 3)))
    return Moves(difference, difference * share, found * height, true * height, products)


def _mean(values: Float64) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _derivative(pairs: Pairs, windows: NDArray[np.intp], xy: Float64) -> Float64:
    """(W, 17, 2) the (length - 1)-th derivative over each window, by divided differences; frame times may vary."""
    value, time_s = xy[windows], pairs.time_s[windows]
    for order in range(1, windows.shape[1]):
        step = np.maximum(time_s[:, order:] - time_s[:, :-order], 1e-6)
        value = order * np.diff(value, axis=1) / step[:, :, None, None]
    return value[:, 0]


@dataclass(frozen=True, eq=False, slots=True)
class _Course:
    """One person in T frames in a row.

    Attributes:
        joints: J keypoints that are labelled all the time.
        spline: The truth, T x J x 2 at the frames' times.
        time_s: (T,) seconds.
        moved: (T - 2, J, 2) what was found, differenced over two frames, in heights; 0 where not ``known``.
        known: (T - 2, J) where it can be compared.
        height: Of the person, pixels.
    """

    joints: NDArray[np.intp]
    spline: CubicSpline
    time_s: Float64
    moved: Float64
    known: Mask
    height: float

    def products(self) -> Float64:
        """(D, 17, 3) what correlations are made of, for each lag.

        The truth is made continuous by cubic splines, delayed, and differenced over two frames at the frames' own
        times, as what was found is, so neither frame rate nor differencing adds a lag.
        """
        sums = np.zeros((len(LAGS_S), len(KEYPOINTS), 3))
        for row, lag_s in zip(sums, LAGS_S, strict=True):
            xy = self.spline(self.time_s - lag_s)
            true = np.where(self.known[:, :, None], (xy[2:] - xy[:-2]) / self.height, 0)
            terms = self.moved * true, self.moved**2, true**2
            row[self.joints] = np.stack([term.sum(axis=(0, 2)) for term in terms], axis=1)
        return sums


def _courses(pairs: Pairs) -> Iterator[_Course]:
    """People in frames without a gap, for long enough."""
    breaks = (np.diff(pairs.track) != 0) | (np.diff(pairs.frame) != 1)
    for rows in np.split(np.arange(len(pairs)), np.flatnonzero(breaks) + 1):
        person = pairs[rows]
        time_s = person.time_s
        joints = np.flatnonzero(np.isfinite(person.xy).all(axis=(0, 2)))
        if len(rows) < 5 or time_s[-1] - time_s[0] <= 2 * MAX_LAG_S or not len(joints) or (np.diff(time_s) <= 0).any():
            continue
        near = person.error[:, joints] <= GROSS * person.height[:, None]
        inside = (time_s[:-2] - time_s[0] >= MAX_LAG_S) & (time_s[-1] - time_s[2:] >= MAX_LAG_S)
        known = near[:-2] & near[2:] & inside[:, None]
        height = float(np.median(person.height))
        found = person.found[:, joints]
        moved = np.where(known[:, :, None], (found[2:] - found[:-2]) / height, 0)
        yield _Course(joints, CubicSpline(time_s, person.xy[:, joints]), time_s, moved, known, height)


def _lag_ms(products: Float64) -> float | None:
    """The lag with the greatest correlation, between those that were tried by a parabola: finer than a frame.

    None where nobody moves, or is found long enough, or the movements are too unlike at every lag.
    """
    both, own, theirs = products.T
    if (own * theirs <= STILL).any():
        return None
    correlation = both / np.sqrt(own * theirs)
    place = int(np.argmax(correlation))
    if not 0 < place < len(LAGS_S) - 1 or correlation[place] < ALIKE:
        return None
    before, top, after = correlation[place - 1 : place + 2]
    bend = before - 2 * top + after
    shift = 0.0 if bend >= 0 else 0.5 * (before - after) / bend
    return float(1000 * (LAGS_S[place] + shift * (LAGS_S[1] - LAGS_S[0])))
