"""Trackers of the caller's own."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tposecli.types import UNTRACKED, Poses
from tposecli.utils.protocols import require_methods


class PoseTracker(Protocol):
    """Gives the people of a video ids that last from frame to frame; it remembers, so every video needs its own."""

    def update(self, poses: Poses, time_s: float) -> Poses | NDArray[np.int64]:
        """Return the ids of the people of the next frame.

        Args:
            poses: The N people of one frame, without ids.
            time_s: Time of the frame in seconds; it increases, not always evenly.

        Returns:
            (N,) ids from 1, -1 for who has none; or the same N people in the same order with ``track_id`` set.
        """
        ...


class CustomTracker:
    """A caller's own tracker, whose answers are checked.

    Raises:
        TypeError: It has no method ``update``.
    """

    def __init__(self, tracker: Any) -> None:
        require_methods("tracker", tracker, ("update(poses, time_s)",), "tposecli.PoseTracker")
        self._tracker, self._name = tracker, type(tracker).__name__

    def update(self, poses: Poses, time_s: float, sure: NDArray[np.bool_] | None = None) -> Poses:
        """Return the people with ids; those who are not ``sure`` are not shown to the tracker and have none.

        Raises:
            ValueError: The answer does not fit the people.
        """
        shown = np.ones(len(poses), bool) if sure is None else sure
        answer = self._tracker.update(poses[shown], time_s)
        found = np.asarray(answer.track_id if isinstance(answer, Poses) else answer)
        if found.shape != (int(shown.sum()),):
            raise ValueError(f"{self._name}.update: expected {shown.sum()} ids, one per person, got {found.shape}")
        if found.size and not np.issubdtype(found.dtype, np.integer):
            raise ValueError(f"{self._name}.update: expected integers as ids, got {found.dtype}")
        ids = np.full(len(poses), UNTRACKED, np.int64)
        ids[shown] = found
        return Poses(poses.boxes, poses.xy, poses.score, ids, poses.flags)
