"""Smoothing that looks ahead: frames wait a moment, then some of them are worked on together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tposecli.smoothing.track_window import Step, TrackWindow
from tposecli.types import Poses

MAX_FRAMES: Final = 64
"""Frames that wait at most, whatever the frame rate: their pictures wait with them."""

CONTEXT_S: Final = 0.4
"""Seconds of finished frames that are looked back upon."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How long frames wait.

    Attributes:
        ahead_s: Seconds after a frame that are looked at before it is finished.
        block_s: Seconds of frames that are worked on together: more costs less, and waits longer.
        min_score: Joints scored lower are not believed.
    """

    ahead_s: float = 0.5
    block_s: float = 0.8
    min_score: float = 0.2


class LookaheadSmoother:
    """Puts steps one after the other, each of which sees what comes a moment later.

    A frame waits at most ``ahead_s + block_s`` seconds or ``MAX_FRAMES`` frames; the first one, which somebody may be
    waiting to see, for ``ahead_s``. People without id pass through. Where time stands still or runs back, everything
    begins anew.

    Args:
        mend: Steps whose outcome later frames look back upon: repairs, fills.
        calm: A step whose outcome they do not: the filter; None for none.
        reach: How long frames wait.
    """

    def __init__(self, mend: Sequence[Step], calm: Step | None, reach: Reach) -> None:
        self._mend, self._calm, self._reach = mend, calm, reach
        self._waiting: deque[tuple[Poses, float]] = deque()
        self._past: deque[tuple[Poses, float]] = deque()

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """The frames that have waited long enough."""
        done: list[Poses] = []
        last = (self._waiting or self._past or [(poses, float("-inf"))])[-1][1]
        if time_s <= last:
            done = self.flush()
        self._waiting.append((poses, time_s))
        least_s = self._reach.ahead_s + (self._reach.block_s if self._past else 0)
        if len(self._waiting) < MAX_FRAMES and time_s - self._waiting[0][1] < least_s:
            return done
        ripe = sum(time_s - at >= self._reach.ahead_s for _, at in self._waiting)
        return done + self._finish(max(ripe, MAX_FRAMES // 2) if len(self._waiting) >= MAX_FRAMES else ripe)

    def flush(self) -> list[Poses]:
        """All that wait; what comes then begins anew."""
        done = self._finish(len(self._waiting))
        self._past.clear()
        return done

    def _finish(self, count: int) -> list[Poses]:
        """Work on everything, take the first ``count`` out."""
        if not count:
            return []
        frames, first = [*self._past, *self._waiting], len(self._past)
        work = first, first + count
        strip = TrackWindow.of([poses for poses, _ in frames], [at for _, at in frames], work, self._reach.min_score)
        taken = [self._waiting.popleft() for _ in range(count)]
        measured = done = mended = [poses for poses, _ in taken]
        if len(strip.track_id):
            for step in self._mend:
                strip = step(strip)
            done = mended = strip.poses(measured)
            if self._calm is not None:
                done = self._calm(strip).poses(measured)
        self._past.extend(zip(mended, (at for _, at in taken), strict=True))
        while self._past[0][1] < self._past[-1][1] - CONTEXT_S or len(self._past) > MAX_FRAMES // 2:
            self._past.popleft()
        return done
