"""Smoothing with look-ahead: frames are held for a moment and processed in blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tposecli.smoothing.track_window import Step, TrackWindow
from tposecli.types import Poses

MAX_FRAMES: Final = 64
"""Maximum number of frames held, whatever the frame rate: their images are held, too."""

CONTEXT_S: Final = 0.4
"""Seconds of finished frames that are kept as context."""


@dataclass(frozen=True, slots=True)
class Lookahead:
    """How long frames are held.

    Attributes:
        ahead_s: Seconds of later frames that must be known before a frame is finished.
        block_s: Seconds of frames that are processed together: larger blocks are cheaper, but add latency.
        min_score: Joints scored lower count as unknown.
    """

    ahead_s: float = 0.5
    block_s: float = 0.8
    min_score: float = 0.2


class LookaheadSmoother:
    """Applies a sequence of steps, each of which sees past and future frames.

    A frame is held for at most ``ahead_s + block_s`` seconds or ``MAX_FRAMES`` frames; the first one only for
    ``ahead_s``, so that output starts soon. People without an id pass through unchanged. If time does not advance,
    smoothing restarts.

    Args:
        repairs: Steps whose results later blocks use as context: repairs and fills.
        filter_step: The filter, whose results later blocks do not see; None for none.
        lookahead: How long frames are held.
    """

    def __init__(self, repairs: Sequence[Step], filter_step: Step | None, lookahead: Lookahead) -> None:
        self._repairs, self._filter_step, self._lookahead = repairs, filter_step, lookahead
        self._waiting: deque[tuple[Poses, float]] = deque()
        self._past: deque[tuple[Poses, float]] = deque()

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Take the next frame; return the frames that have been held long enough."""
        done: list[Poses] = []
        last = (self._waiting or self._past or [(poses, float("-inf"))])[-1][1]
        if time_s <= last:
            done = self.flush()
        self._waiting.append((poses, time_s))
        min_wait_s = self._lookahead.ahead_s + (self._lookahead.block_s if self._past else 0)
        if len(self._waiting) < MAX_FRAMES and time_s - self._waiting[0][1] < min_wait_s:
            return done
        ready = sum(time_s - at >= self._lookahead.ahead_s for _, at in self._waiting)
        return done + self._finish(max(ready, MAX_FRAMES // 2) if len(self._waiting) >= MAX_FRAMES else ready)

    def flush(self) -> list[Poses]:
        """Return all frames still held, and restart."""
        done = self._finish(len(self._waiting))
        self._past.clear()
        return done

    def _finish(self, count: int) -> list[Poses]:
        """Process all frames held, with their context, and return the first ``count``."""
        if not count:
            return []
        frames, first = [*self._past, *self._waiting], len(self._past)
        work = first, first + count
        window = TrackWindow.of(
            [poses for poses, _ in frames], [at for _, at in frames], work, self._lookahead.min_score
        )
        taken = [self._waiting.popleft() for _ in range(count)]
        measured = done = repaired = [poses for poses, _ in taken]
        if len(window.track_id):
            for step in self._repairs:
                window = step(window)
            done = repaired = window.poses(measured)
            if self._filter_step is not None:
                done = self._filter_step(window).poses(measured)
        self._past.extend(zip(repaired, (at for _, at in taken), strict=True))
        while self._past[0][1] < self._past[-1][1] - CONTEXT_S or len(self._past) > MAX_FRAMES // 2:
            self._past.popleft()
        return done
