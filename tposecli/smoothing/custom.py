"""Smoothers of the caller's own."""

from __future__ import annotations

from typing import Any

from tposecli.types import Poses
from tposecli.utils.protocols import require_methods


class CustomSmoother:
    """A caller's own smoother, whose answers are checked.

    Raises:
        TypeError: It lacks ``push`` or ``flush``.
    """

    def __init__(self, smoother: Any) -> None:
        require_methods("smoother", smoother, ("push(poses, time_s)", "flush()"), "tposecli.Smoother")
        self._smoother, self._name = smoother, type(smoother).__name__
        self._held = 0

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Take the next frame; return the frames that are finished by it, oldest first.

        Raises:
            ValueError: More frames came out than went in.
        """
        self._held += 1
        return self._checked("push", self._smoother.push(poses, time_s))

    def flush(self) -> list[Poses]:
        """Return the frames still held.

        Raises:
            ValueError: They are not as many as are held.
        """
        ready = self._checked("flush", self._smoother.flush())
        if self._held:
            raise ValueError(f"{self._name}.flush: {self._held} frames went in and did not come out again")
        return ready

    def _checked(self, method: str, ready: Any) -> list[Poses]:
        if not isinstance(ready, list) or not all(isinstance(poses, Poses) for poses in ready):
            raise TypeError(f"{self._name}.{method}: expected a list of Poses, got {type(ready).__name__}")
        self._held -= len(ready)
        if self._held < 0:
            raise ValueError(f"{self._name}.{method}: returned more frames than went in")
        return ready
