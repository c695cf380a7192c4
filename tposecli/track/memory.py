"""The people known so far: where they are, how they move, what their bodies look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.similarity import Float64, Indices
from tposecli.track.bodies import Bodies
from tposecli.track.fit import fit
from tposecli.track.motion import Motion

PUSH: Final = (0.2, 0.2, 0.05)
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
        shape: (T, P, 2) points of the body from its place, sizes.
        trust: (T, P) in 0..1: how well each point is known.
    """

    track_id: NDArray[np.int64]
    born_s: Float64
    seen_s: Float64
    motion: Motion
    shape: Float64
    trust: Float64

    @classmethod
    def born(cls, track_id: NDArray[np.int64], bodies: Bodies, time_s: float) -> Tracks:
        """People seen for the first time."""
        centre, size = bodies.centre, bodies.size
        unit = _units(size)
        motion = Motion.begun(np.column_stack([centre, np.log(size)]), unit * FIRST, unit * FIRST_RATE)
        shape = (bodies.points - centre[:, None]) / size[:, None, None]
        now = np.full(len(size), time_s)
        return cls(track_id, now, now, motion, shape, bodies.trust)

    def __len__(self) -> int:
        return len(self.track_id)

    def __getitem__(self, index: Any) -> Tracks:
        motion = Motion(self.motion.state[index])
        return Tracks(
            self.track_id[index], self.born_s[index], self.seen_s[index], motion, self.shape[index], self.trust[index]
        )

    def __add__(self, other: Tracks) -> Tracks:
        return Tracks(
            np.concatenate([self.track_id, other.track_id]),
            np.concatenate([self.born_s, other.born_s]),
            np.concatenate([self.seen_s, other.seen_s]),
            Motion(np.concatenate([self.motion.state, other.motion.state])),
            np.concatenate([self.shape, other.shape]),
            np.concatenate([self.trust, other.trust]),
        )

    @property
    def place(self) -> Float64:
        """(T, 2) pixels."""
        return self.motion.value[:, :2]

    @property
    def size(self) -> Float64:
        """(T,) pixels."""
        size: Float64 = np.exp(self.motion.value[:, 2])
        return size

    @property
    def points(self) -> Float64:
        """(T, P, 2) where the points of the bodies are thought to be, pixels."""
        return self.place[:, None] + self.shape * self.size[:, None, None]

    def after(self, elapsed_s: float) -> Tracks:
        """The same people a moment later."""
        return replace(self, motion=self.motion.after(elapsed_s, (_units(self.size) * PUSH) ** 2))

    def met(self, rows: Indices, bodies: Bodies, time_s: float) -> Tracks:
        """What is known once the people of some ``rows`` were seen as ``bodies``, one for each."""
        if not len(rows):
            return self
        before = self[rows]
        motion = self.motion.corrected(rows, *fit(before.points, before.size, before.place, before.trust, bodies))
        met = replace(self, motion=motion, seen_s=self.seen_s.copy(), shape=self.shape.copy(), trust=self.trust.copy())
        after = motion.value[rows]
        shape = (bodies.points - after[:, None, :2]) / np.exp(after[:, 2])[:, None, None]
        fresh = 1 - np.exp(-np.maximum(time_s - before.seen_s, 0) / SHAPE_S)
        seen = bodies.trust > 0
        share = seen * np.where(before.trust > 0, fresh[:, None], 1)
        met.shape[rows] += share[:, :, None] * (shape - before.shape)
        met.trust[rows] += np.where(seen, np.maximum(share, LEARNT), FADED) * (bodies.trust - before.trust)
        met.seen_s[rows] = time_s
        return met


def nobody(bodies: Bodies) -> Tracks:
    """No tracks, of such bodies."""
    return Tracks.born(np.zeros(0, np.int64), bodies[:0], 0.0)


def _units(size: Float64) -> Float64:
    """(T, 3) pixels for x and y of bodies of a size, 1 for the logarithm."""
    return np.column_stack([size, size, np.ones(len(size))])
