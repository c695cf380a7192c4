"""The poses of a run as columns: collected frame by frame, ordered by track, and packed into few bytes.

A row is a person in a frame, rows of a track follow one another in time. What is packed is small: coordinates are whole
numbers of a fraction of a pixel, of which only the difference from a straight continuation is kept.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import Poses, Result

Array = NDArray[Any]

FINEST: Final = 0.1
"""Pixels; coordinates are not kept finer than this."""
MARGIN: Final = 0.25
"""Joints outside the frame are kept up to this many longer sides away."""
LEVEL: Final = 6
MOST: Final = 400_000
"""Frames, and people in all of them, that one page shows; of a longer run it shows a part."""
HOUR_S: Final = 3600.0
BLOCK_S: Final = 60.0
SURE: Final = 0.2
"""Keypoints scored lower count as not seen, as the authors have it."""


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """F frames and R rows of people with K keypoints.

    Attributes:
        index: (F,) numbers of the frames in their source.
        time_s: (F,) their times.
        size_wh: (F, 2) their sizes.
        frame: (R,) position among the frames; ascending within a track.
        track: (R,) ids, ascending, -1 for people without one.
        measured: (R,) False for people who were filled in.
        box: (R, 4) and ``box_score`` (R,).
        xy: (R, K, 2) smoothed, or as measured if nothing was smoothed; ``raw`` (R, K, 2) as measured.
        score: (R, K).
        flags: (R, K) bits of ``types.Flag``.
        smoothed: Whether ``raw`` and ``xy`` may differ.
        names: Names of images, F of them; empty for a video.
    """

    index: Array
    time_s: Array
    size_wh: Array
    frame: Array
    track: Array
    measured: Array
    box: Array
    box_score: Array
    xy: Array
    raw: Array
    score: Array
    flags: Array
    smoothed: bool
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the largest frame."""
        return (int(self.size_wh[:, 0].max()), int(self.size_wh[:, 1].max())) if len(self.size_wh) else (1, 1)

    @property
    def person_size(self) -> Array:
        """(R,) longer sides of the boxes in pixels, at least 1."""
        return np.asarray((self.box[:, 2:] - self.box[:, :2]).max(axis=1, initial=1))

    def tracks(self) -> Iterator[tuple[int, slice]]:
        """Yield each id with its rows, those of people without an id last."""
        ids, starts = np.unique(self.track, return_index=True)
        ends = [*starts[1:].tolist(), len(self.track)][: len(ids)]
        runs = [(int(track), slice(int(start), end)) for track, start, end in zip(ids, starts, ends, strict=True)]
        yield from sorted(runs, key=lambda run: (run[0] < 0, run[0]))

    def unit(self) -> float:
        """Return the pixels of one step of the packed coordinates."""
        return max(FINEST, math.ceil(max(self.size) * (1 + 2 * MARGIN) / 65_535 * 20) / 20)

    def tick_s(self) -> float:
        """Return the seconds of one step of the packed times: a millionth, unless there are gaps of half an hour."""
        longest = float(np.abs(np.diff(self.time_s)).max(initial=0))
        return max(1e-6, longest / (1 << 30))

    def packed(self) -> bytes:
        """Return everything but ids and names, compressed; ``data.js`` reads it."""
        unit, shift = self.unit(), MARGIN * max(self.size)

        def steps(values: Array) -> Array:
            return np.clip(np.rint((values + shift) / unit), 0, 65_535).astype(np.uint16)

        xy, raw = steps(self.xy), steps(self.raw)
        raw[~self.measured] = xy[~self.measured]
        score = np.rint(np.clip(self.score, 0, 1) * 255).astype(np.uint8)
        ticks = np.rint((self.time_s - self.time_s[:1]) / self.tick_s()).astype(np.int64)
        parts = [
            _planes(_zigzag(np.diff(ticks, prepend=0).astype(np.int32))),
            _planes(_zigzag(np.diff(self.index, prepend=0).astype(np.int32))),
            _planes(_zigzag(np.diff(self.frame, prepend=0).astype(np.int32))),
            _planes(_zigzag(_bent(steps(self.box)))),
            np.rint(np.clip(self.box_score, 0, 1) * 255).astype(np.uint8).tobytes(),
            self.measured.astype(np.uint8).tobytes(),
            _planes(_zigzag(_bent(xy.reshape(len(self), math.prod(xy.shape[1:]))))),
            np.diff(score, axis=0, prepend=np.zeros_like(score[:1])).T.tobytes(),
            self.flags.astype(np.uint8).T.tobytes(),
        ]
        if self.smoothed:
            away = (raw - xy).astype(np.int16)
            parts.append(_planes(_zigzag(away.reshape(len(self), math.prod(away.shape[1:])))))
        return zlib.compress(b"".join(parts), LEVEL)


def _bent(values: Array) -> Array:
    """Return how far each of the (R, C) uint16 values lies from a straight continuation of the two before it."""
    before = np.zeros_like(values)
    before[1:2] = values[:1]
    before[2:] = 2 * values[1:-1] - values[:-2]
    return np.asarray((values - before).astype(np.int16))


def _zigzag(values: Array) -> Array:
    """Return unsigned numbers, small ones for values near 0 of either sign."""
    bits = values.dtype.itemsize * 8
    return np.asarray(((values << 1) ^ (values >> (bits - 1))).astype(f"u{values.dtype.itemsize}"))


def _planes(values: Array) -> bytes:
    """Return each column's low bytes, then its next higher ones, and so on."""
    columns = values.T if values.ndim == 2 else values[None]
    size = values.dtype.itemsize
    as_bytes = np.ascontiguousarray(columns).astype(f"<u{size}").view(np.uint8).reshape(len(columns), -1, size)
    return np.ascontiguousarray(as_bytes.transpose(0, 2, 1)).tobytes()


@dataclass(eq=False, slots=True)
class Block:
    """A minute of a run: its frames and rows, unless they were dropped, and what is known of it in any case."""

    start_s: float
    frames: list[tuple[int, float, tuple[int, int], str]] = field(default_factory=list)
    rows: list[tuple[Poses, Array, int]] = field(default_factory=list)
    count: int = 0
    people: int = 0
    joints: int = 0
    score: float = 0.0
    trouble: int = 0

    def add(self, result: Result, number: int) -> None:
        """Take a frame, ``number`` of those of the run that came before."""
        frame, poses = result.frame, result.final
        if len(poses):
            self.rows.append((poses, result.raw_xy, number))
        self.frames.append((frame.index, frame.time_s, frame.size_wh, frame.name))
        self.count += 1
        self.people += len(poses)
        self.joints += poses.score.size
        self.score += float(poses.score.sum())
        self.trouble += int(((poses.score < SURE) | (poses.flags != 0)).sum())

    def drop(self) -> None:
        """Forget frames and rows."""
        self.frames, self.rows = [], []

    def summary(self) -> list[float]:
        """Return start, frames, people, mean score and share of joints in trouble."""
        joints = max(1, self.joints)
        return [self.start_s, self.count, self.people, self.score / joints, self.trouble / joints]


@dataclass(eq=False, slots=True)
class Collector:
    """Takes the results of a run, in order, and gives their columns; of a long run, those of its worst hour.

    Attributes:
        keypoints: K.
        most: Rows, and frames, that a page may have.
        blocks: All minutes so far.
        smoothed: Whether anything was smoothed.
    """

    keypoints: int
    most: int = MOST
    blocks: list[Block] = field(default_factory=list)
    smoothed: bool = False
    _number: int = 0
    _people: int = 0
    _worst: tuple[int, int] = (0, 0)
    _begin: int = 0

    @property
    def is_long(self) -> bool:
        """Whether it has become too much for one page."""
        return max(self._number, self._people) > self.most

    def add(self, result: Result) -> None:
        """Take the next frame."""
        time_s = result.frame.time_s
        if not self.blocks or not 0 <= time_s - self.blocks[-1].start_s < BLOCK_S:
            if self.is_long:
                self._keep_worst()
            self.blocks.append(Block(time_s))
        self.blocks[-1].add(result, self._number)
        self._number += 1
        self._people += len(result.final)
        self.smoothed |= result.smoothed is not None

    def _keep_worst(self) -> None:
        """Find the worst stretch that fits on a page, and drop what is neither in it nor may become part of one."""
        for end in range(self._worst[1] + 1 if not self._begin else len(self.blocks), len(self.blocks) + 1):
            while self._begin < end - 1 and not self._fits(self._begin, end):
                self._begin += 1
            if self._trouble(self._begin, end) >= self._trouble(*self._worst):
                self._worst = self._begin, end
        for number, block in enumerate(self.blocks):
            if number < self._begin and not self._worst[0] <= number < self._worst[1]:
                block.drop()

    def _fits(self, begin: int, end: int) -> bool:
        part = self.blocks[begin:end]
        few = max(sum(block.count for block in part), sum(block.people for block in part)) <= self.most
        return few and part[-1].start_s - part[0].start_s < HOUR_S

    def _trouble(self, begin: int, end: int) -> int:
        return sum(block.trouble for block in self.blocks[begin:end])

    def overview(self) -> list[list[float]]:
        """Return the summaries of all minutes of a long run; nothing for others."""
        return [block.summary() for block in self.blocks] if self.is_long else []

    def columns(self, stills: bool) -> Columns:
        """Return what was collected, ordered by track and time."""
        part = self.blocks
        if self.is_long:
            self._keep_worst()
            part = self.blocks[slice(*self._worst)]
        frames = [frame for block in part for frame in block.frames]
        rows = [row for block in part for row in block.rows]
        people = [poses for poses, _, _ in rows]
        before = sum(block.count for block in self.blocks[: self._worst[0]]) if self.is_long else 0
        frame = np.repeat([number - before for _, _, number in rows], [len(poses) for poses in people]).astype(np.int64)
        raw = _joined([raw for _, raw, _ in rows], (0, self.keypoints, 2))
        track = _joined([poses.track_id for poses in people], (0,)).astype(np.int64)
        order = np.lexsort((frame, track))
        xy = _joined([poses.xy for poses in people], (0, self.keypoints, 2))
        measured: Array = np.asarray(np.isfinite(raw).all(axis=(1, 2)))
        raw = np.where(measured[:, None, None], raw, xy)
        return Columns(
            index=np.array([index for index, *_ in frames], np.int64),
            time_s=np.array([time_s for _, time_s, *_ in frames], np.float64),
            size_wh=np.array([size for _, _, size, _ in frames], np.int64).reshape(-1, 2),
            frame=frame[order],
            track=track[order],
            measured=measured[order],
            box=_joined([poses.boxes.xyxy for poses in people], (0, 4))[order],
            box_score=_joined([poses.boxes.score for poses in people], (0,))[order],
            xy=xy[order],
            raw=raw[order],
            score=_joined([poses.score for poses in people], (0, self.keypoints))[order],
            flags=_joined([poses.flags for poses in people], (0, self.keypoints)).astype(np.uint8)[order],
            smoothed=self.smoothed,
            names=tuple(name for *_, name in frames) if stills else (),
        )


def _joined(parts: Sequence[Array], empty: tuple[int, ...]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(empty, np.float32)
