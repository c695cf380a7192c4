"""What smooths: frames go in one by one and come out in order, perhaps later."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tposecli.types import Poses


class Smoother(Protocol):
    """Takes tracked poses frame by frame and gives each frame back once, in order, smoothed.

    A smoother may look ahead: ``push`` then returns nothing at first, and ``flush`` what is still held. People keep
    their order; those who are put into frames in which they were missed come after them.
    """

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Take the next frame; return the frames that are finished by it, oldest first."""
        ...

    def flush(self) -> list[Poses]:
        """Return the frames still held; the stream is over."""
        ...


class Chain:
    """One smoother after the other."""

    def __init__(self, first: Smoother, second: Smoother) -> None:
        self._first, self._second = first, second
        self._times: deque[float] = deque()

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Frames that are finished by both."""
        self._times.append(time_s)
        return self._pass(self._first.push(poses, time_s))

    def flush(self) -> list[Poses]:
        """The rest of both."""
        return [*self._pass(self._first.flush()), *self._second.flush()]

    def _pass(self, frames: list[Poses]) -> list[Poses]:
        return [done for poses in frames for done in self._second.push(poses, self._times.popleft())]
