"""Gives every person an id that stays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.geometry.similarity import Float64, Indices, matched
from tposecli.tracking.affinity import certainty, likeness
from tposecli.tracking.bodies import Anatomy, Bodies
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.similarity_transform import Moments
from tposecli.tracking.tracks import Tracks, nobody
from tposecli.types import UNTRACKED, Poses

Mask = NDArray[np.bool_]

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

    def __init__(self, options: TrackOptions | None = None, layout: KeypointLayout = COCO) -> None:
        self._options = options or TrackOptions()
        self._anatomy = Anatomy.of(layout)
        self._next_id = 1
        self._tracks: Tracks | None = None
        self._time_s = 0.0
        self._in_sight = False

    def update(self, poses: Poses, time_s: float) -> Poses:
        """The same people in the same order, with ids.

        Args:
            poses: N people of one frame.
            time_s: Presentation time of the frame; time standing still or running back counts as none elapsed.
        """
        bodies = Bodies.of(poses, self._options.min_score, self._anatomy)
        tracks = self._now(bodies, time_s)
        strong = poses.boxes.score >= self._options.activation
        expected = tracks.expected()
        pairs = Moments.of(expected.points, tracks.trust, bodies)
        alike = likeness(tracks, expected, pairs, bodies, time_s, self._options)
        rows, people = self._assign(alike, certainty(expected), strong, time_s - tracks.seen_s)
        ids = np.full(len(poses), UNTRACKED, np.int64)
        ids[people] = tracks.track_id[rows]
        tracks = tracks.met(rows, pairs[rows, people], bodies[people], time_s)
        new = np.flatnonzero(strong & (ids == UNTRACKED))
        if len(new):
            ids[new] = self._next_id + np.arange(len(new))
            self._next_id += len(new)
            tracks += Tracks.born(ids[new], bodies[new], time_s)
        self._tracks, self._time_s, self._in_sight = tracks, time_s, len(rows) + len(new) == len(tracks)
        return Poses(poses.boxes, poses.xy, poses.score, ids, poses.flags)

    def _now(self, bodies: Bodies, time_s: float) -> Tracks:
        """The tracks seen not too long ago, as they should be now."""
        if self._tracks is None:
            return nobody(bodies)
        known, options = self._tracks, self._options
        if self._in_sight and 0 <= time_s - self._time_s <= options.lost_s:
            return known.after(time_s - self._time_s)
        away = time_s - known.seen_s
        proven = (known.seen_s - known.born_s >= options.birth_s) | (known.seen_s >= self._time_s)
        living = (away <= options.lost_s) & (proven | (away <= options.birth_s))
        return (known if living.all() else known[living]).after(max(time_s - self._time_s, 0))

    def _assign(self, alike: Float64, sure: Float64, strong: Mask, away_s: Float64) -> tuple[Indices, Indices]:
        """Rows of tracks, rising, and the people that continue them.

        Args:
            alike: (T, N) likeness.
            sure: (T,) how well the place of each track is known.
            strong: (N,) confident people.
            away_s: (T,) how long each track was out of sight.
        """
        gate = self._options.gate
        least = max(gate * SHY, 1e-6)
        weighed = alike * sure[:, None]
        fits = (alike >= gate) & (weighed > least)
        worth = np.where(fits, np.log(np.maximum(weighed, least) / least), 0)
        if strong.all():
            return _pairs(worth)
        rows, people = _pairs(np.where(strong, worth, 0))
        worth[:, strong] = 0
        worth[rows] = 0
        worth[away_s > WEAK_S] = 0
        weak_rows, weak_people = _pairs(worth)
        all_rows = np.concatenate([rows, weak_rows])
        order = all_rows.argsort()
        return all_rows[order], np.concatenate([people, weak_people])[order]


def _pairs(worth: Float64) -> tuple[Indices, Indices]:
    """The assignment of greatest worth, less the pairs that are worth nothing."""
    rows, people = (worth > 0).nonzero()
    if len(rows) == len(set(rows.tolist())) == len(set(people.tolist())):
        return rows, people  # nobody is in doubt
    rows, people = matched(worth)
    fits = worth[rows, people] > 0
    return rows[fits], people[fits]
