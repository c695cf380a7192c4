"""The interface of smoothers: frames go in one by one and come out in order, possibly later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from tposecli.types import Poses


class Smoother(Protocol):
    """Takes tracked poses frame by frame, and returns each frame once, in order, smoothed.

    A smoother may look ahead: ``push`` then returns nothing at first, and ``flush`` returns what is still held. People
    keep their order; people who are added to frames in which they were missed come last.
    """

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Take the next frame; return the frames that are finished by it, oldest first."""
        ...

    def flush(self) -> list[Poses]:
        """Return the frames still held, at the end of the stream."""
        ...


class Chain:
    """Two smoothers in series."""

    def __init__(self, first: Smoother, second: Smoother) -> None:
        self._first, self._second = first, second
        self._times: deque[float] = deque()

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Return the frames that both have finished."""
        self._times.append(time_s)
        return self._pass(self._first.push(poses, time_s))

    def flush(self) -> list[Poses]:
        """Return the frames that either still holds."""
        return [*self._pass(self._first.flush()), *self._second.flush()]

    def _pass(self, frames: list[Poses]) -> list[Poses]:
        return [done for poses in frames for done in self._second.push(poses, self._times.popleft())]


class EachFrame:
    """A change of single frames as a smoother, for chains: ``change(poses, time_s)`` returns the changed poses."""

    def __init__(self, change: Callable[[Poses, float], Poses]) -> None:
        self._change = change

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Return the changed frame."""
        return [self._change(poses, time_s)]

    def flush(self) -> list[Poses]:
        """Return nothing: no frame is held."""
        return []
