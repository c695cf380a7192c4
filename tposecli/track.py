"""Who is who from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.similarity import Float64, Indices, box_iou, matched, weighted_oks
from tposecli.skeleton import OKS_SIGMAS
from tposecli.types import UNTRACKED, Boxes, Poses

SLACK_PER_S: Final = 2.0
"""How far a person may stray from the guess per second, in person sizes (square root of the box area)."""

SLACK_MOST: Final = 0.5
"""Slack stops growing here, so that one person who left is not taken for another who comes."""

COAST_S: Final = 0.5
"""Time constant with which the guessed velocity of a person out of sight dies away."""

VELOCITY_S: Final = 0.1
"""Time constant of the running mean of a person's velocity."""

ENOUGH: Final = 3.0
"""Summed weight of shared keypoints from which on keypoints are believed in full."""


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How people are followed.

    Attributes:
        oks_weight: Share of the keypoints in the likeness, 0..1; the rest is the overlap of the boxes.
        gate: Likeness below which two people are never the same, 0..1.
        lost_s: Seconds that a person may be out of sight before the id is given up.
        min_score: Keypoints scored lower do not count.
    """

    oks_weight: float = 0.7
    gate: float = 0.3
    lost_s: float = 1.0
    min_score: float = 0.2

    def __post_init__(self) -> None:
        for name in ("oks_weight", "gate", "min_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0..1, got {value}")
        if not self.lost_s >= 0:
            raise ValueError(f"lost_s: expected 0 or more seconds, got {self.lost_s}")


@dataclass(frozen=True, eq=False, slots=True)
class _Tracks:
    """People known so far: T rows.

    Attributes:
        last: Everyone as last seen, with ids.
        velocity: (T, 2) of the whole person, pixels per second.
        seen_s: (T,) when that was.
    """

    last: Poses
    velocity: Float64
    seen_s: Float64

    def __getitem__(self, index: NDArray[np.bool_]) -> _Tracks:
        return _Tracks(self.last[index], self.velocity[index], self.seen_s[index])


class Tracker:
    """Gives every person an id that stays from frame to frame; ids start at 1 and are never used again.

    People are assigned to tracks so that the summed likeness is greatest (Hungarian method, Kuhn 1955). Likeness is a
    mean of the overlap of the boxes and of the object keypoint similarity (OKS, as COCO defines it, keypoints weighted
    by their scores) between a person and where constant velocity would have brought a track by now. All times are
    seconds, so the frame rate may vary.
    """

    def __init__(self, options: TrackOptions | None = None) -> None:
        self._options = options or TrackOptions()
        self._next_id = 1
        self._tracks: _Tracks | None = None

    def update(self, poses: Poses, time_s: float) -> Poses:
        """The same people in the same order, each with an id.

        Args:
            poses: N people of one frame.
            time_s: Presentation time of the frame; time standing still or running back counts as none elapsed.
        """
        tracks = self._living(poses, time_s)
        rows, people = self._match(tracks, poses, time_s)
        ids = np.full(len(poses), UNTRACKED, np.int64)
        ids[people] = tracks.last.track_id[rows]
        new = ids == UNTRACKED
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        tracked = replace(poses, track_id=ids)
        self._tracks = _after(tracks, tracked, time_s, rows, people)
        return tracked

    def _living(self, poses: Poses, time_s: float) -> _Tracks:
        """The tracks seen not too long ago."""
        if self._tracks is None:
            return _Tracks(poses[:0], np.zeros((0, 2)), np.zeros(0))
        return self._tracks[time_s - self._tracks.seen_s <= self._options.lost_s]

    def _match(self, tracks: _Tracks, poses: Poses, time_s: float) -> tuple[Indices, Indices]:
        """Rows of tracks and the people that continue them."""
        likeness = self._likeness(tracks, poses, time_s)
        likeness[likeness < self._options.gate] = 0
        rows, people = matched(likeness)
        fits = likeness[rows, people] > 0
        return rows[fits], people[fits]

    def _likeness(self, tracks: _Tracks, poses: Poses, time_s: float) -> Float64:
        """(T, N) in 0..1; keypoints lose their say where a track and a person share too few good ones."""
        last = tracks.last
        elapsed = np.maximum(time_s - tracks.seen_s, 0)
        moved = tracks.velocity * (COAST_S * (1 - np.exp(-elapsed / COAST_S)))[:, None]
        slack = np.minimum(SLACK_PER_S * elapsed, SLACK_MOST)
        sigmas = np.hypot(OKS_SIGMAS[None, None, :], slack[:, None, None] / 2)
        weight = self._weight(last)[:, None] * self._weight(poses)[None]
        size = (_area(last.boxes)[:, None] + _area(poses.boxes)[None]) / 2
        oks = weighted_oks(last.xy + moved[:, None], poses.xy.astype(np.float64), size, weight, sigmas)
        iou = box_iou((last.boxes.xyxy + np.tile(moved, 2)).astype(np.float32), poses.boxes.xyxy)
        share = self._options.oks_weight * np.minimum(weight.sum(axis=2) / ENOUGH, 1)
        return np.asarray(share * oks + (1 - share) * iou)

    def _weight(self, poses: Poses) -> Float64:
        """(N, K) say of each keypoint: its score, or 0 where that is too low."""
        return np.where(poses.score >= self._options.min_score, poses.score, 0).astype(np.float64)


def _area(boxes: Boxes) -> Float64:
    """(N,) square pixels, at least 1."""
    sides = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).astype(np.float64)
    area: Float64 = np.maximum(sides, 1).prod(axis=1)
    return area


def _after(tracks: _Tracks, seen: Poses, time_s: float, rows: Indices, people: Indices) -> _Tracks:
    """What is known once a frame has been seen: tracks out of sight stay as they were, the others begin anew."""
    velocity = np.zeros((len(seen), 2))
    velocity[people] = _velocity(tracks.last[rows], seen[people], tracks.velocity[rows], time_s - tracks.seen_s[rows])
    hidden = np.ones(len(tracks.seen_s), np.bool_)
    hidden[rows] = False
    rest = tracks[hidden]
    return _Tracks(
        _joined(rest.last, seen),
        np.concatenate([rest.velocity, velocity]),
        np.concatenate([rest.seen_s, np.full(len(seen), time_s)]),
    )


def _velocity(before: Poses, now: Poses, known: Float64, elapsed: Float64) -> Float64:
    """(N, 2) pixels per second: running mean of how the keypoints, weighted by their scores, moved as a whole."""
    weight = (before.score * now.score).astype(np.float64)[:, :, None]
    moved = ((now.xy - before.xy) * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
    running = elapsed > 0
    step = np.where(running, elapsed, 1)
    fresh = 1 - np.exp(-step / VELOCITY_S)
    new = known + fresh[:, None] * (moved / step[:, None] - known)
    return np.where(running[:, None], new, known)


def _joined(first: Poses, second: Poses) -> Poses:
    """The people of both."""

    def both(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    boxes = Boxes(
        np.concatenate([first.boxes.xyxy, second.boxes.xyxy]), np.concatenate([first.boxes.score, second.boxes.score])
    )
    return Poses(boxes, both("xy"), both("score"), both("track_id"), both("flags"))  # type: ignore[arg-type]
