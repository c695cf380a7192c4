"""Quality of motion: acceleration error, jitter, and lag."""

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
"""Lags that are tried; around its peak, the correlation of human motion is close to a parabola over 12.5 ms."""

MIN_MOTION: Final = 1e-12
"""Products of squared displacements, in body heights, up to which nothing moves."""

MIN_CORRELATION: Final = 0.5
"""Minimum correlation of detected and true motion for a lag to be meaningful."""

MAX_ERROR: Final = 0.05
"""Joints with a larger error, as a fraction of the person's height, are not used to determine the lag."""


@dataclass(frozen=True, slots=True)
class MotionMetrics:
    """Errors of motion; None if nobody was detected in enough consecutive frames.

    Attributes:
        acceleration_px: Mean norm of the acceleration error, px/s^2 (Kanazawa et al., CVPR 2019).
        acceleration_height: The same in per cent of the person's height per s^2.
        jitter: Mean norm of the jerk, the third derivative, in per cent of the person's height per s^3 (Flash & Hogan
            1985; as a measure of jitter Yi et al., SIGGRAPH 2021).
        true_jitter: Mean norm of the jerk of the ground truth for the same joints and frames.
        lag_ms: Delay of the poses behind the ground truth.
    """

    acceleration_px: float | None
    acceleration_height: float | None
    jitter: float | None
    true_jitter: float | None
    lag_ms: float | None


@dataclass(frozen=True, eq=False, slots=True)
class MotionDerivatives:
    """Derivatives over consecutive frames: W3 and W4 windows, D lags.

    Attributes:
        acceleration_px: (W3, 17) norm of the acceleration error; NaN where unknown.
        acceleration_height: (W3, 17) the same in per cent of the height.
        jerk: (W4, 17) norm of the jerk of the poses, per cent of the height.
        true_jerk: (W4, 17) norm of the jerk of the ground truth.
        products: (D, 17, 3) sums over frames of products of displacements: detected by true, detected squared, true
            squared.
    """

    acceleration_px: Float64
    acceleration_height: Float64
    jerk: Float64
    true_jerk: Float64
    products: Float64

    def metrics(self, keypoint: int | None = None) -> MotionMetrics:
        """Return the metrics over all keypoints, or of one."""
        chosen = slice(None) if keypoint is None else slice(keypoint, keypoint + 1)
        return MotionMetrics(
            _mean(self.acceleration_px[:, chosen]),
            _mean(self.acceleration_height[:, chosen]),
            _mean(self.jerk[:, chosen]),
            _mean(self.true_jerk[:, chosen]),
            _lag_ms(self.products[:, chosen].sum(axis=1)),
        )


def motion_derivatives(pairs: Pairs) -> MotionDerivatives:
    """Compute the derivatives for all people, with the actual times of the frames."""
    threes, fours = pairs.windows(3), pairs.windows(4)
    difference = np.linalg.norm(_derivative(pairs, threes, pairs.found - pairs.xy), axis=2)
    found, true = (np.linalg.norm(_derivative(pairs, fours, xy), axis=2) for xy in (pairs.found, pairs.xy))
    share, height = 100 / pairs.height[threes[:, 1], None], 100 / pairs.height[fours[:, 1], None]
    true = np.where(np.isfinite(found), true, np.nan)
    found = np.where(np.isfinite(true), found, np.nan)
    products = sum((segment.products() for segment in _segments(pairs)), np.zeros((len(LAGS_S), len(KEYPOINTS), 3)))
    return MotionDerivatives(difference, difference * share, found * height, true * height, products)


def _mean(values: Float64) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _derivative(pairs: Pairs, windows: NDArray[np.intp], xy: Float64) -> Float64:
    """Return (W, 17, 2) derivatives of order length - 1 over each window, by divided differences in irregular time."""
    value, time_s = xy[windows], pairs.time_s[windows]
    for order in range(1, windows.shape[1]):
        step = np.maximum(time_s[:, order:] - time_s[:, :-order], 1e-6)
        value = order * np.diff(value, axis=1) / step[:, :, None, None]
    return value[:, 0]


@dataclass(frozen=True, eq=False, slots=True)
class _Segment:
    """One person in T consecutive frames.

    Attributes:
        joints: J keypoints that are labelled in all of them.
        spline: Ground truth as a spline through the T x J x 2 positions.
        time_s: (T,) seconds.
        moved: (T - 2, J, 2) displacements of the pose over two frames, in heights; 0 where not ``known``.
        known: (T - 2, J) where it can be compared.
        height: Height of the person in pixels.
    """

    joints: NDArray[np.intp]
    spline: CubicSpline
    time_s: Float64
    moved: Float64
    known: Mask
    height: float

    def products(self) -> Float64:
        """Return (D, 17, 3) sums from which the correlation at each lag is computed.

        The ground truth is interpolated by cubic splines, delayed, and differenced over two frames at the frame times,
        just as the poses are, so that neither the frame rate nor the differencing adds a lag.
        """
        sums = np.zeros((len(LAGS_S), len(KEYPOINTS), 3))
        for row, lag_s in zip(sums, LAGS_S, strict=True):
            xy = self.spline(self.time_s - lag_s)
            true = np.where(self.known[:, :, None], (xy[2:] - xy[:-2]) / self.height, 0)
            terms = self.moved * true, self.moved**2, true**2
            row[self.joints] = np.stack([term.sum(axis=(0, 2)) for term in terms], axis=1)
        return sums


def _segments(pairs: Pairs) -> Iterator[_Segment]:
    """Yield people in runs of consecutive frames that are long enough."""
    breaks = (np.diff(pairs.track) != 0) | (np.diff(pairs.frame) != 1)
    for rows in np.split(np.arange(len(pairs)), np.flatnonzero(breaks) + 1):
        person = pairs[rows]
        time_s = person.time_s
        joints = np.flatnonzero(np.isfinite(person.xy).all(axis=(0, 2)))
        if len(rows) < 5 or time_s[-1] - time_s[0] <= 2 * MAX_LAG_S or not len(joints) or (np.diff(time_s) <= 0).any():
            continue
        accurate = person.error[:, joints] <= MAX_ERROR * person.height[:, None]
        inside = (time_s[:-2] - time_s[0] >= MAX_LAG_S) & (time_s[-1] - time_s[2:] >= MAX_LAG_S)
        known = accurate[:-2] & accurate[2:] & inside[:, None]
        height = float(np.median(person.height))
        found = person.found[:, joints]
        moved = np.where(known[:, :, None], (found[2:] - found[:-2]) / height, 0)
        yield _Segment(joints, CubicSpline(time_s, person.xy[:, joints]), time_s, moved, known, height)


def _lag_ms(products: Float64) -> float | None:
    """Return the lag with the highest correlation, refined to less than a frame by fitting a parabola.

    None if nobody moves or is detected for long enough, or if no lag gives a sufficient correlation.
    """
    cross, own, theirs = products.T
    if (own * theirs <= MIN_MOTION).any():
        return None
    correlation = cross / np.sqrt(own * theirs)
    place = int(np.argmax(correlation))
    if not 0 < place < len(LAGS_S) - 1 or correlation[place] < MIN_CORRELATION:
        return None
    before, top, after = correlation[place - 1 : place + 2]
    curvature = before - 2 * top + after
    shift = 0.0 if curvature >= 0 else 0.5 * (before - after) / curvature
    return float(1000 * (LAGS_S[place] + shift * (LAGS_S[1] - LAGS_S[0])))
