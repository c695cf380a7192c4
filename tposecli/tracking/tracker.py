"""Assign every person a persistent id."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.geometry.similarity import Float64, Indices, matched
from tposecli.tracking.affinity import affinity_matrix, certainty
from tposecli.tracking.bodies import Anatomy, Bodies
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.similarity_transform import Moments
from tposecli.tracking.tracks import Tracks
from tposecli.types import UNTRACKED, Poses

Mask = NDArray[np.bool_]

MAX_WEAK_GAP_S: Final = 0.3
"""Seconds out of sight after which a weak detection can no longer continue a track."""

GATE_FLOOR: Final = 0.1
"""Share of the gate at which a pair is worth 0; the lower, the more one additional pair counts in the assignment."""


class Tracker:
    """Assigns ids that persist from frame to frame; ids start at 1 and are never reused.

    Each track predicts its keypoints and its box with a constant-velocity Kalman filter over time in seconds, so the
    frame rate may vary. The strong detections of a frame (box score at least ``activation``) are assigned to tracks
    first, maximising the product of their affinities (Hungarian method, Kuhn 1955), then the weak ones to the remaining
    tracks that were seen very recently (two stages, as in ByteTrack, ECCV 2022). A strong detection that continues no
    track starts one. A person out of sight is predicted for up to ``lost_s``, with growing uncertainty, and recognised
    again by position, size and pose; tracks shorter than ``birth_s`` are dropped at once.

    Where a track that was just seen and a person fit nobody else, an affinity of the gate squared is enough: whoever
    moves abruptly, or is half hidden, stays the same person as long as there is no other candidate.

    Weak detections that continue no track keep ``UNTRACKED``.
    """

    def __init__(self, options: TrackOptions | None = None, layout: KeypointLayout = COCO) -> None:
        self._options = options or TrackOptions()
        self._anatomy = Anatomy.from_layout(layout)
        self._next_id = 1
        self._tracks: Tracks | None = None
        self._time_s = 0.0
        self._in_sight = False

    def update(self, poses: Poses, time_s: float, sure: Mask | None = None) -> Poses:
        """Return the same people in the same order, with ids.

        Args:
            poses: The N people of one frame.
            time_s: Presentation time of the frame, seconds; if it does not advance, no time has passed.
            sure: (N,) mask of people who may start a track; None for all. The others count as weak detections.
        """
        bodies = Bodies.from_poses(poses, self._options.min_score, self._anatomy)
        tracks = self._predicted_tracks(bodies, time_s)
        strong = poses.boxes.score >= self._options.activation
        if sure is not None:
            strong = strong & sure
        predicted = tracks.predicted_bodies()
        pairs = Moments.between(predicted.points, tracks.confidence, bodies)
        affinity = affinity_matrix(tracks, predicted, pairs, bodies, time_s, self._options)
        rows, people = self._assign(affinity, certainty(predicted), strong, time_s - tracks.last_seen_s)
        ids = np.full(len(poses), UNTRACKED, np.int64)
        ids[people] = tracks.track_id[rows]
        tracks = tracks.update(rows, pairs[rows, people], bodies[people], time_s)
        new = np.flatnonzero(strong & (ids == UNTRACKED))
        if len(new):
            ids[new] = self._next_id + np.arange(len(new))
            self._next_id += len(new)
            tracks += Tracks.create(ids[new], bodies[new], time_s)
        self._tracks, self._time_s, self._in_sight = tracks, time_s, len(rows) + len(new) == len(tracks)
        return Poses(poses.boxes, poses.xy, poses.score, ids, poses.flags)

    def _predicted_tracks(self, bodies: Bodies, time_s: float) -> Tracks:
        """Return the tracks that are still alive, predicted to ``time_s``."""
        if self._tracks is None:
            return Tracks.empty(bodies)
        known, options = self._tracks, self._options
        if self._in_sight and 0 <= time_s - self._time_s <= options.lost_s:
            return known.predicted(time_s - self._time_s)
        away = time_s - known.last_seen_s
        proven = (known.last_seen_s - known.first_seen_s >= options.birth_s) | (known.last_seen_s >= self._time_s)
        living = (away <= options.lost_s) & (proven | (away <= options.birth_s))
        return (known if living.all() else known[living]).predicted(max(time_s - self._time_s, 0))

    def _assign(self, affinity: Float64, certainty: Float64, strong: Mask, away_s: Float64) -> tuple[Indices, Indices]:
        """Return the rows of the tracks that continue, ascending, and the people who continue them.

        Args:
            affinity: (T, N) affinities.
            certainty: (T,) how well the position of each track is known.
            strong: (N,) which people are strong detections.
            away_s: (T,) seconds that each track has been out of sight.
        """
        gate = self._options.gate
        floor = max(gate * GATE_FLOOR, 1e-6)
        weighted = affinity * certainty[:, None]
        fits = (affinity >= gate) & (weighted > floor)
        worth = np.where(fits, np.log(np.maximum(weighted, floor) / floor), 0)
        recent = away_s <= MAX_WEAK_GAP_S
        stages = [_pairs(np.where(strong, worth, 0))]
        if not strong.all():
            weak = np.where(strong | ~recent[:, None], 0, worth)
            weak[stages[0][0]] = 0
            stages.append(_pairs(weak))
        uncontested = _uncontested(affinity >= gate * gate) & recent[:, None]
        for rows, people in stages:
            uncontested[rows] = False
            uncontested[:, people] = False
        lonely_rows, lonely_people = uncontested.nonzero()
        stages.append((lonely_rows, lonely_people))
        rows, people = (np.concatenate(parts) for parts in zip(*stages, strict=True))
        order = rows.argsort()
        return rows[order], people[order]


def _uncontested(fits: Mask) -> Mask:
    """Return the pairs, (T, N), of a track that fits no other person and a person who fits no other track."""
    alone: Mask = fits & (fits.sum(axis=1, keepdims=True) == 1) & (fits.sum(axis=0, keepdims=True) == 1)
    return alone


def _pairs(worth: Float64) -> tuple[Indices, Indices]:
    """Return the assignment of greatest total worth, without the pairs that are worth nothing."""
    rows, people = (worth > 0).nonzero()
    if len(rows) == len(set(rows.tolist())) == len(set(people.tolist())):
        return rows, people  # every track has one candidate and vice versa: nothing to optimise
    rows, people = matched(worth)
    fits = worth[rows, people] > 0
    return rows[fits], people[fits]
