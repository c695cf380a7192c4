"""Show some of the people of a run only: by id or name, by place, or by how long they are there.

People are left out at the very end, after tracking and smoothing, so that the others are exactly as without it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.pipeline.keep_options import Region, SelectOptions
from tposecli.tracking.corrections import SAME_TIME_S
from tposecli.types import UNTRACKED, Poses, Result
from tposecli.utils.errors import UsageError

log = logging.getLogger("tposecli")

Mask = NDArray[np.bool_]
Span = tuple[float, float]
"""Times of the first and the last frame of a person, seconds."""

MAX_HELD_S: Final = 8.0
"""Seconds of frames that may wait in memory until it is known how long people stay."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Leaves people out of the finished results of one source.

    Attributes:
        options: Whom to show.
        lost_s: Seconds after which a person who was not seen gets another id.
        ids: Ids of the people who are asked for and there for long enough; None if that is not known yet.
    """

    options: SelectOptions = field(default_factory=SelectOptions)
    lost_s: float = 0.0
    ids: frozenset[int] | None = None

    def check(self) -> None:
        """Check what a run can do that measures its frames now.

        Raises:
            UsageError: A name is given where people have none yet, or frames would have to wait for too long.
        """
        for who in self.options.only:
            if not who.isdecimal():
                raise UsageError(
                    f"--only {who}: people get names when tpose edit has named them; use the id, or choose the name in "
                    "tpose render and tpose convert"
                )
        if self.options.min_seconds and self.options.min_seconds + self.lost_s > MAX_HELD_S:
            raise UsageError(
                f"--min-seconds {self.options.min_seconds:g}: with --track-lost {self.lost_s:g}, frames would wait in "
                f"memory for more than {MAX_HELD_S:g} s; leave it out, and use it with tpose render or tpose convert "
                "on the journal"
            )

    def process(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results with the people who are shown; say so if that is nobody, though people are there."""
        if self.options.everybody:
            yield from results
            return
        there = shown = 0

        def counted() -> Iterator[Result]:
            nonlocal there
            for result in results:
                there += len(result.final)
                yield result

        for result in self._selected(counted()):
            shown += len(result.final)
            yield result
        if there and not shown:
            log.warning("%s: everybody was left out; choose other values, or leave it out", self._given())

    def _given(self) -> str:
        """Return the options that leave people out."""
        options = self.options
        only = f"--only {','.join(options.only)}" if options.only else ""
        region = f"--region '{options.region}'" if options.region is not None else ""
        seconds = f"--min-seconds {options.min_seconds:g}" if options.min_seconds else ""
        return ", ".join(option for option in (only, region, seconds) if option)

    def _selected(self, results: Iterable[Result]) -> Iterator[Result]:
        if self.ids is not None:
            for result in results:
                yield self._shown(result, self.ids)
        else:
            yield from self._as_they_come(results)

    def _as_they_come(self, results: Iterable[Result]) -> Iterator[Result]:
        """Hold results back while somebody is in the first of them who may or may not be there for long enough."""
        spans: dict[int, Span] = {}
        asked = {int(who) for who in self.options.only}
        waiting: deque[Result] = deque()
        now = 0.0
        for result in results:
            now = result.frame.time_s
            note(spans, result.poses, now)
            waiting.append(result)
            while waiting and self._is_decided(waiting[0], spans, now):
                yield self._shown(waiting.popleft(), self._long(spans, asked))
        for result in waiting:
            yield self._shown(result, self._long(spans, asked))
        missing = asked - spans.keys()
        if missing:
            there = ", ".join(map(str, spans)) or "nobody"
            log.warning("--only: nobody had the id %s; choose of: %s", ", ".join(map(str, sorted(missing))), there)

    def _is_decided(self, result: Result, spans: Mapping[int, Span], now: float) -> bool:
        """Return whether it is known for everybody in a frame how long they are there, or that it is long enough."""
        if not self.options.min_seconds:
            return True
        ids = [person for person in result.final.track_id.tolist() if person != UNTRACKED]
        return all(
            is_long(spans[person], self.options.min_seconds) or now - spans[person][1] > self.lost_s + SAME_TIME_S
            for person in ids
        )

    def _long(self, spans: Mapping[int, Span], asked: set[int]) -> frozenset[int]:
        long = (person for person, span in spans.items() if is_long(span, self.options.min_seconds))
        return frozenset(person for person in long if not asked or person in asked)

    def _shown(self, result: Result, ids: frozenset[int]) -> Result:
        """Return a result with only the people who have one of these ids and are in the region."""
        poses, options = result.final, self.options
        kept = np.ones(len(poses), np.bool_)
        if options.only or options.min_seconds:
            kept &= np.isin(poses.track_id, list(ids))
        if options.region is not None:
            kept &= inside(options.region, options.region_point, poses, result.frame.size_wh)
        if kept.all():
            return result
        measured = result.select(kept[: len(result.poses)])
        return measured if result.smoothed is None else replace(measured, smoothed=result.smoothed[kept])


def note(spans: dict[int, Span], poses: Poses, time_s: float) -> None:
    """Add the people of a frame to the times of the first and the last frame of each id."""
    for person in poses.track_id.tolist():
        if person != UNTRACKED:
            spans[person] = spans.get(person, (time_s, time_s))[0], time_s


def is_long(span: Span, min_seconds: float) -> bool:
    """Return whether it is at least that long."""
    return span[1] - span[0] >= min_seconds - SAME_TIME_S


def inside(region: Region, point: str, poses: Poses, size_wh: tuple[int, int]) -> Mask:
    """Return the (N,) mask of people whose point lies in a region of a frame of this size, or on its edge."""
    corners = np.array(region.corners, np.float64)
    corners = np.where(np.array(region.percent), corners / 100 * np.array(size_wh), corners)
    box = poses.boxes.xyxy.astype(np.float64)
    x = (box[:, 0] + box[:, 2]) / 2
    y = box[:, 3] if point == "feet" else (box[:, 1] + box[:, 3]) / 2
    if len(corners) == 2:
        low, high = corners.min(axis=0), corners.max(axis=0)
        return np.asarray((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    polygon = corners.astype(np.float32)[:, None]
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return np.array([cv2.pointPolygonTest(polygon, pair, False) >= 0 for pair in pairs], np.bool_)
