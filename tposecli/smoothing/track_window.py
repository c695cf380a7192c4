"""Consecutive frames of the tracked people as arrays, on which the look-ahead steps work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tposecli.types import UNTRACKED, Boxes, Poses

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class TrackWindow:
    """T frames of M tracks with K joints.

    Attributes:
        time_s: (T,) increasing times, seconds.
        track_id: (M,) increasing ids.
        xy: (T, M, K, 2) pixels; 0 where the person was not found.
        score: (T, M, K); 0 where the person was not found.
        flags: (T, M, K) bits of ``types.Flag``.
        known: (T, M, K) joints that are reliable.
        present: (T, M) people who are in the frame.
        box: (T, M, 5) left, top, right, bottom, score.
        first: Frames before this one are finished; they are context only.
        lookahead_start: Frames from this one on are look-ahead only, and will be processed again later.
    """

    time_s: Float64
    track_id: NDArray[np.int64]
    xy: Float64
    score: Float64
    flags: NDArray[np.uint8]
    known: Mask
    present: Mask
    box: Float64
    first: int
    lookahead_start: int

    @classmethod
    def of(cls, frames: Sequence[Poses], times_s: Sequence[float], work: tuple[int, int], min_score: float) -> Self:
        """Return the tracked people of some frames.

        Args:
            frames: T frames.
            times_s: Their times, seconds.
            work: ``first`` and ``lookahead_start``.
            min_score: Joints scored lower count as unknown.
        """
        ids = np.concatenate([poses.track_id for poses in frames])
        place = np.repeat(np.arange(len(frames)), [len(poses) for poses in frames])
        tracked = ids != UNTRACKED
        tracks, rows = np.unique(ids[tracked], return_inverse=True)
        place, shape = place[tracked], (len(frames), len(tracks))
        keypoints = frames[0].xy.shape[1]

        def spread(columns: list[NDArray[Any]], tail: tuple[int, ...], kind: DTypeLike = np.float64) -> NDArray[Any]:
            table: NDArray[Any] = np.zeros((*shape, *tail), kind)
            table[place, rows] = np.concatenate(columns)[tracked]
            return table

        present = np.zeros(shape, np.bool_)
        present[place, rows] = True
        score = spread([poses.score for poses in frames], (keypoints,))
        boxes = [np.concatenate([poses.boxes.xyxy, poses.boxes.score[:, None]], axis=1) for poses in frames]
        return cls(
            np.asarray(times_s, np.float64),
            tracks,
            spread([poses.xy for poses in frames], (keypoints, 2)),
            score,
            spread([poses.flags for poses in frames], (keypoints,), np.uint8),
            np.asarray(score >= min_score) & present[:, :, None],
            present,
            spread(boxes, (5,)),
            *work,
        )

    @property
    def size(self) -> Float64:
        """The (M,) sizes of the people, pixels: the median longer side of the box, at least 1."""
        sides = (self.box[:, :, 2:4] - self.box[:, :, :2]).max(axis=2)
        middle = median_of_smallest(np.where(self.present, sides, np.inf), self.present.sum(axis=0))
        return np.maximum(np.where(np.isfinite(middle), middle, 1), 1)

    def poses(self, measured: Sequence[Poses]) -> list[Poses]:
        """Return the frames from ``first`` on: the people of ``measured`` in their order, then those who were missed.

        Args:
            measured: The measured poses of each of these frames.
        """
        part = slice(self.first, self.first + len(measured))
        columns = self.xy[part].astype(np.float32), self.score[part].astype(np.float32), self.flags[part]
        people = self.present.sum(axis=1).tolist()
        done = []
        for place, one in enumerate(measured):
            tracked = (one.track_id != UNTRACKED).nonzero()[0]
            rows = self.track_id.searchsorted(one.track_id[tracked])
            xy, score, flags = (column[place, rows] for column in columns)
            if len(tracked) < len(one):
                xy, score = _with_rows(one.xy, tracked, xy), _with_rows(one.score, tracked, score)
                flags = _with_rows(one.flags, tracked, flags)
            same = Poses(one.boxes, xy, score, one.track_id, flags)
            missed = people[self.first + place] > len(rows)
            done.append(self._with_missed(self.first + place, same, rows) if missed else same)
        return done

    def _with_missed(self, index: int, found: Poses, rows: Indices) -> Poses:
        """Return the found people of a frame (in ``rows``), followed by the others who are present."""
        missed = self.present[index].copy()
        missed[rows] = False
        return _concatenated(found, self._people(index, np.flatnonzero(missed)))

    def _people(self, index: int, rows: Indices) -> Poses:
        """Return the people of a frame in some rows."""
        box = self.box[index, rows]
        return Poses(
            Boxes(box[:, :4].astype(np.float32), box[:, 4].astype(np.float32)),
            self.xy[index, rows].astype(np.float32),
            self.score[index, rows].astype(np.float32),
            self.track_id[rows],
            self.flags[index, rows],
        )


Step = Callable[[TrackWindow], TrackWindow]
"""A transformation of a window that does not change the frames before ``TrackWindow.first``."""


def neighbours(known: Mask) -> tuple[Indices, Indices]:
    """Return the indices, along the first axis, of the previous and next known values; -1 and T if there is none."""
    count = len(known)
    index = np.arange(count).reshape(-1, *[1] * (known.ndim - 1))
    before, after = np.full(known.shape, -1), np.full(known.shape, count)
    np.maximum.accumulate(np.where(known, index, -1)[:-1], axis=0, out=before[1:])
    np.minimum.accumulate(np.where(known, index, count)[:0:-1], axis=0, out=after[-2::-1])
    return before, after


def median_of_smallest(values: Float64, count: NDArray[np.integer]) -> Float64:
    """Return the median, along the first axis, of the ``count`` smallest values; the others are infinite padding."""
    ordered = np.sort(values, axis=0)
    low, high = (np.maximum(count - 1, 0) // 2)[None], (count // 2)[None]
    pair = [np.take_along_axis(ordered, np.minimum(index, len(values) - 1), axis=0)[0] for index in (low, high)]
    middle: Float64 = (pair[0] + pair[1]) / 2
    return middle


def _with_rows(column: NDArray[Any], rows: Indices, new: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a column with some rows replaced."""
    column = column.copy()
    column[rows] = new
    return column


def _concatenated(first: Poses, second: Poses) -> Poses:
    """Return the people of both."""

    def both(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.concatenate([one, other])

    boxes = Boxes(both(first.boxes.xyxy, second.boxes.xyxy), both(first.boxes.score, second.boxes.score))  # type: ignore[arg-type]
    names = ("xy", "score", "track_id", "flags")
    return Poses(boxes, *(both(getattr(first, name), getattr(second, name)) for name in names))  # type: ignore[arg-type]
