"""The people tracked so far: position, motion and shape of their bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.similarity import Float64, Indices
from tposecli.tracking.bodies import Bodies
from tposecli.tracking.kalman import KalmanState, with_rows
from tposecli.tracking.similarity_transform import Moments, fit_similarity
from tposecli.types import Index

ACCELERATION_NOISE: Final = np.array([0.2, 0.2, 0.05])
"""Square roots of the acceleration noise densities of x and y (body sizes) and of the log size, per second^1.5."""

INITIAL_DEVIATION: Final = (0.05, 0.05, 0.05)
"""Standard deviations of x and y (body sizes) and of the log size at the first observation."""

INITIAL_RATE_DEVIATION: Final = (1.2, 1.2, 0.1)
"""Standard deviations of their rates per second at the first observation."""

SHAPE_TIME_CONSTANT_S: Final = 0.3
"""Time constant, seconds, with which the stored shape of a body follows the observed one."""

MIN_CONFIDENCE_GAIN: Final = 0.3
"""Minimum weight of a new score in the running confidence of a point."""

CONFIDENCE_DECAY: Final = 0.02
"""Share of the confidence in a point that is lost with each observation of the body in which the point is missing."""


@dataclass(frozen=True, eq=False, slots=True)
class Tracks:
    """The current state of T tracks.

    Attributes:
        track_id: (T,) int64.
        first_seen_s: (T,) time of the first observation, seconds.
        last_seen_s: (T,) time of the latest observation, seconds.
        motion: Filters of x and y in pixels and of the logarithm of the size.
        shape: (T, 2, P) points of the body relative to its position, body sizes.
        confidence: (T, P) in 0..1: how well each point is known.
    """

    track_id: NDArray[np.int64]
    first_seen_s: Float64
    last_seen_s: Float64
    motion: KalmanState
    shape: Float64
    confidence: Float64

    @classmethod
    def create(cls, track_id: NDArray[np.int64], bodies: Bodies, time_s: float) -> Tracks:
        """Return tracks of people observed for the first time."""
        centre, size = bodies.centre, bodies.size
        unit = _units(size)
        motion = KalmanState.at_rest(
            np.column_stack([centre, np.log(size)]), unit * INITIAL_DEVIATION, unit * INITIAL_RATE_DEVIATION
        )
        shape = (bodies.points - centre[:, :, None]) / size[:, None, None]
        now = np.full(len(size), time_s)
        return cls(track_id, now, now, motion, shape, bodies.confidence)

    @classmethod
    def empty(cls, bodies: Bodies) -> Tracks:
        """Return zero tracks whose arrays are shaped for such bodies."""
        return cls.create(np.zeros(0, np.int64), bodies[:0], 0.0)

    def __len__(self) -> int:
        return len(self.track_id)

    def __getitem__(self, index: Any) -> Tracks:
        motion = KalmanState(self.motion.state[index])
        return Tracks(
            self.track_id[index],
            self.first_seen_s[index],
            self.last_seen_s[index],
            motion,
            self.shape[index],
            self.confidence[index],
        )

    def __add__(self, other: Tracks) -> Tracks:
        return Tracks(
            np.concatenate([self.track_id, other.track_id]),
            np.concatenate([self.first_seen_s, other.first_seen_s]),
            np.concatenate([self.last_seen_s, other.last_seen_s]),
            KalmanState(np.concatenate([self.motion.state, other.motion.state])),
            np.concatenate([self.shape, other.shape]),
            np.concatenate([self.confidence, other.confidence]),
        )

    def predicted_bodies(self) -> PredictedBodies:
        """Return the bodies where the filters place them now."""
        position, size = self.motion.value[:, :2], np.exp(self.motion.value[:, 2])
        points = position[:, :, None] + self.shape * size[:, None, None]
        return PredictedBodies(position, size, self.motion.variance[:, 0], points)

    def predicted(self, elapsed_s: float) -> Tracks:
        """Return the tracks predicted ``elapsed_s`` seconds ahead."""
        noise = _units(np.exp(self.motion.value[:, 2])) * ACCELERATION_NOISE
        motion = self.motion.predicted(elapsed_s, noise * noise)
        return Tracks(self.track_id, self.first_seen_s, self.last_seen_s, motion, self.shape, self.confidence)

    def update(self, found: Indices, pairs: Moments, bodies: Bodies, time_s: float) -> Tracks:
        """Return the tracks after some of them were observed.

        Args:
            found: Rows of the R tracks that were observed, ascending.
            pairs: Moments of their predicted and observed bodies.
            bodies: The R observed bodies.
            time_s: Time of the observation, seconds.
        """
        if not len(found):
            return self
        rows: Index = slice(None) if len(found) == len(self) else found  # a slice gives views, not copies
        old_shape, old_confidence = self.shape[rows], self.confidence[rows]
        before = self.motion.value[rows]
        motion = self.motion.updated(rows, *fit_similarity(pairs, before[:, :2], np.exp(before[:, 2])))
        after = motion.value[rows]
        new_shape = (bodies.points - after[:, :2, None]) / np.exp(after[:, 2])[:, None, None]
        fresh = 1 - np.exp(-np.maximum(time_s - self.last_seen_s[rows], 0) / SHAPE_TIME_CONSTANT_S)
        seen = bodies.confidence > 0
        share = seen * np.where(old_confidence > 0, fresh[:, None], 1)
        new_shape = old_shape + share[:, None] * (new_shape - old_shape)
        new_confidence = old_confidence + np.where(seen, np.maximum(share, MIN_CONFIDENCE_GAIN), CONFIDENCE_DECAY) * (
            bodies.confidence - old_confidence
        )
        return Tracks(
            self.track_id,
            self.first_seen_s,
            with_rows(self.last_seen_s, rows, np.full(len(found), time_s)),
            motion,
            with_rows(self.shape, rows, new_shape),
            with_rows(self.confidence, rows, new_confidence),
        )


@dataclass(frozen=True, eq=False, slots=True)
class PredictedBodies:
    """Predicted bodies of T tracks.

    Attributes:
        position: (T, 2) pixels.
        size: (T,) pixels.
        variance: (T,) variance of the position, in x and y each, square pixels.
        points: (T, 2, P) points of the bodies, pixels.
    """

    position: Float64
    size: Float64
    variance: Float64
    points: Float64


def _units(size: Float64) -> Float64:
    """Return the (T, 3) units of the motion filters: the body size, pixels, for x and y; 1 for the log size."""
    units = np.ones((len(size), 3))
    units[:, :2] = size[:, None]
    return units
