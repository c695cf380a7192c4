"""The One-Euro filter: less jitter without look-ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tposecli.types import UNTRACKED, Poses

Float64 = NDArray[np.float64]


class OneEuro:
    """The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012) on every joint of every track, without look-ahead.

    A low-pass filter whose cutoff rises with speed: joints at rest stand still, fast ones do not lag. The speed is
    measured in the plane, not in x and y separately, so the result does not depend on the direction of the movement.
    Time comes from the frames, so the frame rate may vary. People without an id pass through unchanged; boxes, scores,
    ids and flags are never changed.
    """

    def __init__(
        self, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float, min_score: float, forget_s: float
    ) -> None:
        """Take the parameters; they are those of ``OneEuroOptions``."""
        self._min_cutoff_hz, self._beta, self._speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._min_score, self._forget_s = min_score, forget_s
        self._ids = np.zeros(0, np.int64)
        self._xy: Float64 = np.zeros((0, 0, 2))
        self._velocity: Float64 = np.zeros((0, 0, 2))
        self._seen_s: Float64 = np.zeros((0, 0))

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Return the given frame, smoothed."""
        tracked = np.flatnonzero(poses.track_id != UNTRACKED)
        self._forget(time_s)
        if not len(tracked):
            return [poses]
        people = poses[tracked]
        xy = poses.xy.copy()
        xy[tracked] = self._filter(self._rows(people), people, time_s)
        return [replace(poses, xy=xy)]

    def flush(self) -> list[Poses]:
        """Return nothing: no frame is ever held."""
        return []

    def _rows(self, people: Poses) -> NDArray[np.intp]:
        """Return the row of each person's track in the state; new tracks get new rows."""
        new = people.track_id[~np.isin(people.track_id, self._ids)]
        keypoints = people.xy.shape[1]
        zeros = np.zeros((len(new), keypoints, 2))
        old = (len(self._ids), keypoints)
        self._ids = np.concatenate([self._ids, new])
        self._xy = np.concatenate([self._xy.reshape(*old, 2), zeros])
        self._velocity = np.concatenate([self._velocity.reshape(*old, 2), zeros])
        self._seen_s = np.concatenate([self._seen_s.reshape(old), np.full((len(new), keypoints), -np.inf)])
        order = np.argsort(self._ids)
        return order[np.searchsorted(self._ids, people.track_id, sorter=order)]

    def _forget(self, time_s: float) -> None:
        """Drop tracks of which no joint was seen within ``forget_s``."""
        seen = self._seen_s.max(axis=1, initial=-np.inf)
        kept = time_s - seen <= self._forget_s
        self._ids, self._xy = self._ids[kept], self._xy[kept]
        self._velocity, self._seen_s = self._velocity[kept], self._seen_s[kept]

    def _filter(self, rows: NDArray[np.intp], people: Poses, time_s: float) -> Float64:
        """Return the (N, K, 2) smoothed coordinates, and update the state of ``rows``."""
        measured, before = people.xy.astype(np.float64), self._xy[rows]
        elapsed = time_s - self._seen_s[rows]
        begins = ((elapsed <= 0) | (elapsed > self._forget_s))[:, :, None]
        elapsed = np.where(begins[:, :, 0], 1, elapsed)[:, :, None]
        raw = (measured - before) / elapsed / _size(people)[:, None, None]
        known = self._velocity[rows]
        velocity = known + _alpha(self._speed_cutoff_hz, elapsed) * (raw - known)
        cutoff = self._min_cutoff_hz + self._beta * np.linalg.norm(velocity, axis=2, keepdims=True)
        smooth = np.where(begins, measured, before + _alpha(cutoff, elapsed) * (measured - before))
        strong = (people.score >= self._min_score)[:, :, None]
        self._xy[rows] = np.where(strong, smooth, before)
        self._velocity[rows] = np.where(strong, np.where(begins, 0, velocity), known)
        self._seen_s[rows] = np.where(strong[:, :, 0], time_s, self._seen_s[rows])
        return np.where(strong, smooth, measured)


def _alpha(cutoff_hz: Float64 | float, elapsed_s: Float64) -> Float64:
    """Return the smoothing factor of a first-order low-pass after ``elapsed_s`` (equation 3 of the paper)."""
    turns: Float64 = 2 * np.pi * cutoff_hz * elapsed_s
    return turns / (1 + turns)


def _size(people: Poses) -> Float64:
    """Return the (N,) longer sides of the boxes, pixels, at least 1."""
    sides = (people.boxes.xyxy[:, 2:] - people.boxes.xyxy[:, :2]).astype(np.float64)
    longer: Float64 = np.maximum(sides.max(axis=1), 1)
    return longer
