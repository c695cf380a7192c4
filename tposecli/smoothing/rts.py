"""Rauch-Tung-Striebel smoothing: the most likely path of each joint, given all measurements before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tposecli.smoothing.track_window import Float64, Mask, TrackWindow, neighbours
from tposecli.types import Flag

INITIAL_COVARIANCE = np.array([1e2, 0, 0, 1e3, 0, 1e4])
"""Covariance of position, velocity and acceleration before the first measurement, in person sizes and seconds."""

ROW, COLUMN = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 1, 2, 2])
"""Rows and columns of the six distinct entries of a symmetric 3 x 3 matrix."""

MAX_BEND = 0.02
"""How far a path through a gap may bend from the straight line between the gap's ends, in person sizes ..."""

MAX_BEND_OF_WAY = 0.15
"""... and in addition, as a share of the distance between the ends."""


@dataclass(frozen=True, slots=True)
class Rts:
    """A constant-acceleration Kalman filter forwards, with corrections backwards; times may be irregular.

    The variance of a measurement is ``noise**2 / score``; filled joints and outliers count as unmeasured. The backward
    pass is that of Bierman (1973), which gives the same path as Rauch, Tung and Striebel (1965) without inverting a
    matrix.

    In a gap the path follows the velocities at the gap's ends, which are wrong where the last measurements before it
    are: joints often are, just before they are lost. So it may not bend far from the straight line through the gap.
    """

    noise: float
    jerk: float

    def __call__(self, window: TrackWindow) -> TrackWindow:
        """Return the window with the known joints on their most likely paths."""
        replaced = (window.flags & (Flag.FILLED | Flag.OUTLIER)) > 0
        measured = window.known & ~replaced & window.present[:, :, None]
        precision = np.where(measured, np.maximum(window.score, 1e-3), 1e-12) / self.noise**2
        size = window.size[:, None, None]
        path = _straightened(self._path(window.xy / size, precision, window.time_s), window, measured) * size
        return replace(window, xy=np.where(window.known[..., None], path, window.xy))

    def _path(self, xy: Float64, precision: Float64, time_s: Float64) -> Float64:
        """Return the (T, M, K, 2) path, person sizes, given the (T, M, K) inverse variances of the measurements."""
        count, shape = len(xy), xy.shape[1:3]
        places = np.ascontiguousarray(xy.reshape(count, -1, 2).swapaxes(1, 2))
        weights = 1 / precision.reshape(count, -1)
        joints = weights.shape[1]
        moves = [_transitions(step, self.jerk) for step in np.diff(time_s, prepend=time_s[0]).tolist()]
        path, spread = np.empty((count, 3, 2, joints)), np.empty((count, 6, joints))
        gain, pull = np.empty((count, 3, joints)), np.empty_like(places)
        state, covariance = np.zeros((3, 2, joints)), np.repeat(INITIAL_COVARIANCE[:, None], joints, axis=1)
        state[0] = places[np.argmin(weights, axis=0), :, np.arange(joints)].T
        for t, (move, grow, added) in enumerate(moves):
            np.dot(move, state.reshape(3, -1), out=path[t].reshape(3, -1))
            np.dot(grow, covariance, out=spread[t])
            state, covariance = path[t], spread[t]
            covariance += added
            total = covariance[0] + weights[t]
            miss = places[t] - state[0]
            np.divide(covariance[:3], total, out=gain[t])
            np.divide(miss, total, out=pull[t])
            state += gain[t, :, None] * miss
            covariance -= gain[t].take(ROW, axis=0) * covariance.take(COLUMN, axis=0)
        later = np.zeros((count, 3, 2, joints))
        for t in range(count - 1, 0, -1):
            adjoint = later[t].copy()
            back = gain[t, :, None] * adjoint
            back[0] += back[1]
            back[0] += back[2]
            back[0] += pull[t]
            adjoint[0] -= back[0]
            np.dot(moves[t][0].T, adjoint.reshape(3, -1), out=later[t - 1].reshape(3, -1))
        smooth: Float64 = path[:, 0] - (spread[:, :3, None] * later).sum(axis=1)
        return smooth.swapaxes(1, 2).reshape(count, *shape, 2)


def _straightened(path: Float64, window: TrackWindow, measured: Mask) -> Float64:
    """Return the (T, M, K, 2) path, person sizes, with less bend in the gaps in which it bends too far.

    All of a gap's deviation from the straight line between its ends is reduced by the same factor. Measured joints,
    and gaps that reach beyond the window, keep their places.
    """
    before, after = neighbours(measured)
    where = np.nonzero(window.known & ~measured & (before >= 0) & (after < len(path)))
    if not len(where[0]):
        return path
    frame, *rows = where
    old, new = before[where], after[where]
    start, stop = path[(old, *rows)], path[(new, *rows)]
    share = (window.time_s[frame] - window.time_s[old]) / (window.time_s[new] - window.time_s[old])
    line = start + share[:, None] * (stop - start)
    bend = path[where] - line
    most = np.zeros(path.shape[:3])
    np.maximum.at(most, (old, *rows), np.linalg.norm(bend, axis=1))
    limit = MAX_BEND + MAX_BEND_OF_WAY * np.linalg.norm(stop - start, axis=1)
    factor = np.minimum(1, limit / np.maximum(most[(old, *rows)], 1e-12))
    path = path.copy()
    path[where] = line + factor[:, None] * bend
    return path


@lru_cache(maxsize=256)
def _transitions(step_s: float, jerk: float) -> tuple[Float64, Float64, Float64]:
    """Return the transitions over ``step_s``: (3, 3) of the state, (6, 6) of the covariance, (6, 1) added by jerk."""
    s = step_s
    move = np.array([[1, s, s**2 / 2], [0, 1, s], [0, 0, 1]])
    grow = np.zeros((6, 6))
    for place, (row, column) in enumerate(zip(ROW, COLUMN, strict=True)):
        outer = np.outer(move[row], move[column])
        grow[place] = (outer + outer.T * (1 - np.eye(3)))[ROW, COLUMN]
    added = jerk**2 * np.array([s**5 / 20, s**4 / 8, s**3 / 6, s**3 / 3, s**2 / 2, s])
    return move, grow, added[:, None]
