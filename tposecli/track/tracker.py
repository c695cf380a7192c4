"""Gives every person an id that stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.similarity import Float64, Indices, matched
from tposecli.skeleton import COCO, Layout
from tposecli.track.bodies import Anatomy, Bodies
from tposecli.track.likeness import certainty, likeness
from tposecli.track.memory import Tracks, nobody
from tposecli.track.options import TrackOptions
from tposecli.types import UNTRACKED, Poses

WEAK_S: Final = 0.3
"""Seconds out of sight after which a weak person does not continue a track any more."""

SHY: Final = 0.1
"""Share of the gate that a likeness must exceed to have any worth at all: it sets what a pair more is worth."""


class Tracker:
    """Gives people ids that stay from frame to frame; ids start at 1 and are never used again.

    Every track predicts its keypoints and its box, with a Kalman filter of constant velocity in seconds, so the frame
    rate may vary. The confident people of a frame (score of the box at least ``activation``) are assigned to tracks
    first, such that the product of their likenesses is greatest (Hungarian method, Kuhn 1955), then the weak ones to
    tracks left over that were seen just before (two stages, after ByteTrack, ECCV 2022). A confident person who
    continues no track begins one. Who is out of sight is predicted on for ``lost_s``, ever less exactly, and known
    again by place, size and pose; those who were there for less than ``birth_s`` are not waited for.

    Weak people who continue no track keep ``UNTRACKED``.
    """

    def __init__(self, options: TrackOptions | None = None, layout: Layout = COCO) -> None:
        self._options = options or TrackOptions()
        self._anatomy = Anatomy.of(layout)
        self._next_id = 1
        self._tracks: Tracks | None = None
        self._time_s = 0.0

    def update(self, poses: Poses, time_s: float) -> Poses:
        """The same people in the same order, with ids.

        Args:
            poses: N people of one frame.
            time_s: Presentation time of the frame; time standing still or running back counts as none elapsed.
        """
        bodies = Bodies.of(poses, self._options.min_score, self._anatomy)
        tracks = self._now(bodies, time_s)
        strong = poses.boxes.score >= self._options.activation
        rows, people = self._assign(tracks, bodies, strong, time_s)
        ids = np.full(len(poses), UNTRACKED, np.int64)
        ids[people] = tracks.track_id[rows]
        tracks = tracks.met(rows, bodies[people], time_s)
        new = np.flatnonzero(strong & (ids == UNTRACKED))
        if len(new):
            ids[new] = self._next_id + np.arange(len(new))
            self._next_id += len(new)
            tracks += Tracks.born(ids[new], bodies[new], time_s)
        self._tracks, self._time_s = tracks, time_s
        return replace(poses, track_id=ids)

    def _now(self, bodies: Bodies, time_s: float) -> Tracks:
        """The tracks seen not too long ago, as they should be now."""
        if self._tracks is None:
            return nobody(bodies)
        known, options = self._tracks, self._options
        away = time_s - known.seen_s
        proven = (known.seen_s - known.born_s >= options.birth_s) | (known.seen_s >= self._time_s)
        living = (away <= options.lost_s) & (proven | (away <= options.birth_s))
        return (known if living.all() else known[living]).after(max(time_s - self._time_s, 0))

    def _assign(
        self, tracks: Tracks, bodies: Bodies, strong: NDArray[np.bool_], time_s: float
    ) -> tuple[Indices, Indices]:
        """Rows of tracks and the people that continue them."""
        alike = likeness(tracks, bodies, time_s, self._options)
        gate = self._options.gate
        least = max(gate * SHY, 1e-6)
        worth = np.log(np.maximum(alike * certainty(tracks)[:, None], least) / least)
        worth[alike < gate] = 0
        rows, people = _pairs(np.where(strong, worth, 0))
        if strong.all():
            return rows, people
        worth[:, strong] = 0
        worth[rows] = 0
        worth[time_s - tracks.seen_s > WEAK_S] = 0
        weak_rows, weak_people = _pairs(worth)
        return np.concatenate([rows, weak_rows]), np.concatenate([people, weak_people])


def _pairs(worth: Float64) -> tuple[Indices, Indices]:
    """The assignment of greatest worth, less the pairs that are worth nothing."""
    rows, people = matched(worth)
    fits = worth[rows, people] > 0
    return rows[fits], people[fits]
