"""The people known so far: where they are, how they move, what their bodies look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.similarity import Float64, Indices
from tposecli.tracking.bodies import Bodies
from tposecli.tracking.kalman import KalmanState, changed
from tposecli.tracking.similarity_transform import Moments, fit
from tposecli.types import Index

PUSH: Final = np.array([0.2, 0.2, 0.05])
"""How hard x and y (in sizes) and the logarithm of the size are pushed about: per second to the power of 3/2."""

FIRST: Final = (0.05, 0.05, 0.05)
"""Deviations of x and y (in sizes) and of the logarithm of the size at first sight."""

FIRST_RATE: Final = (1.2, 1.2, 0.1)
"""Deviations of their rates per second, before a second look."""

SHAPE_S: Final = 0.3
"""Time constant with which the remembered shape of a body follows the measured one."""

LEARNT: Final = 0.3
"""Share of a new score in the trust in a point, at least."""

FADED: Final = 0.02
"""Share of the trust in a point that goes with each look at the body that does not find it."""


@dataclass(frozen=True, eq=False, slots=True)
class Tracks:
    """T people as they are thought to be now.

    Attributes:
        track_id: (T,) int64.
        born_s: (T,) seconds, when each was first seen.
        seen_s: (T,) seconds, when each was last seen.
        motion: Of x and y in pixels and of the logarithm of the size.
        shape: (T, 2, P) points of the body from its place, sizes.
        trust: (T, P) in 0..1: how well each point is known.
    """

    track_id: NDArray[np.int64]
    born_s: Float64
    seen_s: Float64
    motion: KalmanState
    shape: Float64
    trust: Float64

    @classmethod
    def born(cls, track_id: NDArray[np.int64], bodies: Bodies, time_s: float) -> Tracks:
        """People seen for the first time."""
        centre, size = bodies.centre, bodies.size
        unit = _units(size)
        motion = KalmanState.begun(np.column_stack([centre, np.log(size)]), unit * FIRST, unit * FIRST_RATE)
        shape = (bodies.points - centre[:, :, None]) / size[:, None, None]
        now = np.full(len(size), time_s)
        return cls(track_id, now, now, motion, shape, bodies.trust)

    def __len__(self) -> int:
        return len(self.track_id)

    def __getitem__(self, index: Any) -> Tracks:
        motion = KalmanState(self.motion.state[index])
        return Tracks(
            self.track_id[index], self.born_s[index], self.seen_s[index], motion, self.shape[index], self.trust[index]
        )

    def __add__(self, other: Tracks) -> Tracks:
        return Tracks(
            np.concatenate([self.track_id, other.track_id]),
            np.concatenate([self.born_s, other.born_s]),
            np.concatenate([self.seen_s, other.seen_s]),
            KalmanState(np.concatenate([self.motion.state, other.motion.state])),
            np.concatenate([self.shape, other.shape]),
            np.concatenate([self.trust, other.trust]),
        )

    def expected(self) -> Expected:
        """Where and how they are thought to be."""
        place, size = self.motion.value[:, :2], np.exp(self.motion.value[:, 2])
        points = place[:, :, None] + self.shape * size[:, None, None]
        return Expected(place, size, self.motion.variance[:, 0], points)

    def after(self, elapsed_s: float) -> Tracks:
        """The same people a moment later."""
        push = _units(np.exp(self.motion.value[:, 2])) * PUSH
        motion = self.motion.after(elapsed_s, push * push)
        return Tracks(self.track_id, self.born_s, self.seen_s, motion, self.shape, self.trust)

    def met(self, found: Indices, pairs: Moments, bodies: Bodies, time_s: float) -> Tracks:
        """What is known once some, the rising rows ``found``, were seen as ``bodies``, which makes ``pairs``."""
        if not len(found):
            return self
        rows: Index = slice(None) if len(found) == len(self) else found  # everybody: views instead of copies
        old_shape, old_trust = self.shape[rows], self.trust[rows]
        thought = self.motion.value[rows]
        motion = self.motion.corrected(rows, *fit(pairs, thought[:, :2], np.exp(thought[:, 2])))
        after = motion.value[rows]
        new_shape = (bodies.points - after[:, :2, None]) / np.exp(after[:, 2])[:, None, None]
        fresh = 1 - np.exp(-np.maximum(time_s - self.seen_s[rows], 0) / SHAPE_S)
        seen = bodies.trust > 0
        share = seen * np.where(old_trust > 0, fresh[:, None], 1)
        new_shape = old_shape + share[:, None] * (new_shape - old_shape)
        new_trust = old_trust + np.where(seen, np.maximum(share, LEARNT), FADED) * (bodies.trust - old_trust)
        return Tracks(
            self.track_id,
            self.born_s,
            changed(self.seen_s, rows, np.full(len(found), time_s)),
            motion,
            changed(self.shape, rows, new_shape),
            changed(self.trust, rows, new_trust),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Expected:
    """What T people who are known should look like now.

    Attributes:
        place: (T, 2) pixels.
        size: (T,) pixels.
        variance: (T,) of the place, in x and y each, square pixels.
        points: (T, 2, P) of the bodies, pixels.
    """

    place: Float64
    size: Float64
    variance: Float64
    points: Float64


def nobody(bodies: Bodies) -> Tracks:
    """No tracks, of such bodies."""
    return Tracks.born(np.zeros(0, np.int64), bodies[:0], 0.0)


def _units(size: Float64) -> Float64:
    """(T, 3) pixels for x and y of bodies of a size, 1 for the logarithm."""
    units = np.ones((len(size), 3))
    units[:, :2] = size[:, None]
    return units
